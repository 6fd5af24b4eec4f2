variable "cluster" {
  description = "The name of the cluster; traces and metrics carry it as service.namespace."
  type        = string
}

variable "node_id" {
  description = "The number of this broker (node.id)."
  type        = number

  validation {
    condition     = var.node_id >= 0 && floor(var.node_id) == var.node_id
    error_message = "node_id must be a whole number from 0 on."
  }
}

variable "hostname" {
  description = "The name that the machine gives itself."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", var.hostname))
    error_message = "hostname must have lower-case letters, digits and hyphens, 63 at most."
  }
}

variable "zone" {
  description = "The availability zone of this broker (broker.rack). Replicas are spread over zones."
  type        = string
}

variable "region" {
  description = "The region of the object store and of the secrets on AWS; empty elsewhere."
  type        = string
  default     = ""
}

variable "seeds" {
  description = "The internal addresses, HOST:PORT, of the first brokers; the same list in the same order on each (cluster.seeds)."
  type        = list(string)

  validation {
    condition     = length(var.seeds) > 0 && alltrue([for s in var.seeds : can(regex("^[^ ,:]+:[0-9]+$", s))])
    error_message = "seeds must be HOST:PORT, one at least."
  }
}

variable "voters" {
  description = "How many brokers vote on the metadata (controller.voters), the same on each."
  type        = number
  default     = 3
}

variable "listeners" {
  description = "Where clients connect: the name of the listener, its port on the machine, and the HOST:PORT that clients are told."
  type = list(object({
    name       = string
    port       = number
    advertised = string
  }))

  validation {
    condition     = length(var.listeners) > 0 && alltrue([for l in var.listeners : can(regex("^[A-Z][A-Z0-9_]*$", l.name))])
    error_message = "listeners must have one entry at least, with a NAME in capitals each."
  }
}

variable "rpc_port" {
  description = "The port for the other brokers."
  type        = number
  default     = 9093
}

variable "rpc_advertised" {
  description = "What the other brokers are told to connect to, HOST:PORT (rpc.advertised). That of the first brokers is in seeds, letter by letter."
  type        = string
}

variable "http_port" {
  description = "The port of metrics, health and the admin API."
  type        = number
  default     = 8080
}

variable "scraped" {
  description = "Whether others than this machine may reach http_port. The network must then keep everybody else away, or tls have http_certificate and settings http.users=scram."
  type        = bool
  default     = false
}

variable "object_store" {
  description = "The bucket as the setting object.store has it: s3://BUCKET/PREFIX?region=R&driver=aws."
  type        = string
}

variable "package" {
  description = "The release to install: the URL (https, http or file) of a .deb or of a .tar.gz with the binary and the unit, and its SHA-256 in hex."
  type = object({
    url    = string
    sha256 = string
  })

  validation {
    condition     = can(regex("^(https?|file)://[^ ]+$", var.package.url))
    error_message = "package.url must begin with https://, http:// or file://."
  }
  validation {
    condition     = can(regex("^[0-9a-f]{64}$", var.package.sha256))
    error_message = "package.sha256 must be 64 hexadecimal digits in lower case; SHA256SUMS of the release has it."
  }
}

variable "settings" {
  description = "Further settings of the broker, which win over those that follow from the other variables. Not for passwords: see secrets."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for k in keys(var.settings) : can(regex("^[a-z0-9._-]+$", k)) && !endswith(k, "password")])
    error_message = "settings have keys such as tier.roll.bytes; a password is given by secrets, as env:TIDELINE_SSL_KEYSTORE_PASSWORD for ssl.keystore.password."
  }
}

variable "environment" {
  description = "Further variables of the broker's environment, such as OTEL_TRACES_SAMPLER."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for k, v in var.environment : can(regex("^[A-Z_][A-Z0-9_]*$", k)) && !can(regex("[\n\r$`]", v))])
    error_message = "environment has NAMES in capitals, and values of one line without $ and `."
  }
}

variable "tls" {
  description = <<-EOT
    Certificates and keys, each by reference to where the machine fetches it (see secrets); {node} stands for the number of the broker.
    keystore (key and chain in one PEM) turns TLS on for clients, the three of peer_ between brokers, http_certificate and http_key for
    the port of metrics. truststore has the authorities of clients, client_auth is none, requested or required.
  EOT
  type = object({
    keystore         = optional(string)
    truststore       = optional(string)
    client_auth      = optional(string, "none")
    peer_certificate = optional(string)
    peer_key         = optional(string)
    peer_ca          = optional(string)
    http_certificate = optional(string)
    http_key         = optional(string)
  })
  default = {}

  validation {
    condition     = contains(["none", "requested", "required"], var.tls.client_auth)
    error_message = "tls.client_auth must be none, requested or required."
  }
  validation {
    condition     = var.tls.client_auth == "none" || var.tls.truststore != null
    error_message = "tls.client_auth other than none needs tls.truststore: the authorities whose certificates clients may show."
  }
  validation {
    condition     = length(compact([var.tls.peer_certificate, var.tls.peer_key, var.tls.peer_ca])) % 3 == 0
    error_message = "tls.peer_certificate, tls.peer_key and tls.peer_ca go together: give all three or none."
  }
  validation {
    condition     = length(compact([var.tls.http_certificate, var.tls.http_key])) % 2 == 0
    error_message = "tls.http_certificate and tls.http_key go together: give both or none."
  }
  validation {
    condition     = alltrue([for part, r in var.tls : part == "client_auth" || r == null || can(regex("^(ssm|secretsmanager|gcp|azure|file):.+$", r))])
    error_message = "tls has references, never PEM itself: ssm:NAME, secretsmanager:NAME, gcp:projects/P/secrets/S/versions/latest, azure:https://VAULT.vault.azure.net/secrets/NAME or file:PATH."
  }
}

variable "secrets" {
  description = <<-EOT
    Further secrets: where one goes, and the reference to where the machine fetches it, now and every hour. It goes into a file below
    /etc/tideline, or into the environment of the broker (env:TIDELINE_SSL_KEY_PASSWORD). References are ssm:NAME (AWS Parameter Store),
    secretsmanager:NAME, gcp:projects/P/secrets/S/versions/latest, azure:https://VAULT.vault.azure.net/secrets/NAME and file:PATH (what the
    image brings along); {node} stands for the number of the broker.
  EOT
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for to in keys(var.secrets) : can(regex("^(env:[A-Z_][A-Z0-9_]*|/etc/tideline/[A-Za-z0-9._/-]+)$", to)) && !strcontains(to, "..")])
    error_message = "secrets go to env:NAME or to a file below /etc/tideline."
  }
  validation {
    condition     = alltrue([for r in values(var.secrets) : can(regex("^(ssm|secretsmanager|gcp|azure|file):.+$", r))])
    error_message = "secrets come from ssm:NAME, secretsmanager:NAME, gcp:projects/P/secrets/S/versions/latest, azure:https://VAULT.vault.azure.net/secrets/NAME or file:PATH."
  }
}

variable "data_device" {
  description = "The disk for /var/lib/tideline, a path or a pattern such as /dev/disk/by-id/NAME*. It gets a file system only when it is blank. Empty: the machine's own disk is used."
  type        = string
  default     = ""
}

variable "otlp_endpoint" {
  description = "Where traces and metrics go by OTLP (OTEL_EXPORTER_OTLP_ENDPOINT), such as http://collector:4318; empty: nowhere."
  type        = string
  default     = ""
}

variable "peers" {
  description = "Clusters elsewhere that this machine is told of: name to bootstrap addresses. Each is a file /etc/tideline/peers/NAME.properties."
  type        = map(list(string))
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.peers) : can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", name))])
    error_message = "peers have names of lower-case letters, digits and hyphens."
  }
}
