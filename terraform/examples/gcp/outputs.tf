output "bootstrap_servers" {
  description = "Where clients within the network begin."
  value       = module.tideline.bootstrap_servers
}

output "brokers" {
  description = "By number: the name, zone and address of each broker, and the machine that is it now."
  value       = module.tideline.brokers
}

output "nodes_to_replace" {
  description = "The brokers whose machines were made of something older than the variables say now."
  value       = module.tideline.nodes_to_replace
}

output "try_next" {
  description = "Commands to go on with."
  value       = module.tideline.try_next
}
