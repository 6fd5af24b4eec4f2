output "bootstrap_servers" {
  description = "Where clients of each cluster begin; each network knows the names of both."
  value       = { a = module.a.bootstrap_servers, b = module.b.bootstrap_servers }
}

output "brokers" {
  description = "Names, zones, addresses and machines of the brokers of each cluster."
  value       = { a = module.a.brokers, b = module.b.brokers }
}

output "buckets" {
  description = "The bucket of each cluster, its own prefix, and the prefix of the other's copy in it."
  value = {
    a = { name = module.a.bucket.name, own = module.a.bucket.prefix, copy = contains(var.replicate, "b_to_a") ? module.b.bucket.prefix : null }
    b = { name = module.b.bucket.name, own = module.b.bucket.prefix, copy = contains(var.replicate, "a_to_b") ? module.a.bucket.prefix : null }
  }
}

output "client_security_group_ids" {
  description = "The security groups whose members may connect to each cluster from its own network."
  value       = { a = module.a.client_security_group_id, b = module.b.client_security_group_id }
}

output "nodes_to_replace" {
  description = "Brokers whose machines are made of something older than what is written here."
  value       = { a = module.a.nodes_to_replace, b = module.b.nodes_to_replace }
}

output "estimated_monthly_cost_usd" {
  description = "What each cluster costs in a month, roughly; copies between regions are charged by the GiB beside it."
  value       = { a = module.a.estimated_monthly_cost_usd, b = module.b.estimated_monthly_cost_usd }
}

output "try_next" {
  description = "Commands to go on with: each cluster, the way from one to the other, and the copies."
  value = concat(module.a.try_next, [
    "cat /etc/tideline/peers/${local.name_b}.properties  # on a broker of ${local.name_a}",
    "tideline topic list --brokers ${module.b.bootstrap_servers[0]}  # from the network of ${local.name_a}",
    "aws s3 ls --region ${var.region_b} s3://${module.b.bucket.name}/${module.a.bucket.prefix}/  # the copy of ${local.name_a}",
  ])
}
