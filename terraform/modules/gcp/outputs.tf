output "bootstrap_servers" {
  description = "Where clients within the network begin: HOST:PORT of the first brokers."
  value       = local.bootstrap
}

output "brokers" {
  description = "By number: the name, zone and address of each broker, and the machine that is it now."
  value = { for k, n in local.nodes : k => {
    dns         = n.dns
    zone        = n.zone
    private_ip  = google_compute_address.node[k].address
    instance_id = google_compute_instance.node[k].instance_id
  } }
}

output "scrape_targets" {
  description = "The ports of metrics, for Prometheus; reachable from telemetry.scrape_cidrs."
  value       = [for k, n in local.nodes : "${n.dns}:${local.ports.http}"]
}

output "bucket" {
  description = "The bucket of Cloud Storage, null with object_store_url: its name, the prefix of this cluster, the key that it is encrypted with (empty for keys of Google)."
  value = local.cloud_storage ? {
    name       = local.bucket
    prefix     = local.prefix
    kms_key_id = local.kms_key
  } : null
}

output "object_store" {
  description = "The setting object.store of the brokers."
  value       = local.object_store
}

output "network" {
  description = "What else can be put into the network, or connected with it."
  value = {
    vpc_id          = local.network
    cidr            = var.network.create ? var.network.cidr : null
    subnet_ids      = [local.subnetwork]
    private_zone_id = google_dns_managed_zone.this.name
  }
}

output "client_tag" {
  description = "The network tag whose machines may connect as clients."
  value       = local.client_tag
}

output "service_account" {
  description = "The service account of the brokers, for policies of buckets, keys and secrets of other projects."
  value       = google_service_account.this.email
}

output "user_data" {
  description = "By number: what each broker's machine is told at its first boot, as text. It has no secret in it."
  value       = { for k, n in local.nodes : k => module.cloudinit[k].user_data }
}

output "nodes_to_replace" {
  description = "The brokers whose machines were made of an older image, type, package or setting than the variables say now."
  value       = [for k, n in local.nodes : n.id if terraform_data.made_of[k].output != local.made_of[k]]
}

output "try_next" {
  description = "Commands to go on with, from a machine of the network that has the tideline program."
  value = [
    "tideline cluster health --brokers ${local.bootstrap[0]}",
    "tideline topic create hello --partitions 6 --replication-factor 3 --brokers ${join(",", local.bootstrap)}",
    "echo world | tideline produce hello --brokers ${join(",", local.bootstrap)}",
    "tideline consume hello --from-beginning --until-end --brokers ${join(",", local.bootstrap)}",
  ]
}
