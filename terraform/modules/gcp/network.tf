locals {
  network    = var.network.create ? google_compute_network.this[0].id : var.network.vpc_id
  subnetwork = var.network.create ? google_compute_subnetwork.this[0].id : var.network.subnet_ids[0]
}

resource "google_compute_network" "this" {
  count = var.network.create ? 1 : 0

  project                 = var.project
  name                    = var.name
  auto_create_subnetworks = false
  routing_mode            = "REGIONAL"
}

resource "google_compute_subnetwork" "this" {
  count = var.network.create ? 1 : 0

  project       = var.project
  region        = var.region
  name          = var.name
  network       = google_compute_network.this[0].id
  ip_cidr_range = var.network.cidr

  # Cloud Storage and Secret Manager are reached without an address of the outside.
  private_ip_google_access = true

  log_config {
    aggregation_interval = "INTERVAL_10_MIN"
    flow_sampling        = 0.1
    metadata             = "INCLUDE_ALL_METADATA"
  }
}

resource "google_compute_router" "this" {
  count = var.network.create && var.network.egress != "none" ? 1 : 0

  project = var.project
  region  = var.region
  name    = var.name
  network = google_compute_network.this[0].id
}

resource "google_compute_router_nat" "this" {
  count = var.network.create && var.network.egress != "none" ? 1 : 0

  project                            = var.project
  region                             = var.region
  name                               = var.name
  router                             = google_compute_router.this[0].name
  nat_ip_allocate_option             = "AUTO_ONLY"
  source_subnetwork_ip_ranges_to_nat = "LIST_OF_SUBNETWORKS"

  subnetwork {
    name                    = google_compute_subnetwork.this[0].id
    source_ip_ranges_to_nat = ["ALL_IP_RANGES"]
  }

  log_config {
    enable = true
    filter = "ERRORS_ONLY"
  }
}

# Addresses that outlive their machines: a broker that is made anew is found where it was.
resource "google_compute_address" "node" {
  for_each = local.nodes

  project      = var.project
  region       = var.region
  name         = each.value.hostname
  address_type = "INTERNAL"
  subnetwork   = local.subnetwork
  labels       = local.labels
}

resource "google_dns_managed_zone" "this" {
  project     = var.project
  name        = var.name
  dns_name    = "${local.domain}."
  description = "Names of the brokers of the Tideline cluster ${var.name}."
  visibility  = "private"
  labels      = local.labels

  private_visibility_config {
    networks {
      network_url = local.network
    }
  }
}

resource "google_dns_record_set" "node" {
  for_each = local.nodes

  project      = var.project
  managed_zone = google_dns_managed_zone.this.name
  name         = "${each.value.dns}."
  type         = "A"
  ttl          = 60
  rrdatas      = [google_compute_address.node[each.key].address]
}

# Brokers are told by their service account, which nobody but the project's owners can give
# to a machine; clients by a tag.
resource "google_compute_firewall" "peers" {
  project     = var.project
  name        = "${var.name}-peers"
  description = "Brokers among themselves: replication and metadata."
  network     = local.network
  direction   = "INGRESS"

  source_service_accounts = [google_service_account.this.email]
  target_service_accounts = [google_service_account.this.email]

  allow {
    protocol = "tcp"
    ports    = [tostring(local.ports.peers)]
  }
}

resource "google_compute_firewall" "clients" {
  project     = var.project
  name        = "${var.name}-clients"
  description = "Clients that have the tag."
  network     = local.network
  direction   = "INGRESS"

  source_tags = [local.client_tag]
  target_tags = [local.broker_tag]

  allow {
    protocol = "tcp"
    ports    = [tostring(local.ports.clients)]
  }
}

resource "google_compute_firewall" "client_cidrs" {
  count = length(var.client_cidrs) > 0 ? 1 : 0

  project     = var.project
  name        = "${var.name}-client-cidrs"
  description = "Clients elsewhere."
  network     = local.network
  direction   = "INGRESS"

  source_ranges           = var.client_cidrs
  target_service_accounts = [google_service_account.this.email]

  allow {
    protocol = "tcp"
    ports    = [tostring(local.ports.clients)]
  }
}

resource "google_compute_firewall" "scrape" {
  count = length(var.telemetry.scrape_cidrs) > 0 ? 1 : 0

  project     = var.project
  name        = "${var.name}-scrape"
  description = "Prometheus."
  network     = local.network
  direction   = "INGRESS"

  source_ranges           = var.telemetry.scrape_cidrs
  target_service_accounts = [google_service_account.this.email]

  allow {
    protocol = "tcp"
    ports    = [tostring(local.ports.http)]
  }
}
