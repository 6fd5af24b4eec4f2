# Plans against mocked providers that have the real ones' schema: `make terraform-schema`.
# That the chart's schema knows the values is checked in deploy/check/terraform/modules.

mock_provider "helm" {}
mock_provider "kubernetes" {}

variables {
  name             = "orders"
  object_store_url = "s3://example-orders/orders?region=eu-central-1&driver=aws"
  image            = { repository = "registry.example.com/tideline" }
}

run "one_set" {
  command = plan

  assert {
    condition     = yamldecode(output.values).replicas == 3 && yamldecode(output.values).zones == []
    error_message = "There are not three brokers in one set."
  }
  assert {
    condition     = output.bootstrap_servers == ["orders.tideline.svc.cluster.local:9092"]
    error_message = "Clients are told another name."
  }
  assert {
    condition     = kubernetes_namespace_v1.this[0].metadata[0].labels["pod-security.kubernetes.io/enforce"] == "restricted"
    error_message = "The namespace takes any pod."
  }
}

run "sets_of_zones" {
  command = plan

  variables {
    zones      = ["a", "b", "c"]
    node_count = 5
    namespace  = { name = "queues", create = false }
    tls        = { clients_secret = "orders-tls" }
    values     = ["rollout: {zone: a}"]
  }

  assert {
    condition     = [for z in yamldecode(output.values).zones : z.replicas] == [2, 2, 1]
    error_message = "The brokers do not take turns over the zones."
  }
  assert {
    condition     = length(kubernetes_namespace_v1.this) == 0 && helm_release.this.namespace == "queues"
    error_message = "The namespace is another one."
  }
  assert {
    condition     = yamldecode(output.values).listeners.client.protocol == "SSL"
    error_message = "The listener has no TLS."
  }
  assert {
    condition     = yamldecode(helm_release.this.values[1]).rollout.zone == "a"
    error_message = "Further values are lost."
  }
}

run "what_is_refused" {
  command = plan

  variables {
    node_count       = 2
    object_store_url = "gs://orders"
    values           = ["{"]
  }

  expect_failures = [var.node_count, var.object_store_url, var.values]
}
