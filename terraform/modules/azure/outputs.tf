output "bootstrap_servers" {
  description = "Where clients within the network begin: HOST:PORT of the first brokers."
  value       = local.bootstrap
}

output "brokers" {
  description = "By number: the name, zone and address of each broker, and the machine that is it now."
  value = { for k, n in local.nodes : k => {
    dns         = n.dns
    zone        = "${var.location}-${n.zone}"
    private_ip  = local.addresses[k]
    instance_id = azurerm_linux_virtual_machine.node[k].virtual_machine_id
  } }
}

output "scrape_targets" {
  description = "The ports of metrics, for Prometheus; reachable from telemetry.scrape_cidrs."
  value       = [for k, n in local.nodes : "${n.dns}:${local.ports.http}"]
}

output "bucket" {
  description = "Null: this cloud has no bucket that speaks S3."
  value       = null
}

output "object_store" {
  description = "The setting object.store of the brokers."
  value       = var.object_store_url
}

output "network" {
  description = "What else can be put into the network, or connected with it."
  value = {
    vpc_id                   = local.vpc_id
    cidr                     = local.cidr
    subnet_ids               = [local.subnet_id]
    private_zone_id          = azurerm_private_dns_zone.this.id
    broker_security_group_id = azurerm_network_security_group.this.id
  }
}

output "client_security_group_id" {
  description = "The application security group whose members may connect as clients."
  value       = azurerm_application_security_group.clients.id
}

output "identity" {
  description = "The identity of the brokers, for roles on key vaults elsewhere: its id and its principal."
  value = {
    id           = azurerm_user_assigned_identity.this.id
    principal_id = azurerm_user_assigned_identity.this.principal_id
  }
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
