output "bootstrap_servers" {
  description = "Where clients within the Kubernetes cluster begin."
  value       = ["${var.name}.${local.namespace}.svc.cluster.local:9092"]
}

output "object_store" {
  description = "The setting object.store of the brokers."
  value       = var.object_store_url
}

output "namespace" {
  description = "The namespace of the brokers."
  value       = local.namespace
}

output "release" {
  description = "The Helm release: its name, state and revision."
  value = {
    name     = helm_release.this.name
    status   = helm_release.this.status
    revision = helm_release.this.metadata.revision
  }
}

output "values" {
  description = "The values that the chart is given by the variables, as YAML; those of variable values come on top."
  value       = yamlencode(local.values)
}

output "try_next" {
  description = "Commands to go on with."
  value = [
    "kubectl --namespace ${local.namespace} get pods --selector app.kubernetes.io/instance=${var.name}",
    "helm --namespace ${local.namespace} test ${var.name}",
  ]
}
