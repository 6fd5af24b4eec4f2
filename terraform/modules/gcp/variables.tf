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
  description = "The zones, in the order in which brokers take turns over them. Empty: the first three of the region."
  type        = list(string)
  default     = []

  validation {
    condition     = length(var.zones) == 0 || length(var.zones) >= 2 && length(distinct(var.zones)) == length(var.zones)
    error_message = "zones must be two or more different zones (three keep a majority when one is lost), or empty for the first three of the region."
  }
  validation {
    condition     = alltrue([for z in var.zones : startswith(z, "${var.region}-")])
    error_message = "zones must be of the region, such as europe-west4-a of europe-west4."
  }
}

variable "instance_type" {
  description = "The type of the machines; docs/operations/terraform.md has a table of sizes. Types with 64-bit ARM processors (c4a, n4a, t2a) need a package for arm64 and are recognized by the image (see image)."
  type        = string
  default     = "n4-standard-2"
}

variable "wal_disk" {
  description = <<-EOT
    The disk of /var/lib/tideline. type is a type of disk that survives its machine (hyperdisk-balanced, or pd-ssd for older machines), or
    "local" for the first local SSD of a type that brings one along (c4-standard-4-lssd and the like), which is faster and is lost with its machine.
    Its size bounds how long the object store may be away: hours = 0.8 * size_gib * 1024 / 3600 / (MiB per second that a broker stores,
    replicas included). iops and throughput (MiB/s) are those of hyperdisk-balanced; a pd-ssd has what its size gives.
  EOT
  type = object({
    type       = optional(string, "hyperdisk-balanced")
    size_gib   = optional(number, 200)
    iops       = optional(number, 3000)
    throughput = optional(number, 250)
  })
  default = {}

  validation {
    condition     = contains(["hyperdisk-balanced", "pd-ssd", "local"], var.wal_disk.type)
    error_message = "wal_disk.type must be hyperdisk-balanced, pd-ssd or local. Others are too slow for a log that is synced."
  }
  validation {
    condition     = var.wal_disk.type == "local" || var.wal_disk.size_gib >= 10 && var.wal_disk.size_gib <= 65536
    error_message = "wal_disk.size_gib must be from 10 to 65536."
  }
  validation {
    condition     = var.wal_disk.type != "hyperdisk-balanced" || var.wal_disk.iops >= 3000 && var.wal_disk.iops <= 160000 && var.wal_disk.throughput >= 140 && var.wal_disk.throughput <= 2400
    error_message = "A hyperdisk-balanced has 3000 to 160000 iops and a throughput of 140 to 2400 MiB/s."
  }
}

variable "bucket" {
  description = <<-EOT
    The bucket of Cloud Storage, which is used only without object_store_url. create = false takes an existing one by its name. prefix ("" for the
    name of the cluster) lies before all objects; no other prefix can be read or written by the brokers. force_destroy lets destroy remove a bucket
    that has objects. versioning keeps what was deleted or replaced for noncurrent_days more, and costs its storage for so long.
    object_lock_days must be 0: Cloud Storage would refuse the brokers their own deletions. kms_key_id is empty for keys of Google,
    "create" for a key of its own, or the id of a key (projects/P/locations/L/keyRings/R/cryptoKeys/K).
  EOT
  type = object({
    create           = optional(bool, true)
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
    condition     = var.object_store_url != "" || can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.bucket.name)) && !strcontains(var.bucket.name, "..")
    error_message = "bucket.name must have 3 to 63 lower-case letters, digits, hyphens and dots. Names are shared with the whole world: put your organization into it."
  }
  validation {
    condition     = can(regex("^([A-Za-z0-9_=-][A-Za-z0-9._=-]*(/[A-Za-z0-9_=-][A-Za-z0-9._=-]*)*)?$", var.bucket.prefix)) && length(var.bucket.prefix) <= 400
    error_message = "bucket.prefix must be parts of letters, digits, '-', '_', '.' and '=', none beginning with a dot, joined by '/', without a slash at either end."
  }
  validation {
    condition     = var.bucket.object_lock_days == 0
    error_message = "bucket.object_lock_days must be 0: a retention policy of Cloud Storage refuses every deletion, also those of objects that retention has let go. Use versioning."
  }
  validation {
    condition     = var.bucket.noncurrent_days >= 1
    error_message = "bucket.noncurrent_days must be 1 or more."
  }
  validation {
    condition     = contains(["", "create"], var.bucket.kms_key_id) || can(regex("^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$", var.bucket.kms_key_id))
    error_message = "bucket.kms_key_id must be empty, create, or projects/P/locations/L/keyRings/R/cryptoKeys/K."
  }
}

variable "network" {
  description = <<-EOT
    create = true makes a network with one private subnetwork, which all zones of the region share, out of cidr (a /16 to /22). create = false takes vpc_id
    (a network's id or self link) and in subnet_ids one subnetwork of it. egress is how machines reach what is outside, for packages and time: "nat", or
    "none", when the package and all else are reachable otherwise. A NAT of this cloud is regional: "nat_per_zone" means the same as "nat".
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
    condition     = var.network.create || var.network.vpc_id != "" && length(var.network.subnet_ids) == 1
    error_message = "network.create = false needs network.vpc_id and one network.subnet_ids: a subnetwork spans the zones of its region."
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
  description = "From where clients may connect, beside machines of the network that have the clients' tag (output client_tag)."
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
    Certificates and keys, each by reference to where the machines fetch it: gcp:projects/P/secrets/S/versions/latest (Secret Manager), in which
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
    condition     = alltrue([for part, r in var.tls : part == "client_auth" || r == null || can(regex("^(gcp:projects/[^/]+/secrets/[^/]+/versions/[^/]+|file:.+)$", r))])
    error_message = "tls has references, never PEM itself: gcp:projects/P/secrets/S/versions/latest or file:PATH."
  }
}

variable "secrets" {
  description = <<-EOT
    Further secrets: where one goes (env:AWS_SECRET_ACCESS_KEY, or a file below /etc/tideline) and its reference, as in tls. What they hold
    never passes through Terraform.
  EOT
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for r in values(var.secrets) : can(regex("^(gcp:projects/[^/]+/secrets/[^/]+/versions/[^/]+|file:.+)$", r))])
    error_message = "secrets come from gcp:projects/P/secrets/S/versions/latest or file:PATH."
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
  description = "Labels of everything that is made here and can have some."
  type        = map(string)
  default     = {}
}

# What follows is of this cloud only.

variable "project" {
  description = "The id of the project."
  type        = string
}

variable "region" {
  description = "The region of machines, network and bucket."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region must be the name of a region, such as europe-west4."
  }
}

variable "object_store_url" {
  description = <<-EOT
    The object store as the setting object.store has it: s3://BUCKET/PREFIX?endpoint=https://HOST of any S3 server that honours conditional puts, such as a
    MinIO of your own. Its keys come by secrets, as env:AWS_ACCESS_KEY_ID and env:AWS_SECRET_ACCESS_KEY. Empty: the bucket of Cloud Storage, see
    cloud_storage_untested.
  EOT
  type        = string
  default     = ""

  validation {
    condition     = var.object_store_url == "" || can(regex("^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^? ]*)?(\\?[^ ]*)?$", var.object_store_url))
    error_message = "object_store_url must be s3://BUCKET/PREFIX?endpoint=https://HOST. Credentials do not belong into it."
  }
}

# tflint-ignore: terraform_unused_declarations # its validation is its use: nothing is made of the word that somebody knows
variable "cloud_storage_untested" {
  description = <<-EOT
    Needed without object_store_url: that Cloud Storage is to be the object store although Tideline was never run against it. By its documentation its
    S3 interface takes If-Match and If-None-Match for reads only, and nothing is said of the checksum header that Tideline sends with every put; the README has more.
  EOT
  type        = bool
  default     = false

  validation {
    condition     = var.cloud_storage_untested || var.object_store_url != ""
    error_message = "Give object_store_url. Cloud Storage is taken as object store only with cloud_storage_untested = true: nobody has tried it, and its documentation gives reasons for doubt (README)."
  }
}

variable "image" {
  description = <<-EOT
    The image of the machines, which must have cloud-init: an image or a family of them; empty for Ubuntu 24.04 LTS of the architecture of instance_type.
    The images of Debian on this cloud have no cloud-init. A newer image replaces no machine by itself.
  EOT
  type        = string
  default     = ""
}
