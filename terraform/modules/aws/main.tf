# A cluster of Tideline on AWS: a network over the zones, one machine for each broker with
# a disk and an address that outlive it, a bucket, and a role that reaches its prefix of
# the bucket and nothing else. docs/operations/terraform.md tells how to size, watch,
# change and remove it.

data "aws_region" "current" {}
data "aws_partition" "current" {}
data "aws_caller_identity" "current" {}

data "aws_availability_zones" "available" {
  #checkov:skip=CKV_AWS_394:The first three by name are taken, and a zone that AWS adds has a later letter.
  count = var.network.create && length(var.zones) == 0 ? 1 : 0
  state = "available"

  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

data "aws_subnet" "given" {
  count = var.network.create ? 0 : length(var.network.subnet_ids)
  id    = var.network.subnet_ids[count.index]
}

locals {
  region = data.aws_region.current.name
  zones = (
    !var.network.create ? data.aws_subnet.given[*].availability_zone :
    length(var.zones) > 0 ? var.zones :
    slice(data.aws_availability_zones.available[0].names, 0, 3)
  )

  ports = { clients = 9092, peers = 9093, external = 9094, http = 8080 }

  # Names within the network. They, and not addresses, are what brokers and clients are told.
  domain = "${var.name}.internal"

  # One entry for each broker, by its number. Everything of a broker is keyed so, and taking the last
  # ones away touches no other.
  nodes = {
    for i in range(var.node_count) : tostring(i + 1) => {
      id       = i + 1
      zone     = local.zones[i % length(local.zones)]
      subnet   = i % length(local.zones)
      hostname = "${var.name}-${i + 1}"
      dns      = "b${i + 1}.${local.domain}"
    }
  }

  # The brokers that found the cluster; the same list on each.
  seeds = [for i in range(var.voters) : "b${i + 1}.${local.domain}:${local.ports.peers}"]

  bootstrap = [for i in range(min(3, var.node_count)) : "b${i + 1}.${local.domain}:${local.ports.clients}"]

  prefix       = var.bucket.prefix != "" ? var.bucket.prefix : var.name
  object_store = "s3://${var.bucket.name}/${local.prefix}?driver=aws&region=${local.region}"

  tags = merge({ "tideline:cluster" = var.name }, var.tags)
}
