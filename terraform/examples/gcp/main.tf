# One cluster of three brokers in three zones of a region of Google Cloud, with an S3 server
# of your own. Not applied by us; see modules/gcp.

terraform {
  required_version = ">= 1.9.0"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.50.0, < 7.0.0"
    }
  }
}

provider "google" {
  project = var.project
  region  = var.region
}

module "tideline" {
  source = "../../modules/gcp"

  name             = var.name
  project          = var.project
  region           = var.region
  package          = var.package
  object_store_url = var.object_store_url
  client_cidrs     = var.client_cidrs
  tags             = { environment = "example" }

  secrets = {
    "env:AWS_ACCESS_KEY_ID"     = "gcp:projects/${var.project}/secrets/${var.store_key_secret}/versions/latest"
    "env:AWS_SECRET_ACCESS_KEY" = "gcp:projects/${var.project}/secrets/${var.store_secret_secret}/versions/latest"
  }
}
