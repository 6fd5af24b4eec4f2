# What each cluster writes below its prefix is copied into the other's bucket, under the same
# names. The prefixes differ, so that no copy is ever mistaken for an object of the cluster
# that lives there, and no cluster can touch the copies: its role ends at its own prefix.
#
# Deletes are copied as well (as markers), or the copy would grow for ever.

locals {
  directions = { for k, d in {
    a_to_b = { from = module.a.bucket, to = module.b.bucket }
    b_to_a = { from = module.b.bucket, to = module.a.bucket }
  } : k => d if contains(var.replicate, k) }
}

data "aws_iam_policy_document" "assume_replication" {
  provider = aws.a

  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["s3.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "replication" {
  provider = aws.a
  for_each = local.directions

  statement {
    actions   = ["s3:GetReplicationConfiguration", "s3:ListBucket"]
    resources = [each.value.from.arn]
  }
  statement {
    actions   = ["s3:GetObjectVersionForReplication", "s3:GetObjectVersionAcl", "s3:GetObjectVersionTagging"]
    resources = ["${each.value.from.arn}/${each.value.from.prefix}/*"]
  }
  statement {
    actions   = ["s3:ReplicateObject", "s3:ReplicateDelete", "s3:ReplicateTags"]
    resources = ["${each.value.to.arn}/${each.value.from.prefix}/*"]
  }
}

resource "aws_iam_role" "replication" {
  provider = aws.a
  for_each = local.directions

  name               = "${var.name}-replication-${replace(each.key, "_", "-")}"
  description        = "S3 copies ${each.value.from.name} into ${each.value.to.name}"
  assume_role_policy = data.aws_iam_policy_document.assume_replication.json
}

resource "aws_iam_role_policy" "replication" {
  provider = aws.a
  for_each = local.directions

  name   = "replication"
  role   = aws_iam_role.replication[each.key].id
  policy = data.aws_iam_policy_document.replication[each.key].json
}

resource "aws_s3_bucket_replication_configuration" "a_to_b" {
  provider = aws.a
  count    = contains(var.replicate, "a_to_b") ? 1 : 0

  bucket = module.a.bucket.name
  role   = aws_iam_role.replication["a_to_b"].arn

  rule {
    id       = "objects-of-${local.name_a}"
    status   = "Enabled"
    priority = 1
    filter {
      prefix = "${module.a.bucket.prefix}/"
    }
    delete_marker_replication {
      status = "Enabled"
    }
    destination {
      bucket        = module.b.bucket.arn
      storage_class = var.copy_storage_class
    }
  }

  lifecycle {
    precondition {
      condition     = module.a.bucket.versioned && module.b.bucket.versioned
      error_message = "Only buckets with versions can be copied."
    }
  }

  depends_on = [aws_iam_role_policy.replication]
}

resource "aws_s3_bucket_replication_configuration" "b_to_a" {
  provider = aws.b
  count    = contains(var.replicate, "b_to_a") ? 1 : 0

  bucket = module.b.bucket.name
  role   = aws_iam_role.replication["b_to_a"].arn

  rule {
    id       = "objects-of-${local.name_b}"
    status   = "Enabled"
    priority = 1
    filter {
      prefix = "${module.b.bucket.prefix}/"
    }
    delete_marker_replication {
      status = "Enabled"
    }
    destination {
      bucket        = module.a.bucket.arn
      storage_class = var.copy_storage_class
    }
  }

  lifecycle {
    precondition {
      condition     = module.a.bucket.versioned && module.b.bucket.versioned
      error_message = "Only buckets with versions can be copied."
    }
  }

  depends_on = [aws_iam_role_policy.replication]
}
