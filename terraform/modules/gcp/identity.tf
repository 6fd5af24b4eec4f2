# What the machines may do: read their secrets, write the cluster's prefix of the bucket,
# and their logs. Nothing else.
resource "google_service_account" "this" {
  project      = var.project
  account_id   = "${var.name}-node"
  display_name = "Brokers of the Tideline cluster ${var.name}"
}

locals {
  # The secrets that are referred to, {node} taken for each broker.
  references = distinct(flatten([for id, node in local.nodes : [
    for r in concat([for part, r in var.tls : r if part != "client_auth" && r != null], values(var.secrets)) : replace(r, "{node}", id)
  ]]))
  granted = toset([for r in local.references : regex("^gcp:(projects/[^/]+/secrets/[^/]+)/", r)[0] if startswith(r, "gcp:")])
}

resource "google_secret_manager_secret_iam_member" "node" {
  for_each = local.granted

  secret_id = each.value
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.this.member
}

resource "google_project_iam_member" "logs" {
  project = var.project
  role    = "roles/logging.logWriter"
  member  = google_service_account.this.member
}
