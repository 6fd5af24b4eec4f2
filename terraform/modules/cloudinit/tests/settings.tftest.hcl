# What follows from the variables, and what is refused. It needs no provider.

variables {
  cluster        = "orders"
  node_id        = 2
  hostname       = "orders-2"
  zone           = "eu-central-1b"
  region         = "eu-central-1"
  seeds          = ["b1.orders.internal:9093", "b2.orders.internal:9093", "b3.orders.internal:9093"]
  listeners      = [{ name = "CLIENTS", port = 9092, advertised = "b2.orders.internal:9092" }]
  rpc_advertised = "b2.orders.internal:9093"
  object_store   = "s3://example/orders?driver=aws&region=eu-central-1"
  package        = { url = "https://example.com/tideline.deb", sha256 = "0000000000000000000000000000000000000000000000000000000000000000" }
}

run "plain" {
  command = plan

  assert {
    condition     = yamldecode(output.user_data).hostname == "orders-2"
    error_message = "The machine has another name."
  }
  assert {
    condition     = output.settings["listener.security.protocol.map"] == "CLIENTS:PLAINTEXT" && output.settings["http.listener"] == "127.0.0.1:8080"
    error_message = "Without certificates clients speak plaintext, and nobody else reaches the metrics."
  }
  assert {
    condition     = !contains(keys(output.settings), "http.allow.unauthenticated")
    error_message = "Nobody asked for an open admin API."
  }
  assert {
    condition     = yamldecode([for f in yamldecode(output.user_data).write_files : f.content if f.path == "/etc/tideline/tideline.yaml"][0]) == output.settings
    error_message = "The file of settings has others than those that are told."
  }
}

run "tls" {
  command = plan

  variables {
    tls      = { keystore = "ssm:/orders/{node}", truststore = "ssm:/orders/clients", client_auth = "required", http_certificate = "ssm:/h", http_key = "ssm:/k" }
    scraped  = true
    settings = { "http.users" = "scram", "sasl.enabled.mechanisms" = "SCRAM-SHA-512" }
    secrets  = { "env:TIDELINE_SSL_KEY_PASSWORD" = "secretsmanager:orders-{node}" }
  }

  assert {
    condition     = output.settings["listener.security.protocol.map"] == "CLIENTS:SASL_SSL" && output.settings["ssl.keystore.location"] == "/etc/tideline/tls/keystore.pem" && output.settings["ssl.client.auth"] == "required"
    error_message = "A key store and mechanisms make SASL_SSL."
  }
  assert {
    condition     = !contains(keys(output.settings), "http.allow.unauthenticated") && output.settings["http.listener"] == "0.0.0.0:8080"
    error_message = "With certificates and users the port of metrics is open to whom has a password, and only to them."
  }
  assert {
    condition = toset([for s in jsondecode([for f in yamldecode(output.user_data).write_files : f.content if f.path == "/etc/tideline/machine.json"][0]).secrets : "${s.to} ${s.from}"]) == toset([
      "/etc/tideline/tls/keystore.pem ssm:/orders/2", "/etc/tideline/tls/truststore.pem ssm:/orders/clients",
      "/etc/tideline/tls/http_certificate.pem ssm:/h", "/etc/tideline/tls/http_key.pem ssm:/k",
      "env:TIDELINE_SSL_KEY_PASSWORD secretsmanager:orders-2",
    ])
    error_message = "The machine fetches other secrets than it needs."
  }
}

run "scraped_without_users" {
  command = plan

  variables {
    scraped = true
  }

  assert {
    condition     = output.settings["http.allow.unauthenticated"] == "true"
    error_message = "The broker would refuse to open its port of metrics."
  }
}

run "settings_win" {
  command = plan

  variables {
    settings = { "min.insync.replicas" = "1", "tier.roll.ms" = "30000" }
  }

  assert {
    condition     = output.settings["min.insync.replicas"] == "1" && output.settings["tier.roll.ms"] == "30000"
    error_message = "What is given in settings wins."
  }
}

run "no_password_in_settings" {
  command = plan

  variables {
    settings = { "ssl.key.password" = "x" }
  }

  expect_failures = [var.settings]
}

run "no_pem_in_tls" {
  command = plan

  variables {
    tls = { keystore = "-----BEGIN PRIVATE KEY-----" }
  }

  expect_failures = [var.tls]
}

run "package_needs_its_sum" {
  command = plan

  variables {
    package = { url = "https://example.com/tideline.deb", sha256 = "latest" }
  }

  expect_failures = [var.package]
}

run "secrets_stay_in_their_place" {
  command = plan

  variables {
    secrets = { "/etc/tideline/../shadow" = "ssm:/x" }
  }

  expect_failures = [var.secrets]
}
