# One cluster of three brokers in three zones of one region, with a bucket of its own.
#
#   terraform init
#   terraform apply -var name=orders -var bucket_name=example-orders -var 'package={url="https://…/tideline_1.0.0_amd64.deb",sha256="…"}'
#   terraform output try_next

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
  region = var.region
}

module "tideline" {
  source = "../../modules/aws"

  name          = var.name
  node_count    = var.node_count
  instance_type = var.instance_type
  image         = var.image
  package       = var.package
  settings      = var.settings
  tls           = var.tls
  client_cidrs  = var.client_cidrs
  access        = var.access
  telemetry     = var.telemetry
  load          = var.load
  tags          = { environment = "example" }

  wal_disk = { size_gib = var.wal_size_gib }
  bucket   = { name = var.bucket_name, force_destroy = var.force_destroy, versioning = var.versioning, kms_key_id = var.kms_key_id }
}
