# Plans against a mocked provider that has the real one's schema: `make terraform-schema`.
# They tell that the module fits together, not that the cloud takes it.

mock_provider "azurerm" {
  mock_data "azurerm_subnet" {
    defaults = {
      address_prefixes = ["10.7.0.0/24"]
    }
  }
}

variables {
  name                 = "orders"
  location             = "westeurope"
  object_store_url     = "s3://orders/tideline?endpoint=https://minio.example.com"
  admin_ssh_public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHZlcnkgbXVjaCBhbiBleGFtcGxlIG9mIGEga2V5 example"
  package = {
    url    = "https://example.com/tideline_1.0.0_amd64.deb"
    sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
  }
}

run "three_brokers_in_three_zones" {
  command = plan

  assert {
    condition     = [for k in ["1", "2", "3"] : azurerm_linux_virtual_machine.node[k].zone] == ["1", "2", "3"]
    error_message = "The brokers do not take turns over the zones."
  }
  assert {
    condition     = [for k in ["1", "2", "3"] : azurerm_network_interface.node[k].ip_configuration[0].private_ip_address] == ["10.42.0.21", "10.42.0.22", "10.42.0.23"]
    error_message = "The brokers have other addresses."
  }
  assert {
    condition     = alltrue([for k, i in azurerm_network_interface.node : i.ip_configuration[0].public_ip_address_id == null])
    error_message = "A machine has an address of the outside."
  }
  assert {
    condition     = output.bootstrap_servers == ["b1.orders.internal:9092", "b2.orders.internal:9092", "b3.orders.internal:9092"]
    error_message = "Clients are told other names."
  }
  assert {
    condition     = keys(azurerm_network_security_rule.ingress) == ["clients", "peers"]
    error_message = "Nobody was let in, and somebody may come."
  }
  assert {
    condition     = azurerm_linux_virtual_machine.node["1"].source_image_reference[0].sku == "server"
    error_message = "The image is of another architecture."
  }
}

run "a_given_network" {
  command = plan

  variables {
    zones         = ["1", "2"]
    node_count    = 5
    instance_type = "Standard_D2ps_v5"
    network = {
      create     = false
      vpc_id     = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v"
      subnet_ids = ["/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/n"]
    }
    client_cidrs = ["10.0.0.0/8"]
    telemetry    = { scrape_cidrs = ["10.1.2.3/32"] }
  }

  assert {
    condition     = length(azurerm_virtual_network.this) == 0 && length(azurerm_nat_gateway.this) == 0
    error_message = "A network is made although one was given."
  }
  assert {
    condition     = data.azurerm_subnet.given[0].name == "n" && output.brokers["5"].private_ip == "10.7.0.25"
    error_message = "The brokers have other addresses."
  }
  assert {
    condition     = azurerm_network_security_rule.ingress["scrape"].source_address_prefixes == toset(["10.1.2.3/32"])
    error_message = "Others than Prometheus reach the port of metrics."
  }
  assert {
    condition     = azurerm_linux_virtual_machine.node["1"].source_image_reference[0].sku == "server-arm64"
    error_message = "The image is of another architecture."
  }
}

run "what_is_refused" {
  command = plan

  variables {
    node_count       = 2
    zones            = ["1"]
    bucket           = { name = "orders" }
    instance_type    = "Standard_D2s_v6"
    object_store_url = "s3://orders?endpoint=https://example.blob.core.windows.net"
  }

  expect_failures = [var.node_count, var.zones, var.bucket, var.instance_type, var.object_store_url]
}

# Last: what it leaves is the state of runs after it.
run "user_data" {
  command = apply

  variables {
    secrets = {
      "env:AWS_ACCESS_KEY_ID"     = "azure:https://example.vault.azure.net/secrets/store-key"
      "env:AWS_SECRET_ACCESS_KEY" = "azure:https://example.vault.azure.net/secrets/store-secret"
    }
    key_vault_ids = ["/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/example"]
    tls           = { keystore = "azure:https://example.vault.azure.net/secrets/broker-{node}" }
    peers         = { west = ["b1.west.internal:9092"] }
  }

  override_resource {
    target = azurerm_user_assigned_identity.this
    values = {
      id           = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/orders"
      principal_id = "00000000-0000-0000-0000-000000000001"
    }
  }

  assert {
    condition     = yamldecode(output.user_data["2"]).hostname == "orders-2"
    error_message = "The machine has another name."
  }
  assert {
    condition     = alltrue([for k, d in output.user_data : yamldecode([for f in yamldecode(d).write_files : f.content if f.path == "/etc/tideline/tideline.yaml"][0])["broker.rack"] == "westeurope-${k}"])
    error_message = "The brokers are told other racks."
  }
  assert {
    condition     = alltrue([for k, m in azurerm_linux_virtual_machine.node : base64decode(m.custom_data) == output.user_data[k]])
    error_message = "The machines are told something else than the output says."
  }
  assert {
    condition     = output.nodes_to_replace == []
    error_message = "New machines are said to be old."
  }
}
