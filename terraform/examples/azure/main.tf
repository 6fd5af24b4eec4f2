# One cluster of three brokers in three zones of a region of Azure, with an S3 server of your
# own. Not applied by us; see modules/azure.

terraform {
  required_version = ">= 1.9.0"

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = ">= 4.55.0, < 5.0.0"
    }
  }
}

provider "azurerm" {
  subscription_id = var.subscription_id

  features {}
}

module "tideline" {
  source = "../../modules/azure"

  name                 = var.name
  location             = var.location
  admin_ssh_public_key = var.admin_ssh_public_key
  package              = var.package
  object_store_url     = var.object_store_url
  client_cidrs         = var.client_cidrs
  key_vault_ids        = [var.key_vault.id]
  tags                 = { environment = "example" }

  secrets = {
    "env:AWS_ACCESS_KEY_ID"     = "azure:${var.key_vault.url}/secrets/${var.store_key_secret}"
    "env:AWS_SECRET_ACCESS_KEY" = "azure:${var.key_vault.url}/secrets/${var.store_secret_secret}"
  }
}
