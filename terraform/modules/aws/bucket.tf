# The bucket. What lies in it is the log itself, so nothing here may expire an object that
# is current: Tideline deletes what nothing refers to, after its own grace period.

locals {
  bucket_arn  = "arn:${data.aws_partition.current.partition}:s3:::${var.bucket.name}"
  bucket_kms  = var.bucket.kms_key_id != ""
  kms_key_arn = var.bucket.kms_key_id == "create" ? one(aws_kms_key.bucket[*].arn) : var.bucket.kms_key_id
  versioned   = var.bucket.versioning || var.bucket.object_lock_days > 0
  new_bucket  = var.bucket.create ? 1 : 0
}

resource "aws_kms_key" "bucket" {
  #checkov:skip=CKV2_AWS_64:The default policy leaves it to the account's policies, and the role of the brokers has what it needs.
  count = var.bucket.kms_key_id == "create" ? 1 : 0

  description             = "Objects of the Tideline cluster ${var.name}"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  tags                    = local.tags
}

resource "aws_kms_alias" "bucket" {
  count = var.bucket.kms_key_id == "create" ? 1 : 0

  name          = "alias/${var.name}-tideline"
  target_key_id = aws_kms_key.bucket[0].key_id
}

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV_AWS_18:Access logs want a second bucket; CloudTrail tells the same, and whether to pay for it is the owner's choice.
  #checkov:skip=CKV_AWS_144:Replication to another region is a choice: examples/two-regions has it.
  #checkov:skip=CKV2_AWS_62:Nothing waits for events of these objects; what is in the bucket is what the ledger says.
  count = local.new_bucket

  bucket              = var.bucket.name
  force_destroy       = var.bucket.force_destroy
  object_lock_enabled = var.bucket.object_lock_days > 0
  tags                = local.tags
}

resource "aws_s3_bucket_ownership_controls" "this" {
  count = local.new_bucket

  bucket = aws_s3_bucket.this[0].id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  count = local.new_bucket

  bucket                  = aws_s3_bucket.this[0].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  count = local.new_bucket

  bucket = aws_s3_bucket.this[0].id
  rule {
    # One data key for many objects: without it each request of an object would be one to KMS as well.
    bucket_key_enabled = local.bucket_kms
    apply_server_side_encryption_by_default {
      sse_algorithm     = local.bucket_kms ? "aws:kms" : "AES256"
      kms_master_key_id = local.bucket_kms ? local.kms_key_arn : null
    }
  }
}

resource "aws_s3_bucket_versioning" "this" {
  count = local.versioned ? local.new_bucket : 0

  bucket = aws_s3_bucket.this[0].id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_object_lock_configuration" "this" {
  count = var.bucket.object_lock_days > 0 ? local.new_bucket : 0

  bucket = aws_s3_bucket_versioning.this[0].bucket
  rule {
    default_retention {
      mode = "GOVERNANCE"
      days = var.bucket.object_lock_days
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  count = local.new_bucket

  bucket = aws_s3_bucket.this[0].id

  # Tideline puts every object by one request; parts are others' and are paid for unseen.
  rule {
    id     = "abort-multipart-uploads"
    status = "Enabled"
    filter {}
    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }

  # With versions a delete only hides. Here is where what Tideline deleted really ends, and the markers after it.
  dynamic "rule" {
    for_each = local.versioned ? [1] : []
    content {
      id     = "expire-noncurrent-versions"
      status = "Enabled"
      filter {}
      noncurrent_version_expiration {
        noncurrent_days = var.bucket.noncurrent_days
      }
      expiration {
        expired_object_delete_marker = true
      }
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}

data "aws_iam_policy_document" "bucket" {
  count = local.new_bucket

  statement {
    sid       = "EncryptedTransportOnly"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [local.bucket_arn, "${local.bucket_arn}/*"]
    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }

  statement {
    sid       = "NoOldTLS"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [local.bucket_arn, "${local.bucket_arn}/*"]
    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "NumericLessThan"
      variable = "s3:TlsVersion"
      values   = ["1.2"]
    }
  }
}

resource "aws_s3_bucket_policy" "this" {
  count = local.new_bucket

  bucket = aws_s3_bucket.this[0].id
  policy = data.aws_iam_policy_document.bucket[0].json

  depends_on = [aws_s3_bucket_public_access_block.this]
}
