# Two clusters in two regions, each on its own: brokers never wait for the other region.
# Each bucket is copied into the other by S3, each network reaches the other, and the
# machines of each are told where the other cluster is.
#
# What that is good for, and what it is not: docs/operations/terraform.md, "Two regions".

terraform {
  required_version = ">= 1.9.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.80.0, < 6.0.0"
    }
  }
}

provider "aws" {
  alias  = "a"
  region = var.region_a
}

provider "aws" {
  alias  = "b"
  region = var.region_b
}

locals {
  name_a = "${var.name}-a"
  name_b = "${var.name}-b"
}

module "a" {
  source    = "../../modules/aws"
  providers = { aws = aws.a }

  name          = local.name_a
  node_count    = var.node_count
  instance_type = var.instance_type
  image         = var.image_a
  package       = var.package
  settings      = var.settings
  wal_disk      = { size_gib = var.wal_size_gib }
  network       = { cidr = var.cidr_a }
  load          = var.load
  tags          = { environment = "example" }

  bucket = {
    name          = "${var.bucket_prefix}-a"
    prefix        = local.name_a
    versioning    = true # without versions nothing is copied
    force_destroy = var.force_destroy
  }

  client_cidrs = [var.cidr_b]
  peers        = { (local.name_b) = module.b.bootstrap_servers }
}

module "b" {
  source    = "../../modules/aws"
  providers = { aws = aws.b }

  name          = local.name_b
  node_count    = var.node_count
  instance_type = var.instance_type
  image         = var.image_b
  package       = var.package
  settings      = var.settings
  wal_disk      = { size_gib = var.wal_size_gib }
  network       = { cidr = var.cidr_b }
  load          = var.load
  tags          = { environment = "example" }

  bucket = {
    name          = "${var.bucket_prefix}-b"
    prefix        = local.name_b
    versioning    = true
    force_destroy = var.force_destroy
  }

  client_cidrs = [var.cidr_a]
  peers        = { (local.name_a) = module.a.bootstrap_servers }
}
