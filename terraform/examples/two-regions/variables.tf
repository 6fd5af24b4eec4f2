variable "region_a" {
  description = "The region of the first cluster."
  type        = string
  default     = "eu-central-1"
}

variable "region_b" {
  description = "The region of the second cluster."
  type        = string
  default     = "eu-west-1"

  validation {
    condition     = var.region_a != var.region_b
    error_message = "region_a and region_b must differ; examples/one-region is for one."
  }
}

variable "name" {
  description = "What the names of both clusters begin with: NAME-a and NAME-b."
  type        = string
  default     = "orders"
}

variable "bucket_prefix" {
  description = "What the names of both buckets begin with: PREFIX-a and PREFIX-b, unique in the whole world."
  type        = string
}

variable "package" {
  description = "The release to install: URL and SHA-256."
  type = object({
    url    = string
    sha256 = string
  })
}

variable "cidr_a" {
  description = "The addresses of the first network."
  type        = string
  default     = "10.42.0.0/16"
}

variable "cidr_b" {
  description = "The addresses of the second network."
  type        = string
  default     = "10.43.0.0/16"

  validation {
    condition     = cidrhost(var.cidr_a, 0) != cidrhost(var.cidr_b, 0)
    error_message = "cidr_a and cidr_b must not overlap: the two networks reach each other."
  }
}

variable "replicate" {
  description = "Which buckets are copied: a_to_b, b_to_a, both or none."
  type        = set(string)
  default     = ["a_to_b", "b_to_a"]

  validation {
    condition     = length(setsubtract(var.replicate, ["a_to_b", "b_to_a"])) == 0
    error_message = "replicate may have a_to_b and b_to_a."
  }
}

variable "copy_storage_class" {
  description = "The storage class of copies. They are read only when a region is lost; those that need to be thawed first do not do."
  type        = string
  default     = "STANDARD_IA"

  validation {
    condition     = contains(["STANDARD", "STANDARD_IA", "INTELLIGENT_TIERING", "GLACIER_IR"], var.copy_storage_class)
    error_message = "copy_storage_class must be STANDARD, STANDARD_IA, INTELLIGENT_TIERING or GLACIER_IR."
  }
}

variable "node_count" {
  description = "How many brokers each cluster has."
  type        = number
  default     = 3
}

variable "instance_type" {
  description = "The type of the machines."
  type        = string
  default     = "m7i.large"
}

variable "image_a" {
  description = "An AMI of region_a; empty for Debian 12."
  type        = string
  default     = ""
}

variable "image_b" {
  description = "An AMI of region_b; empty for Debian 12."
  type        = string
  default     = ""
}

variable "wal_size_gib" {
  description = "The size of each broker's disk; see docs/operations/terraform.md."
  type        = number
  default     = 200
}

variable "settings" {
  description = "Further settings of the brokers of both clusters."
  type        = map(string)
  default     = {}
}

variable "load" {
  description = "What is expected of each cluster, for the estimate of costs."
  type = object({
    mib_per_second = optional(number, 5)
    retention_days = optional(number, 30)
  })
  default = {}
}

variable "force_destroy" {
  description = "Let destroy remove the buckets with all that is in them. For trials only."
  type        = bool
  default     = false
}
