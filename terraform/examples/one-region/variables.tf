variable "region" {
  description = "The region."
  type        = string
  default     = "eu-central-1"
}

variable "name" {
  description = "The name of the cluster."
  type        = string
  default     = "orders"
}

variable "bucket_name" {
  description = "The name of the bucket that is made, unique in the whole world."
  type        = string
}

variable "package" {
  description = "The release to install: URL and SHA-256."
  type = object({
    url    = string
    sha256 = string
  })
}

variable "node_count" {
  description = "How many brokers there are."
  type        = number
  default     = 3
}

variable "instance_type" {
  description = "The type of the machines."
  type        = string
  default     = "m7i.large"
}

variable "image" {
  description = "An AMI; empty for Debian 12."
  type        = string
  default     = ""
}

variable "wal_size_gib" {
  description = "The size of each broker's disk; see docs/operations/terraform.md."
  type        = number
  default     = 200
}

variable "settings" {
  description = "Further settings of the brokers."
  type        = map(string)
  default     = {}
}

variable "tls" {
  description = "References to certificates and keys; see the module."
  type        = map(string)
  default     = {}
}

variable "client_cidrs" {
  description = "From where clients may connect, beside the members of the clients' security group."
  type        = list(string)
  default     = []
}

variable "access" {
  description = "How clients reach the brokers; see the module."
  type = object({
    kind          = optional(string, "dns")
    internal      = optional(bool, true)
    allowed_cidrs = optional(list(string), [])
  })
  default = {}
}

variable "telemetry" {
  description = "Where traces and metrics go, and from where metrics may be read; see the module."
  type = object({
    otlp_endpoint = optional(string, "")
    scrape_cidrs  = optional(list(string), [])
  })
  default = {}
}

variable "load" {
  description = "What is expected, for the estimate of costs."
  type = object({
    mib_per_second = optional(number, 5)
    retention_days = optional(number, 30)
  })
  default = {}
}

variable "kms_key_id" {
  description = "Empty for SSE-S3, \"create\" for a key of the cluster's own, or the ARN of a key."
  type        = string
  default     = ""
}

variable "versioning" {
  description = "Keep what was deleted from the bucket for a week more."
  type        = bool
  default     = false
}

variable "force_destroy" {
  description = "Let destroy remove the bucket with all that is in it. For trials only."
  type        = bool
  default     = false
}
