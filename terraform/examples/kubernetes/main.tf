# One cluster of three brokers on a Kubernetes cluster that is there already. Not applied by
# us; see modules/kubernetes.

terraform {
  required_version = ">= 1.9.0"

  required_providers {
    helm = {
      source  = "hashicorp/helm"
      version = ">= 3.0.0, < 4.0.0"
    }
    kubernetes = {
      source  = "hashicorp/kubernetes"
      version = ">= 2.38.0, < 3.0.0"
    }
  }
}

provider "kubernetes" {
  config_path    = var.kubeconfig
  config_context = var.context
}

provider "helm" {
  kubernetes = {
    config_path    = var.kubeconfig
    config_context = var.context
  }
}

module "tideline" {
  source = "../../modules/kubernetes"

  name                = var.name
  image               = var.image
  object_store_url    = var.object_store_url
  object_store_secret = var.object_store_secret
}
