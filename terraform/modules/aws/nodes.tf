# The machines. What makes a broker itself outlives its machine: its number, its address
# (a network interface) and its disk (a volume). So a machine is replaced by another one
# that takes all three over, and the cluster sees a restart.
#
# Nothing replaces machines by itself, and no change of a variable does: image, type and
# settings apply to machines that are made from then on. Output nodes_to_replace names
# those that were made of something older; they are replaced one by one, see
# docs/operations/terraform.md.

locals {
  arm   = can(regex("^[a-z]+[0-9]+g", var.instance_type))
  image = var.image != "" ? var.image : nonsensitive(data.aws_ssm_parameter.image[0].value)
  local = var.wal_disk.type == "local"

  devices = { for k, n in local.nodes : k => local.local ?
    "/dev/disk/by-id/nvme-Amazon_EC2_NVMe_Instance_Storage_*" :
    "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_${replace(aws_ebs_volume.wal[k].id, "-", "")}"
  }

  # By itself a broker takes 64 GiB of a larger disk. This one is nobody else's: four fifths are for the WAL, a tenth
  # is for the cache of what is read from the bucket.
  wal_settings = local.local ? {} : { "wal.max.bytes" = "${floor(0.8 * var.wal_disk.size_gib)}GiB" }

  # What a machine would be made of now.
  made_of = { for k, n in local.nodes : k => sha256(join("\n", [local.image, var.instance_type, module.cloudinit[k].user_data])) }
}

data "aws_ssm_parameter" "image" {
  count = var.image == "" ? 1 : 0
  name  = "/aws/service/debian/release/12/latest/${local.arm ? "arm64" : "amd64"}"
}

data "aws_ami" "image" {
  filter {
    name   = "image-id"
    values = [local.image]
  }
}

module "cloudinit" {
  source   = "../cloudinit"
  for_each = local.nodes

  cluster        = var.name
  node_id        = each.value.id
  hostname       = each.value.hostname
  zone           = each.value.zone
  region         = local.region
  seeds          = local.seeds
  voters         = var.voters
  listeners      = local.listeners[each.key]
  rpc_port       = local.ports.peers
  rpc_advertised = "${each.value.dns}:${local.ports.peers}"
  http_port      = local.ports.http
  scraped        = length(var.telemetry.scrape_cidrs) > 0
  object_store   = local.object_store
  package        = var.package
  settings       = merge(local.wal_settings, var.settings)
  tls            = var.tls
  secrets        = var.secrets
  data_device    = local.devices[each.key]
  otlp_endpoint  = var.telemetry.otlp_endpoint
  peers          = var.peers
}

resource "aws_network_interface" "node" {
  for_each = local.nodes

  description     = "Broker ${each.key} of ${var.name}"
  subnet_id       = local.subnet_ids[each.value.subnet]
  security_groups = [aws_security_group.brokers.id]
  tags            = merge(local.tags, { Name = each.value.hostname })
}

resource "aws_ebs_volume" "wal" {
  #checkov:skip=CKV_AWS_189:It is encrypted by the account's key; a key of one's own costs availability, and what lies here is in the bucket within a minute.
  for_each = local.local ? {} : local.nodes

  availability_zone = each.value.zone
  type              = var.wal_disk.type
  size              = var.wal_disk.size_gib
  iops              = var.wal_disk.iops == 0 ? null : var.wal_disk.iops
  throughput        = var.wal_disk.type == "gp3" ? var.wal_disk.throughput : null
  encrypted         = true
  tags              = merge(local.tags, { Name = "${each.value.hostname}-wal" })
}

resource "aws_launch_template" "broker" {
  name                   = var.name
  description            = "Brokers of ${var.name}"
  image_id               = local.image
  instance_type          = var.instance_type
  update_default_version = true
  ebs_optimized          = true

  iam_instance_profile {
    name = aws_iam_instance_profile.broker.name
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
    instance_metadata_tags      = "disabled"
  }

  # A machine whose host fails is started on another one, with its address and its disk.
  maintenance_options {
    auto_recovery = "default"
  }

  block_device_mappings {
    device_name = data.aws_ami.image.root_device_name
    ebs {
      volume_type           = "gp3"
      volume_size           = 16
      encrypted             = true
      delete_on_termination = true
    }
  }

  tag_specifications {
    resource_type = "volume"
    tags          = local.tags
  }
}

resource "aws_instance" "node" {
  #checkov:skip=CKV_AWS_126:Metrics of the machine in minutes are the owner's choice; the broker has its own by the second.
  #checkov:skip=CKV_AWS_135:The launch template says so: ebs_optimized.
  #checkov:skip=CKV_AWS_79:The launch template asks for tokens: metadata_options.
  #checkov:skip=CKV_AWS_8:The launch template encrypts the root disk, and the WAL has a volume of its own, which is encrypted.
  #checkov:skip=CKV2_AWS_41:The launch template gives it the instance profile of the brokers.
  for_each = local.nodes

  user_data_base64 = module.cloudinit[each.key].user_data_base64gzip
  tags             = merge(local.tags, { Name = each.value.hostname, "tideline:node" = each.key })

  launch_template {
    id      = aws_launch_template.broker.id
    version = aws_launch_template.broker.latest_version
  }

  network_interface {
    device_index         = 0
    network_interface_id = aws_network_interface.node[each.key].id
  }

  lifecycle {
    ignore_changes = [launch_template, ami, instance_type, user_data_base64]

    precondition {
      condition     = length(distinct(local.zones)) == length(local.zones) && length(local.zones) >= 2
      error_message = "The brokers need subnets in two different zones at least, one subnet for each zone."
    }
  }

  # The first boot fetches its package and its secrets: the way there, and the right to, come before.
  depends_on = [aws_iam_role_policy.broker, aws_route.nat, aws_route_table_association.private, aws_vpc_endpoint.bucket]
}

# Stopping comes before detaching: the broker hands over what it leads, and its disk is at rest.
resource "aws_volume_attachment" "wal" {
  for_each = local.local ? {} : local.nodes

  device_name                    = "/dev/sdf"
  instance_id                    = aws_instance.node[each.key].id
  volume_id                      = aws_ebs_volume.wal[each.key].id
  stop_instance_before_detaching = true
}

# Remembers what each machine was made of.
resource "terraform_data" "made_of" {
  for_each = local.nodes

  input            = local.made_of[each.key]
  triggers_replace = aws_instance.node[each.key].id

  lifecycle {
    ignore_changes = [input]
  }
}
