# What one machine is told at its first boot: its settings, its disk, its package, and
# where its secrets are. It needs no provider, so that it renders anywhere:
#
#   terraform -chdir=terraform/modules/cloudinit apply -var-file=FILE
#
# The modules of the clouds call it once for each broker.

locals {
  data_dir = "/var/lib/tideline"
  tls_dir  = "/etc/tideline/tls"

  # Secrets that the settings of TLS read from files, each under the name of its part.
  tls = { for part, reference in var.tls : part => replace(reference, "{node}", tostring(var.node_id)) if part != "client_auth" && reference != null }

  secrets = concat(
    [for part in sort(keys(local.tls)) : { to = "${local.tls_dir}/${part}.pem", from = local.tls[part] }],
    [for to in sort(keys(var.secrets)) : { to = to, from = replace(var.secrets[to], "{node}", tostring(var.node_id)) }],
  )

  sasl     = contains(keys(var.settings), "sasl.enabled.mechanisms")
  protocol = "${local.sasl ? "SASL_" : ""}${contains(keys(local.tls), "keystore") ? "SSL" : "PLAINTEXT"}"

  # Which settings come of which secret. A setting without its secret is left out.
  tls_settings = {
    keystore         = "ssl.keystore.location"
    truststore       = "ssl.truststore.location"
    peer_certificate = "peer.tls.certificate"
    peer_key         = "peer.tls.key"
    peer_ca          = "peer.tls.ca"
    http_certificate = "http.ssl.certificate"
    http_key         = "http.ssl.key"
  }

  # The metrics are on the port of the admin API. Where others than this machine may read
  # them, the network keeps everybody else away, unless there are certificates and users.
  http_guarded = contains(keys(local.tls), "http_certificate") && lookup(var.settings, "http.users", "none") == "scram"

  settings = merge(
    {
      "node.id"                        = tostring(var.node_id)
      "broker.rack"                    = var.zone
      "data.dir"                       = local.data_dir
      "cluster.seeds"                  = join(",", var.seeds)
      "controller.voters"              = tostring(var.voters)
      "listeners"                      = join(",", [for l in var.listeners : "${l.name}://0.0.0.0:${l.port}"])
      "advertised.listeners"           = join(",", [for l in var.listeners : "${l.name}://${l.advertised}"])
      "listener.security.protocol.map" = join(",", [for l in var.listeners : "${l.name}:${local.protocol}"])
      "rpc.listener"                   = "0.0.0.0:${var.rpc_port}"
      "rpc.advertised"                 = var.rpc_advertised
      "http.listener"                  = "${var.scraped ? "0.0.0.0" : "127.0.0.1"}:${var.http_port}"
      "object.store"                   = var.object_store
      "default.replication.factor"     = "3"
      "min.insync.replicas"            = "2"
      "logging.format"                 = "json"
    },
    var.scraped && !local.http_guarded ? { "http.allow.unauthenticated" = "true" } : {},
    { for part, key in local.tls_settings : key => "${local.tls_dir}/${part}.pem" if contains(keys(local.tls), part) },
    contains(keys(local.tls), "keystore") ? { "ssl.client.auth" = var.tls.client_auth } : {},
    var.settings,
  )

  environment = merge(
    var.region == "" ? {} : { AWS_REGION = var.region },
    var.otlp_endpoint == "" ? {} : {
      OTEL_EXPORTER_OTLP_ENDPOINT = var.otlp_endpoint
      OTEL_RESOURCE_ATTRIBUTES    = "service.namespace=${var.cluster},cloud.availability_zone=${var.zone}"
    },
    var.environment,
  )

  user_data = templatefile("${path.module}/templates/user-data.yaml.tftpl", {
    hostname    = var.hostname
    settings    = local.settings
    environment = local.environment
    data_dir    = local.data_dir
    peers       = var.peers
    setup       = chomp(file("${path.module}/files/tideline-setup"))
    machine = jsonencode({
      region      = var.region
      data_dir    = local.data_dir
      data_device = var.data_device
      package     = var.package
      secrets     = local.secrets
    })
  })
}
