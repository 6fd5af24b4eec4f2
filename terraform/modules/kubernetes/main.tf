# A Tideline cluster on Kubernetes: the chart of deploy/helm/tideline, with values that follow
# from variables which the modules of clouds have as well.

locals {
  namespace = var.namespace.create ? kubernetes_namespace_v1.this[0].metadata[0].name : var.namespace.name
  chart     = var.chart != "" ? var.chart : "${path.module}/../../../deploy/helm/tideline"

  # Of n brokers over z zones the first n % z zones have one more.
  zones = [for i, zone in var.zones : {
    name     = zone
    replicas = floor(var.node_count / length(var.zones)) + (i < var.node_count % length(var.zones) ? 1 : 0)
  }]

  values = {
    fullnameOverride = var.name
    image            = { for k, v in var.image : k => v if v != "" }
    replicas         = var.node_count
    zones            = local.zones

    objectStore = {
      url               = var.object_store_url
      credentialsSecret = { name = var.object_store_secret }
    }
    serviceAccount = { annotations = var.service_account_annotations }

    settings       = merge({ "controller.voters" = tostring(var.voters) }, var.settings)
    secretSettings = var.secret_settings

    listeners = { client = { protocol = var.tls.clients_secret == "" ? "PLAINTEXT" : "SSL" } }
    tls = {
      clients = { secretName = var.tls.clients_secret, clientAuth = var.tls.client_auth }
      peers   = { secretName = var.tls.peers_secret }
      admin   = { secretName = var.tls.admin_secret }
    }

    persistence = { size = "${var.wal_disk.size_gib}Gi", storageClass = var.wal_disk.type }
    resources = {
      requests = { cpu = var.resources.cpu, memory = var.resources.memory }
      limits   = { memory = var.resources.memory }
    }

    networkPolicy = {
      clients  = [for c in var.client_cidrs : { ipBlock = { cidr = c } }]
      scrapers = [for c in var.telemetry.scrape_cidrs : { ipBlock = { cidr = c } }]
    }
    metrics   = { monitor = var.telemetry.monitor }
    telemetry = { otlpEndpoint = var.telemetry.otlp_endpoint }
    podLabels = var.tags
  }
}

resource "kubernetes_namespace_v1" "this" {
  count = var.namespace.create ? 1 : 0

  metadata {
    name = var.namespace.name
    labels = merge(var.tags, {
      "pod-security.kubernetes.io/enforce" = "restricted"
    })
  }
}

resource "helm_release" "this" {
  name      = var.name
  namespace = local.namespace
  chart     = local.chart
  values    = concat([yamlencode(local.values)], var.values)

  # Until all brokers are in service. What fails stays as it is, to be looked at: rolling back a
  # half-done upgrade of a log is a decision.
  wait            = true
  timeout         = var.timeout_seconds
  atomic          = false
  cleanup_on_fail = false

  # Charts are checked against their values' schema before anything is changed.
  lint = true

  lifecycle {
    precondition {
      condition     = length(var.zones) <= var.node_count
      error_message = "zones must not be more than node_count: each has one broker at least."
    }
  }
}
