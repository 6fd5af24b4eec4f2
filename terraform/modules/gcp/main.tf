# A Tideline cluster in one region of Google Cloud: machines with their disks and stable
# addresses, spread over zones. README.md says what was checked of it and what was not.

locals {
  zones = length(var.zones) > 0 ? var.zones : slice(data.google_compute_zones.available[0].names, 0, min(3, length(data.google_compute_zones.available[0].names)))

  ports = { clients = 9092, peers = 9093, http = 8080 }

  # Names within the network. They, and not addresses, are what brokers and clients are told.
  domain = "${var.name}.internal"

  # One entry for each broker, by its number. Everything of a broker is keyed so, and taking the last
  # ones away touches no other.
  nodes = {
    for i in range(var.node_count) : tostring(i + 1) => {
      id       = i + 1
      zone     = local.zones[i % length(local.zones)]
      hostname = "${var.name}-${i + 1}"
      dns      = "b${i + 1}.${local.domain}"
    }
  }

  # The brokers that found the cluster; the same list on each.
  seeds = [for i in range(var.voters) : "b${i + 1}.${local.domain}:${local.ports.peers}"]

  bootstrap = [for i in range(min(3, var.node_count)) : "b${i + 1}.${local.domain}:${local.ports.clients}"]

  client_tag = "${var.name}-clients"
  broker_tag = "${var.name}-brokers"
  labels     = merge({ tideline-cluster = var.name }, var.tags)
}

data "google_compute_zones" "available" {
  count = length(var.zones) == 0 ? 1 : 0

  project = var.project
  region  = var.region
  status  = "UP"
}
