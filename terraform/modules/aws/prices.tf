# What it costs, roughly: on-demand list prices of us-east-1 in USD, as of 2025. They are here
# so that a plan can tell whether something is cheap or dear; the bill is the truth. Variable
# prices overrides each of them.

locals {
  list_prices = {
    gp3_gib_month             = 0.08
    gp3_iops_month            = 0.005 # above 3000
    gp3_mibps_month           = 0.04  # above 125 MiB/s
    io2_gib_month             = 0.125
    io2_iops_month            = 0.065
    nat_hour                  = 0.045
    nlb_hour                  = 0.0225
    kms_key_month             = 1
    dns_zone_month            = 0.5
    bucket_gib_month          = 0.023
    put_thousand              = 0.005
    get_thousand              = 0.0004
    zone_transfer_gib_one_way = 0.01 # paid by the sender and by the receiver
  }

  instance_prices = merge({
    "t3.medium"   = 0.0416, "t4g.medium" = 0.0336,
    "c7g.large"   = 0.0725, "c7g.xlarge" = 0.145, "c7g.2xlarge" = 0.29,
    "c7i.large"   = 0.08925, "c7i.xlarge" = 0.1785, "c7i.2xlarge" = 0.357,
    "m7g.large"   = 0.0816, "m7g.xlarge" = 0.1632, "m7g.2xlarge" = 0.3264, "m7g.4xlarge" = 0.6528,
    "m7i.large"   = 0.1008, "m7i.xlarge" = 0.2016, "m7i.2xlarge" = 0.4032, "m7i.4xlarge" = 0.8064,
    "r7g.large"   = 0.1071, "r7g.xlarge" = 0.2142, "r7g.2xlarge" = 0.4284,
    "i4i.large"   = 0.172, "i4i.xlarge" = 0.343, "i4i.2xlarge" = 0.686,
    "i4g.large"   = 0.1544, "i4g.xlarge" = 0.3089, "i4g.2xlarge" = 0.6178,
    "im4gn.large" = 0.1819, "im4gn.xlarge" = 0.3638,
  }, var.prices.instance_hour)

  prices = merge(local.list_prices, { for k, v in var.prices : k => v if k != "instance_hour" && v != null })

  hours   = 730
  seconds = local.hours * 3600

  disk_month = (
    local.local ? 0 :
    var.wal_disk.type == "gp3" ? (
      var.wal_disk.size_gib * local.prices.gp3_gib_month +
      max(0, var.wal_disk.iops - 3000) * local.prices.gp3_iops_month +
      max(0, var.wal_disk.throughput - 125) * local.prices.gp3_mibps_month
    ) :
    var.wal_disk.size_gib * local.prices.io2_gib_month + var.wal_disk.iops * local.prices.io2_iops_month
  )

  # Objects that are put: one for each tier.roll.bytes, and at most one bundle of small tails for each broker and
  # tier.roll.ms. Reads of history: about one request for each MiB.
  roll_mib     = try(tonumber(var.settings["tier.roll.bytes"]) / 1048576, 64)
  roll_seconds = try(tonumber(var.settings["tier.roll.ms"]) / 1000, 60)
  puts_month   = var.load.mib_per_second <= 0 ? 0 : var.load.mib_per_second * local.seconds / local.roll_mib + var.node_count * local.seconds / local.roll_seconds
  gets_month   = var.load.cold_read_gib_per_day * 1024 * local.hours / 24

  gib_month  = var.load.mib_per_second * local.seconds / 1024
  stored_gib = var.load.mib_per_second * 86400 * var.load.retention_days / 1024

  # Each record goes to two followers in other zones, and from its producer to another zone two times in three.
  crossings = 2 + 2 / 3

  machines_month = lookup(local.instance_prices, var.instance_type, null) == null ? null : var.node_count * local.hours * lookup(local.instance_prices, var.instance_type, 0)

  cost = {
    machines = local.machines_month
    disks    = var.node_count * (local.disk_month + 16 * local.prices.gp3_gib_month)
    network  = local.nat_count * local.hours * local.prices.nat_hour + (local.nlb ? local.hours * local.prices.nlb_hour : 0)
    names    = local.prices.dns_zone_month + (var.bucket.kms_key_id == "create" ? local.prices.kms_key_month : 0)
    bucket   = local.stored_gib * local.prices.bucket_gib_month
    requests = (local.puts_month * local.prices.put_thousand + local.gets_month * local.prices.get_thousand) / 1000
    transfer = local.gib_month * local.crossings * 2 * local.prices.zone_transfer_gib_one_way
  }
}
