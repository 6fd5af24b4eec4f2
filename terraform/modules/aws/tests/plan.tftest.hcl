# What would be made, told by plans against a provider that is not there; and what is refused.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_data "aws_region" {
    defaults = { name = "eu-central-1" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_availability_zones" {
    defaults = { names = ["eu-central-1a", "eu-central-1b", "eu-central-1c", "eu-central-1d"] }
  }
  mock_data "aws_ssm_parameter" {
    defaults = { value = "ami-0debian" }
  }
  mock_data "aws_ami" {
    defaults = { root_device_name = "/dev/xvda" }
  }
}

variables {
  name    = "orders"
  bucket  = { name = "example-orders" }
  package = { url = "https://example.com/tideline.deb", sha256 = "0000000000000000000000000000000000000000000000000000000000000000" }
}

run "three_zones" {
  command = plan

  assert {
    condition     = [for k in ["1", "2", "3"] : aws_ebs_volume.wal[k].availability_zone] == ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
    error_message = "Three brokers go into three zones."
  }
  assert {
    condition     = length(aws_subnet.private) == 3 && length(aws_nat_gateway.this) == 1 && length(aws_vpc_endpoint.bucket) == 1
    error_message = "The network has a subnet for each zone, one way out, and its own way to the object store."
  }
  assert {
    condition     = output.bootstrap_servers == ["b1.orders.internal:9092", "b2.orders.internal:9092", "b3.orders.internal:9092"]
    error_message = "Clients are told names that outlive machines."
  }
  assert {
    condition     = output.object_store == "s3://example-orders/orders?driver=aws&region=eu-central-1"
    error_message = "The objects lie below the name of the cluster."
  }
  assert {
    condition     = alltrue([for v in values(aws_ebs_volume.wal) : v.encrypted && v.type == "gp3" && v.throughput == 250])
    error_message = "Disks are encrypted, and as fast as was asked for."
  }
  assert {
    condition     = aws_launch_template.broker.metadata_options[0].http_tokens == "required" && aws_launch_template.broker.metadata_options[0].http_put_response_hop_limit == 1
    error_message = "The metadata of machines is by version 2 only."
  }
  assert {
    condition     = aws_s3_bucket_public_access_block.this[0].block_public_policy && aws_s3_bucket_public_access_block.this[0].restrict_public_buckets && !aws_s3_bucket.this[0].force_destroy
    error_message = "The bucket is nobody else's, and does not go while something is in it."
  }
  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.this[0].rule).apply_server_side_encryption_by_default).sse_algorithm == "AES256"
    error_message = "Objects are encrypted."
  }
  assert {
    condition     = length(aws_s3_bucket_versioning.this) == 0 && length(aws_lb.this) == 0 && length(aws_vpc_security_group_ingress_rule.scrape) == 0
    error_message = "Nothing is there that nobody asked for."
  }
  assert {
    condition     = output.estimated_monthly_cost_usd.machines == 221 && output.estimated_monthly_cost_usd.transfer == 0
    error_message = "Three m7i.large are 221 USD in a month."
  }
}

run "more_brokers_than_zones" {
  command = plan

  variables {
    node_count = 5
    voters     = 5
    zones      = ["eu-central-1b", "eu-central-1c", "eu-central-1a"]
  }

  assert {
    condition     = [for k in ["1", "4", "2", "5", "3"] : aws_ebs_volume.wal[k].availability_zone] == ["eu-central-1b", "eu-central-1b", "eu-central-1c", "eu-central-1c", "eu-central-1a"]
    error_message = "Brokers take turns over the zones."
  }
}

run "local_disks_and_peers" {
  command = plan

  variables {
    instance_type = "i4i.xlarge"
    wal_disk      = { type = "local" }
    peers         = { west = ["b1.west.internal:9092"] }
  }

  assert {
    condition     = length(aws_ebs_volume.wal) == 0 && strcontains(output.user_data["1"], "nvme-Amazon_EC2_NVMe_Instance_Storage_*")
    error_message = "A disk of the machine itself is looked for by its model."
  }
  assert {
    condition     = !strcontains(output.user_data["1"], "wal.max.bytes")
    error_message = "How large a disk of the machine itself is, the broker finds out."
  }
  assert {
    condition     = [for f in yamldecode(output.user_data["1"]).write_files : f.content if f.path == "/etc/tideline/peers/west.properties"][0] == "bootstrap.servers=b1.west.internal:9092\n"
    error_message = "The machines know of the other cluster."
  }
}

run "arm_image_and_unknown_price" {
  command = plan

  variables {
    instance_type = "m99g.large"
  }

  assert {
    condition     = output.estimated_monthly_cost_usd.total == null
    error_message = "A price that is not known is not guessed."
  }

  assert {
    condition     = endswith(data.aws_ssm_parameter.image[0].name, "/arm64")
    error_message = "ARM machines need an image for ARM."
  }
}

run "locked_bucket" {
  command = plan

  variables {
    bucket = { name = "example-orders", object_lock_days = 30, kms_key_id = "create" }
  }

  assert {
    condition     = aws_s3_bucket.this[0].object_lock_enabled && length(aws_s3_bucket_versioning.this) == 1 && length(aws_kms_key.bucket) == 1
    error_message = "A lock needs versions, and \"create\" makes a key."
  }
  assert {
    condition     = aws_kms_key.bucket[0].enable_key_rotation
    error_message = "The key is rotated."
  }
}

run "given_network_and_bucket" {
  command = plan

  override_data {
    target = data.aws_subnet.given[0]
    values = { availability_zone = "eu-central-1a" }
  }
  override_data {
    target = data.aws_subnet.given[1]
    values = { availability_zone = "eu-central-1b" }
  }
  override_data {
    target = data.aws_subnet.given[2]
    values = { availability_zone = "eu-central-1c" }
  }

  variables {
    network = { create = false, vpc_id = "vpc-1", subnet_ids = ["subnet-1", "subnet-2", "subnet-3"] }
    bucket  = { create = false, name = "example-shared", prefix = "team/orders" }
  }

  assert {
    condition     = length(aws_vpc.this) == 0 && length(aws_s3_bucket.this) == 0 && length(aws_nat_gateway.this) == 0
    error_message = "What is given is not made."
  }
  assert {
    condition     = aws_network_interface.node["3"].subnet_id == "subnet-3" && output.object_store == "s3://example-shared/team/orders?driver=aws&region=eu-central-1"
    error_message = "Brokers are in the given subnets, objects below the given prefix."
  }
}

# Each variable that is wrong is told of by itself.
run "refused" {
  command = plan

  variables {
    name       = "Orders!"
    node_count = 2
    wal_disk   = { type = "gp2" }
    bucket     = { name = "example-orders", object_lock_days = 1, force_destroy = true }
    network    = { cidr = "10.42.0.0/28" }
    telemetry  = { scrape_cidrs = ["0.0.0.0/0"] }
    access     = { kind = "dns", domain = "kafka.example.com", zone_id = "Z1" }
  }

  expect_failures = [var.name, var.node_count, var.wal_disk, var.bucket, var.network, var.telemetry, var.access]
}

run "impossible_throughput_even_voters_and_plaintext_in_the_internet" {
  command = plan

  variables {
    node_count = 4
    voters     = 4
    wal_disk   = { iops = 3000, throughput = 1000 }
    access     = { kind = "nlb", internal = false }
  }

  expect_failures = [var.voters, var.wal_disk, var.access]
}

run "local_disk_of_a_type_without_one" {
  command = plan

  variables {
    wal_disk = { type = "local" }
  }

  expect_failures = [var.wal_disk]
}
