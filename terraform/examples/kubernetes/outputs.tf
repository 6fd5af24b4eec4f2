output "bootstrap_servers" {
  description = "Where clients begin."
  value       = module.tideline.bootstrap_servers
}

output "try_next" {
  description = "Commands to go on with."
  value       = module.tideline.try_next
}
