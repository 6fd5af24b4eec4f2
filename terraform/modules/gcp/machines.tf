# The machines. What makes a broker itself outlives its machine: its number, its address
# and its disk. So a machine is replaced by another one that takes all three over, and
# the cluster sees a restart.
#
# Nothing replaces machines by itself, and no change of a variable does: image, type and
# settings apply to machines that are made from then on. Output nodes_to_replace names
# those that were made of something older; they are replaced one by one, see
# docs/operations/terraform.md.

locals {
  disk_name = "tideline-wal"
  local     = var.wal_disk.type == "local"
  arm       = can(regex("^(c4a|n4a|t2a)-", var.instance_type))
  image     = var.image != "" ? var.image : "projects/ubuntu-os-cloud/global/images/family/ubuntu-2404-lts-${local.arm ? "arm64" : "amd64"}"

  # A volume is the WAL's, but for the cache of blocks; of a local disk the broker takes its default.
  wal_settings = local.local ? {} : { "wal.max.bytes" = "${floor(0.8 * var.wal_disk.size_gib)}GiB" }

  # What a machine would be made of now.
  made_of = { for k, n in local.nodes : k => sha256(join("\n", [local.image, var.instance_type, module.cloudinit[k].user_data])) }
}

module "cloudinit" {
  source   = "../cloudinit"
  for_each = local.nodes

  cluster  = var.name
  node_id  = each.value.id
  hostname = each.value.hostname
  zone     = each.value.zone
  seeds    = local.seeds
  voters   = var.voters
  listeners = [{
    name       = "CLIENTS"
    port       = local.ports.clients
    advertised = "${each.value.dns}:${local.ports.clients}"
  }]
  rpc_port       = local.ports.peers
  rpc_advertised = "${each.value.dns}:${local.ports.peers}"
  http_port      = local.ports.http
  scraped        = length(var.telemetry.scrape_cidrs) > 0
  object_store   = local.object_store
  package        = var.package
  settings       = merge(local.wal_settings, var.settings)
  tls            = var.tls
  secrets        = local.secrets
  data_device    = "/dev/disk/by-id/google-${local.local ? "local-nvme-ssd-0" : local.disk_name}"
  otlp_endpoint  = var.telemetry.otlp_endpoint
  peers          = var.peers
}

resource "google_compute_disk" "wal" {
  #checkov:skip=CKV_GCP_37:Disks are encrypted with keys of Google; a key of one's own costs availability, and what lies here is copied to the bucket within a minute.
  for_each = local.local ? {} : local.nodes

  project                = var.project
  zone                   = each.value.zone
  name                   = "${each.value.hostname}-wal"
  type                   = var.wal_disk.type
  size                   = var.wal_disk.size_gib
  provisioned_iops       = var.wal_disk.type == "hyperdisk-balanced" ? var.wal_disk.iops : null
  provisioned_throughput = var.wal_disk.type == "hyperdisk-balanced" ? var.wal_disk.throughput : null
  labels                 = local.labels
}

resource "google_compute_instance" "node" {
  #checkov:skip=CKV_GCP_38:See google_compute_disk.wal; the boot disk holds no records.
  for_each = local.nodes

  project      = var.project
  zone         = each.value.zone
  name         = each.value.hostname
  machine_type = var.instance_type
  tags         = [local.broker_tag]
  labels       = local.labels

  boot_disk {
    initialize_params {
      image = local.image
      size  = 20
      type  = var.wal_disk.type == "pd-ssd" ? "pd-balanced" : "hyperdisk-balanced"
    }
  }

  dynamic "attached_disk" {
    for_each = local.local ? [] : [google_compute_disk.wal[each.key].id]

    content {
      source      = attached_disk.value
      device_name = local.disk_name
    }
  }

  # No access_config: the machine has no address of the outside.
  network_interface {
    subnetwork = local.subnetwork
    network_ip = google_compute_address.node[each.key].address
  }

  service_account {
    email  = google_service_account.this.email
    scopes = ["https://www.googleapis.com/auth/cloud-platform"]
  }

  shielded_instance_config {
    enable_secure_boot          = true
    enable_vtpm                 = true
    enable_integrity_monitoring = true
  }

  scheduling {
    automatic_restart   = true
    on_host_maintenance = local.local ? "TERMINATE" : "MIGRATE"
  }

  metadata = {
    user-data              = module.cloudinit[each.key].user_data
    block-project-ssh-keys = "true"
    enable-oslogin         = "TRUE"
    serial-port-enable     = "FALSE"
  }

  lifecycle {
    ignore_changes = [boot_disk, machine_type, metadata, scheduling]

    precondition {
      condition     = length(distinct(local.zones)) == length(local.zones) && length(local.zones) >= 2
      error_message = "The brokers need two different zones at least; this region has not so many, or zones names one twice."
    }
  }

  # The keys of the object store are there before the machine asks for them.
  depends_on = [
    google_secret_manager_secret_iam_member.node,
    google_secret_manager_secret_iam_member.hmac,
    google_secret_manager_secret_version.hmac,
    google_storage_bucket_iam_member.objects,
  ]
}

# Remembers what each machine was made of.
resource "terraform_data" "made_of" {
  for_each = local.nodes

  input            = local.made_of[each.key]
  triggers_replace = google_compute_instance.node[each.key].instance_id

  lifecycle {
    ignore_changes = [input]
  }
}
