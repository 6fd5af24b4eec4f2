locals {
  cloud_storage = var.object_store_url == ""
  make_bucket   = local.cloud_storage && var.bucket.create
  make_key      = local.make_bucket && var.bucket.kms_key_id == "create"
  # Keys that were given by secrets are used; else a pair is made, which Terraform's state then holds.
  make_hmac = local.cloud_storage && !contains(keys(var.secrets), "env:AWS_ACCESS_KEY_ID")
  hmac_secrets = local.make_hmac ? {
    AWS_ACCESS_KEY_ID     = "${var.name}-aws-access-key-id"
    AWS_SECRET_ACCESS_KEY = "${var.name}-aws-secret-access-key"
  } : {}
  prefix = var.bucket.prefix != "" ? var.bucket.prefix : var.name

  object_store = local.cloud_storage ? "s3://${var.bucket.name}/${local.prefix}?endpoint=https://storage.googleapis.com&region=auto&path_style=true" : var.object_store_url

  secrets = merge(
    { for variable, id in local.hmac_secrets : "env:${variable}" => "gcp:projects/${var.project}/secrets/${id}/versions/latest" },
    var.secrets,
  )
  bucket  = local.make_bucket ? google_storage_bucket.this[0].name : var.bucket.name
  kms_key = local.make_key ? google_kms_crypto_key.bucket[0].id : var.bucket.kms_key_id
}

# Access logs of a bucket want a second bucket, and name the service account of the brokers in every line: the audit logs of the
# project tell the same. Object versions follow bucket.versioning; where they are off, the
# ledger keeps what was replaced for tier.garbage.grace.ms.
resource "google_storage_bucket" "this" {
  #checkov:skip=CKV_GCP_62:Access is in the audit logs of the project; a second bucket for logs is the owner's choice.
  #checkov:skip=CKV_GCP_78:Versions are a choice (bucket.versioning): objects are immutable, and deletions wait for a grace period of their own.
  count = local.make_bucket ? 1 : 0

  project                     = var.project
  name                        = var.bucket.name
  location                    = var.region
  storage_class               = "STANDARD"
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = var.bucket.force_destroy
  labels                      = local.labels

  versioning {
    enabled = var.bucket.versioning
  }

  # Deleted objects are either kept as versions or gone: not kept twice.
  soft_delete_policy {
    retention_duration_seconds = 0
  }

  dynamic "lifecycle_rule" {
    for_each = var.bucket.versioning ? [1] : []

    content {
      action {
        type = "Delete"
      }
      condition {
        days_since_noncurrent_time = var.bucket.noncurrent_days
      }
    }
  }

  dynamic "encryption" {
    for_each = var.bucket.kms_key_id == "" ? [] : [local.kms_key]

    content {
      default_kms_key_name = encryption.value
    }
  }

  depends_on = [google_kms_crypto_key_iam_member.storage]
}

# Objects below the prefix, and lists of them; both of them nowhere else.
resource "google_storage_bucket_iam_member" "objects" {
  count = local.cloud_storage ? 1 : 0

  bucket = local.bucket
  role   = "roles/storage.objectUser"
  member = google_service_account.this.member

  condition {
    title      = "prefix"
    expression = "resource.name.startsWith(\"projects/_/buckets/${var.bucket.name}/objects/${local.prefix}/\") || api.getAttribute(\"storage.googleapis.com/objectListPrefix\", \"\").startsWith(\"${local.prefix}/\")"
  }
}

# The S3 interface of Cloud Storage knows no tokens of service accounts, only pairs of keys.
resource "google_storage_hmac_key" "this" {
  count = local.make_hmac ? 1 : 0

  project               = var.project
  service_account_email = google_service_account.this.email
}

resource "google_secret_manager_secret" "hmac" {
  for_each = local.hmac_secrets

  project   = var.project
  secret_id = each.value
  labels    = local.labels

  replication {
    auto {}
  }
}

resource "google_secret_manager_secret_version" "hmac" {
  for_each = google_secret_manager_secret.hmac

  secret      = each.value.id
  secret_data = each.key == "AWS_ACCESS_KEY_ID" ? google_storage_hmac_key.this[0].access_id : google_storage_hmac_key.this[0].secret
}

resource "google_secret_manager_secret_iam_member" "hmac" {
  for_each = google_secret_manager_secret.hmac

  project   = var.project
  secret_id = each.value.secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.this.member
}

# A key ring cannot be deleted: after a destroy its name stays taken.
resource "google_kms_key_ring" "bucket" {
  count = local.make_key ? 1 : 0

  project  = var.project
  name     = "${var.name}-bucket"
  location = var.region
}

resource "google_kms_crypto_key" "bucket" {
  count = local.make_key ? 1 : 0

  name            = "bucket"
  key_ring        = google_kms_key_ring.bucket[0].id
  rotation_period = "7776000s" # 90 days
  labels          = local.labels

  lifecycle {
    # Without the key the whole history cannot be read.
    prevent_destroy = true
  }
}

data "google_storage_project_service_account" "this" {
  count   = local.make_bucket && var.bucket.kms_key_id != "" ? 1 : 0
  project = var.project
}

resource "google_kms_crypto_key_iam_member" "storage" {
  count = local.make_bucket && var.bucket.kms_key_id != "" ? 1 : 0

  crypto_key_id = local.kms_key
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = data.google_storage_project_service_account.this[0].member
}
