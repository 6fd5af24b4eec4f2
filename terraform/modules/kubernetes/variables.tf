# Variables that the clouds have as well have their names; what a chart takes care of is not among them.

variable "name" {
  description = "The name of the cluster: of the Helm release and of all that the chart makes, and the prefix of what they are called."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,23}[a-z0-9]$", var.name))
    error_message = "name must have 3 to 25 lower-case letters, digits and hyphens, begin with a letter and not end with a hyphen."
  }
}

variable "node_count" {
  description = <<-EOT
    How many brokers there are. They are spread over the zones, so a multiple of the number of zones is even. Three is the least that keeps
    serving when one is gone. Any number from there on will do: only the first ones vote on the metadata, see voters.
  EOT
  type        = number
  default     = 3

  validation {
    condition     = var.node_count >= 3 && var.node_count <= 99 && floor(var.node_count) == var.node_count
    error_message = "node_count must be a whole number from 3 to 99: with fewer than three brokers no record survives the loss of one."
  }
}

variable "voters" {
  description = <<-EOT
    How many of the brokers vote on the metadata; a majority of them must be up for anything to change. Odd, because an even number tolerates
    no more losses than the odd one below it: 3 outlive the loss of one, 5 of two. It is the same for the life of the cluster.
  EOT
  type        = number
  default     = 3

  validation {
    condition     = contains([3, 5, 7], var.voters)
    error_message = "voters must be 3, 5 or 7: an even number costs a machine more and outlives no more losses."
  }
  validation {
    condition     = var.voters <= var.node_count
    error_message = "voters must not be more than node_count."
  }
}

variable "zones" {
  description = <<-EOT
    The zones, for Kubernetes before 1.35, which cannot tell a pod its zone: a StatefulSet for each, and brokers take turns over them. Their values of the label
    topology.kubernetes.io/zone. Zones may be added at the end, never taken away or moved. Empty: one StatefulSet that is spread over all zones.
  EOT
  type        = list(string)
  default     = []

  validation {
    condition     = length(var.zones) == 0 || length(var.zones) >= 2 && length(distinct(var.zones)) == length(var.zones)
    error_message = "zones must be two or more different zones (three keep a majority when one is lost), or empty."
  }
}

variable "wal_disk" {
  description = <<-EOT
    The claims for /var/lib/tideline: type is a storage class ("" for the cluster's own), which should bind when the first pod is placed. Its size bounds how long
    the object store may be away: hours = 0.8 * size_gib * 1024 / 3600 / (MiB per second that a broker stores, replicas included). How fast it is is the
    storage class's matter.
  EOT
  type = object({
    type     = optional(string, "")
    size_gib = optional(number, 100)
  })
  default = {}

  validation {
    condition     = var.wal_disk.size_gib >= 10
    error_message = "wal_disk.size_gib must be 10 or more."
  }
}

variable "object_store_url" {
  description = "The bucket as the setting object.store has it: s3://BUCKET/PREFIX?region=R&driver=aws, or with endpoint=https://HOST of any S3 server that honours conditional puts. Credentials do not belong into it."
  type        = string

  validation {
    condition     = can(regex("^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^? ]*)?(\\?[^ ]*)?$", var.object_store_url))
    error_message = "object_store_url must be s3://BUCKET/PREFIX, with region=R or endpoint=https://HOST behind a question mark."
  }
}

variable "object_store_secret" {
  description = "The name of a secret with the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Empty where the service account has a role (see service_account_annotations)."
  type        = string
  default     = ""
}

variable "service_account_annotations" {
  description = "Annotations of the brokers' service account, such as eks.amazonaws.com/role-arn, by which they get a role that reaches the bucket."
  type        = map(string)
  default     = {}
}

variable "client_cidrs" {
  description = "From where clients may connect, by the chart's network policy. Empty: from everywhere within the cluster."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for c in var.client_cidrs : can(cidrhost(c, 0))])
    error_message = "client_cidrs must be blocks of addresses, such as 10.0.0.0/8."
  }
}

variable "image" {
  description = "The image of the release: repository, and a tag (empty: the chart's own version) or a digest, sha256:…, which wins."
  type = object({
    repository = string
    tag        = optional(string, "")
    digest     = optional(string, "")
  })

  validation {
    condition     = var.image.digest == "" || can(regex("^sha256:[0-9a-f]{64}$", var.image.digest))
    error_message = "image.digest must be sha256: and 64 hexadecimal digits."
  }
}

variable "settings" {
  description = "Further settings of the brokers (docs/configuration.md). Not for passwords: see secret_settings. Those that the chart makes of other values are refused by it."
  type        = map(string)
  default     = {}
}

variable "secret_settings" {
  description = "Settings whose value is in a secret of the namespace: the setting, the secret's name and its key."
  type = map(object({
    name = string
    key  = string
  }))
  default = {}
}

variable "tls" {
  description = <<-EOT
    Secrets of the namespace with tls.crt, tls.key and, where it is needed, ca.crt: clients_secret turns TLS on for clients, peers_secret between brokers, admin_secret on
    the port of metrics. client_auth is none, requested or required.
  EOT
  type = object({
    clients_secret = optional(string, "")
    client_auth    = optional(string, "none")
    peers_secret   = optional(string, "")
    admin_secret   = optional(string, "")
  })
  default = {}

  validation {
    condition     = contains(["none", "requested", "required"], var.tls.client_auth)
    error_message = "tls.client_auth must be none, requested or required."
  }
}

variable "telemetry" {
  description = <<-EOT
    otlp_endpoint is where traces and metrics go by OTLP over gRPC (http://collector:4317); empty: nowhere. scrape_cidrs is from where the port of metrics may be reached, by
    the chart's network policy. monitor is what tells a Prometheus operator of the brokers: none, ServiceMonitor or PodMonitor.
  EOT
  type = object({
    otlp_endpoint = optional(string, "")
    scrape_cidrs  = optional(list(string), [])
    monitor       = optional(string, "none")
  })
  default = {}

  validation {
    condition     = var.telemetry.otlp_endpoint == "" || can(regex("^https?://[^/ ]+", var.telemetry.otlp_endpoint))
    error_message = "telemetry.otlp_endpoint must begin with http:// or https://."
  }
  validation {
    condition     = alltrue([for c in var.telemetry.scrape_cidrs : can(cidrhost(c, 0)) && !endswith(c, "/0")])
    error_message = "telemetry.scrape_cidrs must be blocks of addresses, and not the whole world."
  }
  validation {
    condition     = contains(["none", "ServiceMonitor", "PodMonitor"], var.telemetry.monitor)
    error_message = "telemetry.monitor must be none, ServiceMonitor or PodMonitor."
  }
}

variable "tags" {
  description = "Labels of the pods and of the namespace."
  type        = map(string)
  default     = {}
}

variable "resources" {
  description = "What a broker asks for, and may have at most, of processors and memory. Its own budgets are made of the memory."
  type = object({
    cpu    = optional(string, "1")
    memory = optional(string, "4Gi")
  })
  default = {}
}

variable "namespace" {
  description = "The namespace, and whether it is made. One that is made wants restricted pods, which the chart's are."
  type = object({
    name   = optional(string, "tideline")
    create = optional(bool, true)
  })
  default = {}
}

variable "chart" {
  description = "The chart: a directory or an archive; empty: deploy/helm/tideline of the repository that this module lies in."
  type        = string
  default     = ""
}

variable "values" {
  description = "Further values of the chart, as YAML, which win over those that follow from the other variables: access from outside, placement, how far an upgrade goes. deploy/helm/tideline/README.md lists them."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for v in var.values : can(yamldecode(v))])
    error_message = "values must be YAML."
  }
}

variable "timeout_seconds" {
  description = "How long Terraform waits until the brokers are in service. A rolling upgrade takes a minute or two for each."
  type        = number
  default     = 900
}
