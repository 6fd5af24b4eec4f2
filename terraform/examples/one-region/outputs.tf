output "bootstrap_servers" {
  description = "Where clients within the network begin."
  value       = module.tideline.bootstrap_servers
}

output "bootstrap_servers_external" {
  description = "Where clients from elsewhere begin, with access.kind = nlb."
  value       = module.tideline.bootstrap_servers_external
}

output "brokers" {
  description = "Names, zones, addresses and machines of the brokers."
  value       = module.tideline.brokers
}

output "bucket" {
  description = "The bucket and the cluster's prefix in it."
  value       = module.tideline.bucket
}

output "client_security_group_id" {
  description = "Give it to a machine, and it may connect."
  value       = module.tideline.client_security_group_id
}

output "scrape_targets" {
  description = "The ports of metrics."
  value       = module.tideline.scrape_targets
}

output "nodes_to_replace" {
  description = "Brokers whose machines are made of something older than what is written here."
  value       = module.tideline.nodes_to_replace
}

output "estimated_monthly_cost_usd" {
  description = "What it costs in a month, roughly."
  value       = module.tideline.estimated_monthly_cost_usd
}

output "try_next" {
  description = "Commands to go on with."
  value       = module.tideline.try_next
}
