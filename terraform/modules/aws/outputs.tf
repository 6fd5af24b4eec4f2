output "bootstrap_servers" {
  description = "Where clients within the network begin: HOST:PORT of the first brokers."
  value       = local.bootstrap
}

output "bootstrap_servers_external" {
  description = "Where clients from elsewhere begin, by the load balancer; null without one."
  value       = local.nlb ? "${var.access.domain != "" ? "bootstrap.${var.access.domain}" : aws_lb.this[0].dns_name}:${var.access.port_base}" : null
}

output "brokers" {
  description = "By number: the name, zone and address of each broker, the machine that is it now, and what clients from elsewhere are told."
  value = { for k, n in local.nodes : k => {
    dns         = n.dns
    zone        = n.zone
    private_ip  = aws_network_interface.node[k].private_ip
    instance_id = aws_instance.node[k].id
    external    = local.nlb ? local.external[k] : null
  } }
}

output "scrape_targets" {
  description = "The ports of metrics, for Prometheus; reachable from telemetry.scrape_cidrs."
  value       = [for k, n in local.nodes : "${n.dns}:${local.ports.http}"]
}

output "bucket" {
  description = "The bucket: its name, ARN, the prefix of this cluster, the key that it is encrypted with (empty for SSE-S3)."
  value = {
    name        = var.bucket.create ? aws_s3_bucket.this[0].bucket : var.bucket.name
    arn         = local.bucket_arn
    prefix      = local.prefix
    kms_key_arn = local.kms_key_arn
    # Known only once versions are kept: replication waits for it.
    versioned = local.versioned ? var.bucket.create ? aws_s3_bucket_versioning.this[0].versioning_configuration[0].status == "Enabled" : true : false
  }
}

output "object_store" {
  description = "The setting object.store of the brokers."
  value       = local.object_store
}

output "network" {
  description = "What else can be put into the network, or connected with it."
  value = {
    vpc_id                   = local.vpc_id
    cidr                     = var.network.create ? var.network.cidr : null
    subnet_ids               = local.subnet_ids
    private_route_table_ids  = aws_route_table.private[*].id
    private_zone_id          = aws_route53_zone.private.zone_id
    broker_security_group_id = aws_security_group.brokers.id
  }
}

output "client_security_group_id" {
  description = "The security group whose members may connect as clients."
  value       = aws_security_group.clients.id
}

output "role_arn" {
  description = "The role of the brokers, for policies of buckets and keys of other accounts."
  value       = aws_iam_role.broker.arn
}

output "user_data" {
  description = "By number: what each broker's machine is told at its first boot, as text. It has no secret in it."
  value       = { for k, n in local.nodes : k => module.cloudinit[k].user_data }
}

output "nodes_to_replace" {
  description = "The brokers whose machines were made of an older image, type, package or setting than the variables say now."
  value       = [for k, n in local.nodes : n.id if terraform_data.made_of[k].output != local.made_of[k]]
}

output "estimated_monthly_cost_usd" {
  description = "On-demand list prices, by part; total is null for an instance type whose price is not known (prices.instance_hour). bucket, requests and transfer follow from load, and are 0 without it. Data that leaves the region, NAT traffic, the balancer's capacity units and versions that are kept are not in it."
  value = {
    machines = local.cost.machines == null ? null : ceil(local.cost.machines)
    disks    = ceil(local.cost.disks)
    network  = ceil(local.cost.network)
    names    = ceil(local.cost.names)
    bucket   = ceil(local.cost.bucket)
    requests = ceil(local.cost.requests)
    transfer = ceil(local.cost.transfer)
    total    = local.cost.machines == null ? null : ceil(sum(values(local.cost)))

    # For loads of your own.
    per_stored_gib                = local.prices.bucket_gib_month
    per_mib_per_second            = ceil(local.seconds / 1024 * local.crossings * 2 * local.prices.zone_transfer_gib_one_way + local.seconds / local.roll_mib * local.prices.put_thousand / 1000)
    outage_hours_that_disks_cover = var.load.mib_per_second <= 0 || local.local ? null : floor(0.8 * var.wal_disk.size_gib * 1024 / (var.load.mib_per_second * 3 / var.node_count) / 3600)
  }
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
