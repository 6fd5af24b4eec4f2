locals {
  vpc_id    = var.network.create ? azurerm_virtual_network.this[0].id : var.network.vpc_id
  subnet_id = var.network.create ? azurerm_subnet.this[0].id : var.network.subnet_ids[0]
  cidr      = var.network.create ? var.network.cidr : data.azurerm_subnet.given[0].address_prefixes[0]

  # /subscriptions/S/resourceGroups/G/providers/Microsoft.Network/virtualNetworks/V/subnets/N
  given = var.network.create ? [] : split("/", var.network.subnet_ids[0])

  addresses = { for k, n in local.nodes : k => cidrhost(local.cidr, var.first_address + n.id) }
}

data "azurerm_subnet" "given" {
  count = var.network.create ? 0 : 1

  resource_group_name  = local.given[4]
  virtual_network_name = local.given[8]
  name                 = local.given[10]
}

resource "azurerm_virtual_network" "this" {
  count = var.network.create ? 1 : 0

  name                = var.name
  resource_group_name = local.group
  location            = var.location
  address_space       = [var.network.cidr]
  tags                = local.tags
}

resource "azurerm_subnet" "this" {
  #checkov:skip=CKV2_AZURE_31:The security group is on the interfaces of the brokers, so that given subnets are guarded as well.
  count = var.network.create ? 1 : 0

  name                            = var.name
  resource_group_name             = local.group
  virtual_network_name            = azurerm_virtual_network.this[0].name
  address_prefixes                = [var.network.cidr]
  default_outbound_access_enabled = false
}

resource "azurerm_public_ip" "nat" {
  count = var.network.create && var.network.egress != "none" ? 1 : 0

  name                = "${var.name}-nat"
  resource_group_name = local.group
  location            = var.location
  allocation_method   = "Static"
  sku                 = "Standard"
  tags                = local.tags
}

resource "azurerm_nat_gateway" "this" {
  count = var.network.create && var.network.egress != "none" ? 1 : 0

  name                = var.name
  resource_group_name = local.group
  location            = var.location
  sku_name            = "Standard"
  tags                = local.tags
}

resource "azurerm_nat_gateway_public_ip_association" "this" {
  count = var.network.create && var.network.egress != "none" ? 1 : 0

  nat_gateway_id       = azurerm_nat_gateway.this[0].id
  public_ip_address_id = azurerm_public_ip.nat[0].id
}

resource "azurerm_subnet_nat_gateway_association" "this" {
  count = var.network.create && var.network.egress != "none" ? 1 : 0

  subnet_id      = azurerm_subnet.this[0].id
  nat_gateway_id = azurerm_nat_gateway.this[0].id
}

resource "azurerm_private_dns_zone" "this" {
  name                = local.domain
  resource_group_name = local.group
  tags                = local.tags
}

resource "azurerm_private_dns_zone_virtual_network_link" "this" {
  name                  = var.name
  resource_group_name   = local.group
  private_dns_zone_name = azurerm_private_dns_zone.this.name
  virtual_network_id    = local.vpc_id
  tags                  = local.tags
}

resource "azurerm_private_dns_a_record" "node" {
  for_each = local.nodes

  name                = "b${each.key}"
  zone_name           = azurerm_private_dns_zone.this.name
  resource_group_name = local.group
  ttl                 = 60
  records             = [local.addresses[each.key]]
  tags                = local.tags
}

# The address of a broker, which outlives its machine: one that is made anew is found where
# the old one was.
resource "azurerm_network_interface" "node" {
  for_each = local.nodes

  name                           = each.value.hostname
  resource_group_name            = local.group
  location                       = var.location
  accelerated_networking_enabled = true
  tags                           = local.tags

  ip_configuration {
    name                          = "internal"
    subnet_id                     = local.subnet_id
    private_ip_address_allocation = "Static"
    private_ip_address            = local.addresses[each.key]
  }
}

# Belongs to clients: give it to the interface of a machine, and it may connect.
resource "azurerm_application_security_group" "clients" {
  name                = "${var.name}-clients"
  resource_group_name = local.group
  location            = var.location
  tags                = local.tags
}

resource "azurerm_application_security_group" "brokers" {
  name                = "${var.name}-brokers"
  resource_group_name = local.group
  location            = var.location
  tags                = local.tags
}

resource "azurerm_network_interface_application_security_group_association" "node" {
  for_each = local.nodes

  network_interface_id          = azurerm_network_interface.node[each.key].id
  application_security_group_id = azurerm_application_security_group.brokers.id
}

resource "azurerm_network_security_group" "this" {
  name                = "${var.name}-brokers"
  resource_group_name = local.group
  location            = var.location
  tags                = local.tags
}

resource "azurerm_network_interface_security_group_association" "node" {
  for_each = local.nodes

  network_interface_id      = azurerm_network_interface.node[each.key].id
  network_security_group_id = azurerm_network_security_group.this.id
}

locals {
  # Who may come, in the order of priorities. What is not said here is refused by the last rule:
  # the cloud's own rules would let in the whole virtual network.
  ingress = concat(
    [
      { name = "peers", port = local.ports.peers, groups = [azurerm_application_security_group.brokers.id], cidrs = [] },
      { name = "clients", port = local.ports.clients, groups = [azurerm_application_security_group.clients.id], cidrs = [] },
    ],
    length(var.client_cidrs) == 0 ? [] : [{ name = "client-cidrs", port = local.ports.clients, groups = [], cidrs = var.client_cidrs }],
    length(var.telemetry.scrape_cidrs) == 0 ? [] : [{ name = "scrape", port = local.ports.http, groups = [], cidrs = var.telemetry.scrape_cidrs }],
  )
}

resource "azurerm_network_security_rule" "ingress" {
  for_each = { for i, rule in local.ingress : rule.name => merge(rule, { priority = 100 + 10 * i }) }

  name                        = each.key
  resource_group_name         = local.group
  network_security_group_name = azurerm_network_security_group.this.name
  priority                    = each.value.priority
  direction                   = "Inbound"
  access                      = "Allow"
  protocol                    = "Tcp"

  source_port_range                     = "*"
  source_address_prefixes               = length(each.value.cidrs) > 0 ? each.value.cidrs : null
  source_application_security_group_ids = length(each.value.groups) > 0 ? each.value.groups : null

  destination_port_range                     = tostring(each.value.port)
  destination_application_security_group_ids = [azurerm_application_security_group.brokers.id]
}

resource "azurerm_network_security_rule" "others" {
  name                        = "others"
  resource_group_name         = local.group
  network_security_group_name = azurerm_network_security_group.this.name
  priority                    = 4000
  direction                   = "Inbound"
  access                      = "Deny"
  protocol                    = "*"

  source_port_range          = "*"
  source_address_prefix      = "*"
  destination_port_range     = "*"
  destination_address_prefix = "*"
}
