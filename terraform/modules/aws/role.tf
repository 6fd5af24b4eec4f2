# What the machines may do: read and write below their prefix of the bucket, and fetch their secrets.

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "broker" {
  name               = "${var.name}-broker-${local.region}"
  description        = "Brokers of the Tideline cluster ${var.name}"
  assume_role_policy = data.aws_iam_policy_document.assume.json
  tags               = local.tags
}

resource "aws_iam_instance_profile" "broker" {
  name = aws_iam_role.broker.name
  role = aws_iam_role.broker.name
  tags = local.tags
}

locals {
  # {node} stands for any of the cluster's brokers, which trust each other with everything anyway.
  references = [for r in concat([for part, r in var.tls : r if part != "client_auth" && r != null], values(var.secrets)) : replace(r, "{node}", "*")]

  account        = "${local.region}:${data.aws_caller_identity.current.account_id}"
  arn            = "arn:${data.aws_partition.current.partition}"
  parameter_arns = distinct([for r in local.references : "${local.arn}:ssm:${local.account}:parameter/${trimprefix(trimprefix(r, "ssm:"), "/")}" if startswith(r, "ssm:")])
  # A name's ARN ends in six characters of AWS's choice.
  secret_arns = distinct([for r in local.references :
    startswith(r, "secretsmanager:arn:") ? trimprefix(r, "secretsmanager:") : "${local.arn}:secretsmanager:${local.account}:secret:${trimprefix(r, "secretsmanager:")}-??????"
    if startswith(r, "secretsmanager:")
  ])
}

data "aws_iam_policy_document" "broker" {
  # Exactly the requests that the driver makes. Objects are put by one request each, never in
  # parts, so nothing about multipart uploads is in here.
  statement {
    sid       = "Objects"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
    resources = ["${local.bucket_arn}/${local.prefix}/*"]
  }

  # Listing also decides what S3 says about an object that is not there: 404 to whoever may list its
  # name, 403 to others. The broker must be able to tell a missing root from a locked door.
  statement {
    sid       = "Names"
    actions   = ["s3:ListBucket"]
    resources = [local.bucket_arn]
    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["${local.prefix}/*"]
    }
  }

  dynamic "statement" {
    for_each = local.bucket_kms ? [1] : []
    content {
      sid       = "KeyOfTheBucket"
      actions   = ["kms:GenerateDataKey", "kms:Decrypt"]
      resources = [local.kms_key_arn]
      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["s3.${local.region}.${data.aws_partition.current.dns_suffix}"]
      }
    }
  }

  dynamic "statement" {
    for_each = length(local.parameter_arns) > 0 ? [1] : []
    content {
      sid       = "Parameters"
      actions   = ["ssm:GetParameter"]
      resources = local.parameter_arns
    }
  }

  dynamic "statement" {
    for_each = length(local.secret_arns) > 0 ? [1] : []
    content {
      sid       = "Secrets"
      actions   = ["secretsmanager:GetSecretValue"]
      resources = local.secret_arns
    }
  }

  dynamic "statement" {
    for_each = length(var.secret_kms_key_arns) > 0 ? [1] : []
    content {
      sid       = "KeysOfSecrets"
      actions   = ["kms:Decrypt"]
      resources = var.secret_kms_key_arns
    }
  }
}

resource "aws_iam_role_policy" "broker" {
  name   = "broker"
  role   = aws_iam_role.broker.id
  policy = data.aws_iam_policy_document.broker.json
}

resource "aws_iam_role_policy_attachment" "session_manager" {
  count = var.session_manager ? 1 : 0

  role       = aws_iam_role.broker.name
  policy_arn = "${local.arn}:iam::aws:policy/AmazonSSMManagedInstanceCore"
}
