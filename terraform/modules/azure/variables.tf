# The variables that the modules of all clouds have come first, under the same names.

variable "name" {
  description = "The name of the cluster. Machines, disks, roles and DNS names begin with it, and it is the prefix of the cluster's objects unless bucket.prefix says otherwise."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,23}[a-z0-9]$", var.name))
    error_message = "name must have 3 to 25 lower-case letters, digits and hyphens, begin with a letter and not end with a hyphen."
  }
}

variable "node_count" {
  description = <<-EOT
    How many brokers there are. They take turns over the zones, so a multiple of the number of zones is even. Three is the least that keeps
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
  description = "The availability zones, in the order in which brokers take turns over them; broker.rack is the region and the zone, westeurope-1. Empty: 1, 2 and 3."
  type        = list(string)
  default     = []

  validation {
    condition     = length(var.zones) == 0 || length(var.zones) >= 2 && length(distinct(var.zones)) == length(var.zones)
    error_message = "zones must be two or more different zones (three keep a majority when one is lost), or empty for 1, 2 and 3."
  }
  validation {
    condition     = alltrue([for z in var.zones : can(regex("^[1-9]$", z))])
    error_message = "zones must be numbers of zones, such as 1."
  }
}

variable "instance_type" {
  description = "The size of the machines; docs/operations/terraform.md has a table of sizes. Sizes with 64-bit ARM processors (a p after the number, Standard_D2ps_v5) need a package for arm64 and are recognized by the image (see image)."
  type        = string
  default     = "Standard_D2s_v5"

  validation {
    condition     = can(regex("^Standard_", var.instance_type)) && !can(regex("_v([6-9]|[1-9][0-9])$", var.instance_type))
    error_message = "instance_type must be a size such as Standard_D2s_v5, up to version 5: later ones name their disks otherwise."
  }
}

variable "wal_disk" {
  description = <<-EOT
    The disk of /var/lib/tideline, which survives its machine: PremiumV2_LRS, or Premium_LRS where there is none. Its size bounds how long the object store
    may be away: hours = 0.8 * size_gib * 1024 / 3600 / (MiB per second that a broker stores, replicas included). iops and throughput (MB/s) are those of
    PremiumV2_LRS; a Premium_LRS has what its size gives.
  EOT
  type = object({
    type       = optional(string, "PremiumV2_LRS")
    size_gib   = optional(number, 200)
    iops       = optional(number, 3000)
    throughput = optional(number, 250)
  })
  default = {}

  validation {
    condition     = contains(["PremiumV2_LRS", "Premium_LRS"], var.wal_disk.type)
    error_message = "wal_disk.type must be PremiumV2_LRS or Premium_LRS. Others are too slow for a log that is synced, or are copied to a zone where no broker is."
  }
  validation {
    condition     = var.wal_disk.size_gib >= 10 && var.wal_disk.size_gib <= 32767
    error_message = "wal_disk.size_gib must be from 10 to 32767."
  }
  validation {
    condition     = var.wal_disk.type != "PremiumV2_LRS" || var.wal_disk.iops >= 3000 && var.wal_disk.iops <= 80000 && var.wal_disk.throughput >= 125 && var.wal_disk.throughput <= 1200 && var.wal_disk.throughput <= var.wal_disk.iops / 4
    error_message = "A PremiumV2_LRS has 3000 to 80000 iops and a throughput of 125 to 1200 MB/s, a quarter of its iops at most."
  }
}

# tflint-ignore: terraform_unused_declarations # its validation is its use: it tells those who come from another cloud
variable "bucket" {
  description = <<-EOT
    Of the other clouds' modules. Azure's own object store, Blob Storage, does not speak S3, so there is no bucket to make: leave it out, and give
    object_store_url.
  EOT
  type = object({
    create           = optional(bool, false)
    name             = optional(string, "")
    prefix           = optional(string, "")
    force_destroy    = optional(bool, false)
    versioning       = optional(bool, false)
    noncurrent_days  = optional(number, 7)
    object_lock_days = optional(number, 0)
    kms_key_id       = optional(string, "")
  })
  default = {}

  validation {
    condition     = !var.bucket.create && var.bucket.name == ""
    error_message = "Azure has no bucket that Tideline can use: Blob Storage does not speak S3. Leave bucket out and give object_store_url."
  }
}

variable "network" {
  description = <<-EOT
    create = true makes a network with one private subnet, which all zones of the region share, out of cidr (a /16 to /22). create = false takes vpc_id (the
    id of a virtual network) and in subnet_ids one subnet of it. egress is how machines reach what is outside, for packages and time: "nat" (one gateway), or
    "none", when the package and all else are reachable otherwise. A subnet has one gateway: "nat_per_zone" means the same as "nat".
  EOT
  type = object({
    create     = optional(bool, true)
    cidr       = optional(string, "10.42.0.0/16")
    vpc_id     = optional(string, "")
    subnet_ids = optional(list(string), [])
    egress     = optional(string, "nat")
  })
  default = {}

  validation {
    condition     = can(cidrnetmask(var.network.cidr)) && try(tonumber(split("/", var.network.cidr)[1]) >= 16 && tonumber(split("/", var.network.cidr)[1]) <= 22, false)
    error_message = "network.cidr must be an IPv4 block of /16 to /22, such as 10.42.0.0/16."
  }
  validation {
    condition     = var.network.create || var.network.vpc_id != "" && length(var.network.subnet_ids) == 1 && alltrue([for s in var.network.subnet_ids : can(regex("^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft.Network/virtualNetworks/[^/]+/subnets/[^/]+$", s))])
    error_message = "network.create = false needs network.vpc_id and the id of one subnet in network.subnet_ids: a subnet spans the zones of its region."
  }
  validation {
    condition     = !var.network.create || var.network.vpc_id == "" && length(var.network.subnet_ids) == 0
    error_message = "network.vpc_id and network.subnet_ids go with network.create = false."
  }
  validation {
    condition     = contains(["nat", "nat_per_zone", "none"], var.network.egress)
    error_message = "network.egress must be nat, nat_per_zone or none."
  }
}

variable "client_cidrs" {
  description = "From where clients may connect, beside the members of the clients' application security group (output client_security_group_id)."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for c in var.client_cidrs : can(cidrhost(c, 0))])
    error_message = "client_cidrs must be blocks of addresses, such as 10.0.0.0/8."
  }
}

variable "package" {
  description = "The release to install: the URL (https, http or file) of a .deb or .tar.gz of the machines' architecture, and its SHA-256 in hex, as SHA256SUMS of the release has it."
  type = object({
    url    = string
    sha256 = string
  })

  validation {
    condition     = can(regex("^(https?|file)://[^ ]+$", var.package.url)) && can(regex("^[0-9a-f]{64}$", var.package.sha256))
    error_message = "package needs a url beginning with https://, http:// or file://, and a sha256 of 64 hexadecimal digits in lower case."
  }
}

variable "settings" {
  description = "Further settings of the brokers (docs/configuration.md), which win over those that follow from the other variables. Not for passwords: see secrets."
  type        = map(string)
  default     = {}
}

variable "tls" {
  description = <<-EOT
    Certificates and keys, each by reference to where the machines fetch it: azure:https://VAULT.vault.azure.net/secrets/NAME (Key Vault), in which
    {node} stands for the number of the broker. keystore (key and chain in one PEM) turns TLS on for clients, the three of peer_ between brokers, http_certificate
    and http_key for the port of metrics. truststore has the authorities of clients, client_auth is none, requested or required.
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
    condition     = alltrue([for part, r in var.tls : part == "client_auth" || r == null || can(regex("^(azure:https://[^/]+/secrets/[^/]+|file:.+)", r))])
    error_message = "tls has references, never PEM itself: azure:https://VAULT.vault.azure.net/secrets/NAME or file:PATH."
  }
}

variable "secrets" {
  description = <<-EOT
    Further secrets: where one goes (env:AWS_SECRET_ACCESS_KEY, or a file below /etc/tideline) and its reference, as in tls. What they hold
    never passes through Terraform. The keys of the object store are among them: env:AWS_ACCESS_KEY_ID and env:AWS_SECRET_ACCESS_KEY.
  EOT
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for r in values(var.secrets) : can(regex("^(azure:https://[^/]+/secrets/[^/]+|file:.+)", r))])
    error_message = "secrets come from azure:https://VAULT.vault.azure.net/secrets/NAME or file:PATH."
  }
}

variable "telemetry" {
  description = <<-EOT
    otlp_endpoint is where traces and metrics go by OTLP (http://collector:4318); empty: nowhere. scrape_cidrs is from where Prometheus may reach
    the port of metrics, which is that of the admin API: with it empty the port is for the machine itself only. Without tls.http_certificate and
    settings "http.users" = "scram" whoever is in scrape_cidrs can move replicas: name machines, not networks.
  EOT
  type = object({
    otlp_endpoint = optional(string, "")
    scrape_cidrs  = optional(list(string), [])
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
}

variable "peers" {
  description = "Clusters elsewhere that this one is told of: name to bootstrap addresses. Every machine has them as /etc/tideline/peers/NAME.properties, the way Kafka's tools take them."
  type        = map(list(string))
  default     = {}
}

variable "tags" {
  description = "Tags of everything that is made here and can have some."
  type        = map(string)
  default     = {}
}

# What follows is of this cloud only.

variable "location" {
  description = "The region, one that has zones."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]+$", var.location))
    error_message = "location must be the name of a region, such as westeurope."
  }
}

variable "resource_group_name" {
  description = "An existing resource group for everything; empty: one is made, with the name of the cluster."
  type        = string
  default     = ""
}

variable "object_store_url" {
  description = <<-EOT
    The object store as the setting object.store has it: s3://BUCKET/PREFIX?endpoint=https://HOST of any S3 server that honours conditional puts, such as a
    MinIO of your own in the same region. Its keys come by secrets, as env:AWS_ACCESS_KEY_ID and env:AWS_SECRET_ACCESS_KEY.
  EOT
  type        = string

  validation {
    condition     = can(regex("^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^? ]*)?(\\?[^ ]*)?$", var.object_store_url))
    error_message = "object_store_url must be s3://BUCKET/PREFIX?endpoint=https://HOST. Credentials do not belong into it."
  }
  validation {
    condition     = !strcontains(var.object_store_url, ".blob.core.windows.net")
    error_message = "object_store_url names Azure Blob Storage, which does not speak S3."
  }
}

variable "key_vault_ids" {
  description = "The ids of the key vaults that tls and secrets refer to: the brokers may read the secrets in them. They must use roles (RBAC), not access policies."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for id in var.key_vault_ids : can(regex("/providers/Microsoft.KeyVault/vaults/[^/]+$", id))])
    error_message = "key_vault_ids must be ids of key vaults, /subscriptions/…/providers/Microsoft.KeyVault/vaults/NAME."
  }
}

variable "admin_ssh_public_key" {
  description = "The public key of whoever may log in as user operator. This cloud makes no machine without one; no port is open for SSH all the same."
  type        = string

  validation {
    condition     = can(regex("^ssh-(rsa|ed25519) ", var.admin_ssh_public_key))
    error_message = "admin_ssh_public_key must be a key of the form ssh-ed25519 AAAA… or ssh-rsa AAAA…."
  }
}

variable "first_address" {
  description = "The addresses of the brokers are those of the subnet from this number on: with 20, broker 1 of 10.42.0.0/16 has 10.42.0.21. They must be free."
  type        = number
  default     = 20

  validation {
    condition     = var.first_address >= 4 && floor(var.first_address) == var.first_address
    error_message = "first_address must be a whole number from 4 on: the first addresses of a subnet are the cloud's own."
  }
}

variable "image" {
  description = <<-EOT
    The image of the machines, which must have cloud-init: the id of one, or empty for Ubuntu 24.04 LTS of the architecture of instance_type. A newer image
    replaces no machine by itself.
  EOT
  type        = string
  default     = ""
}
