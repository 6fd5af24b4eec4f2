# A Tideline cluster in one region of Azure: machines with their disks and stable
# addresses, spread over zones. README.md says what was checked of it and what was not.

locals {
  zones = length(var.zones) > 0 ? var.zones : ["1", "2", "3"]

  ports = { clients = 9092, peers = 9093, http = 8080 }

  # Names within the network. They, and not addresses, are what brokers and clients are told.
  domain = "${var.name}.internal"

  # One entry for each broker, by its number. Everything of a broker is keyed so, and taking the last
  # ones away touches no other.
  nodes = {
    for i in range(var.node_count) : tostring(i + 1) => {
      id       = i + 1
      zone     = local.zones[i % length(local.zones)]
      hostname = "${var.name}-${i + 1}"
      dns      = "b${i + 1}.${local.domain}"
    }
  }

  # The brokers that found the cluster; the same list on each.
  seeds = [for i in range(var.voters) : "b${i + 1}.${local.domain}:${local.ports.peers}"]

  bootstrap = [for i in range(min(3, var.node_count)) : "b${i + 1}.${local.domain}:${local.ports.clients}"]

  tags = merge({ tideline-cluster = var.name }, var.tags)

  group = var.resource_group_name != "" ? var.resource_group_name : azurerm_resource_group.this[0].name
}

resource "azurerm_resource_group" "this" {
  count = var.resource_group_name == "" ? 1 : 0

  name     = var.name
  location = var.location
  tags     = local.tags
}

# Who the machines are. They may read secrets of the key vaults that were named, and nothing else.
resource "azurerm_user_assigned_identity" "this" {
  name                = "${var.name}-brokers"
  resource_group_name = local.group
  location            = var.location
  tags                = local.tags
}

resource "azurerm_role_assignment" "secrets" {
  for_each = toset(var.key_vault_ids)

  scope                = each.value
  role_definition_name = "Key Vault Secrets User"
  principal_id         = azurerm_user_assigned_identity.this.principal_id
}
