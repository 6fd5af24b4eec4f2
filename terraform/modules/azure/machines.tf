# The machines. What makes a broker itself outlives its machine: its number, its address
# (a network interface) and its disk. So a machine is replaced by another one that takes all
# three over, and the cluster sees a restart.
#
# Nothing replaces machines by itself, and no change of a variable does: image, size and
# settings apply to machines that are made from then on. Output nodes_to_replace names
# those that were made of something older; they are replaced one by one, see
# docs/operations/terraform.md.

locals {
  # The number under which the disk is attached, and so its name on the machine.
  lun = 10
  arm = can(regex("^Standard_[A-Z]+[0-9]+p", var.instance_type))

  # The disk is the WAL's, but for the cache of blocks.
  wal_settings = { "wal.max.bytes" = "${floor(0.8 * var.wal_disk.size_gib)}GiB" }

  # What a machine would be made of now.
  made_of = { for k, n in local.nodes : k => sha256(join("\n", [var.image, var.instance_type, module.cloudinit[k].user_data])) }
}

module "cloudinit" {
  source   = "../cloudinit"
  for_each = local.nodes

  cluster  = var.name
  node_id  = each.value.id
  hostname = each.value.hostname
  zone     = "${var.location}-${each.value.zone}"
  seeds    = local.seeds
  voters   = var.voters
  listeners = [{
    name       = "CLIENTS"
    port       = local.ports.clients
    advertised = "${each.value.dns}:${local.ports.clients}"
  }]
  rpc_port       = local.ports.peers
  rpc_advertised = "${each.value.dns}:${local.ports.peers}"
  http_port      = local.ports.http
  scraped        = length(var.telemetry.scrape_cidrs) > 0
  object_store   = var.object_store_url
  package        = var.package
  settings       = merge(local.wal_settings, var.settings)
  tls            = var.tls
  secrets        = var.secrets
  data_device    = "/dev/disk/azure/scsi1/lun${local.lun}"
  otlp_endpoint  = var.telemetry.otlp_endpoint
  peers          = var.peers
}

resource "azurerm_managed_disk" "wal" {
  #checkov:skip=CKV_AZURE_93:Disks are encrypted with keys of the platform; a key of one's own costs availability, and what lies here is copied to the object store within a minute.
  for_each = local.nodes

  name                 = "${each.value.hostname}-wal"
  resource_group_name  = local.group
  location             = var.location
  zone                 = each.value.zone
  storage_account_type = var.wal_disk.type
  create_option        = "Empty"
  disk_size_gb         = var.wal_disk.size_gib
  disk_iops_read_write = var.wal_disk.type == "PremiumV2_LRS" ? var.wal_disk.iops : null
  disk_mbps_read_write = var.wal_disk.type == "PremiumV2_LRS" ? var.wal_disk.throughput : null
  tags                 = local.tags

  public_network_access_enabled = false
  network_access_policy         = "DenyAll"
}

resource "azurerm_linux_virtual_machine" "node" {
  for_each = local.nodes

  name                  = each.value.hostname
  resource_group_name   = local.group
  location              = var.location
  zone                  = each.value.zone
  size                  = var.instance_type
  disk_controller_type  = "SCSI"
  network_interface_ids = [azurerm_network_interface.node[each.key].id]
  custom_data           = base64encode(module.cloudinit[each.key].user_data)
  tags                  = local.tags

  admin_username                  = "operator"
  disable_password_authentication = true
  allow_extension_operations      = false
  secure_boot_enabled             = true
  vtpm_enabled                    = true

  admin_ssh_key {
    username   = "operator"
    public_key = var.admin_ssh_public_key
  }

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.this.id]
  }

  os_disk {
    caching              = "ReadWrite"
    storage_account_type = "Premium_LRS"
    disk_size_gb         = 30
  }

  source_image_id = var.image != "" ? var.image : null

  dynamic "source_image_reference" {
    for_each = var.image == "" ? [1] : []

    content {
      publisher = "Canonical"
      offer     = "ubuntu-24_04-lts"
      sku       = local.arm ? "server-arm64" : "server"
      version   = "latest"
    }
  }

  # What the machine says while it starts, kept by the cloud.
  boot_diagnostics {}

  lifecycle {
    ignore_changes = [size, custom_data, source_image_id, source_image_reference]

    precondition {
      condition     = length(base64encode(module.cloudinit[each.key].user_data)) <= 87380
      error_message = "The settings of the machine are more than the 64 KiB that this cloud takes."
    }
  }

  # The machine asks for its secrets as soon as it starts, through a network that lets it.
  depends_on = [
    azurerm_role_assignment.secrets,
    azurerm_subnet_nat_gateway_association.this,
    azurerm_nat_gateway_public_ip_association.this,
    azurerm_network_interface_security_group_association.node,
    azurerm_network_interface_application_security_group_association.node,
    azurerm_private_dns_zone_virtual_network_link.this,
    azurerm_private_dns_a_record.node,
  ]
}

# The machine waits for its disk, which comes once it runs.
resource "azurerm_virtual_machine_data_disk_attachment" "wal" {
  for_each = local.nodes

  managed_disk_id    = azurerm_managed_disk.wal[each.key].id
  virtual_machine_id = azurerm_linux_virtual_machine.node[each.key].id
  lun                = local.lun
  caching            = "None"
}

# Remembers what each machine was made of.
resource "terraform_data" "made_of" {
  for_each = local.nodes

  input            = local.made_of[each.key]
  triggers_replace = azurerm_linux_virtual_machine.node[each.key].virtual_machine_id

  lifecycle {
    ignore_changes = [input]
  }
}
