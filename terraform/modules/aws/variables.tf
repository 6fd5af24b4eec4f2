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
  description = "The availability zones, in the order in which brokers take turns over them. Empty: the first three of the region. With network.create = false the zones are those of network.subnet_ids, in their order."
  type        = list(string)
  default     = []

  validation {
    condition     = length(var.zones) == 0 || length(var.zones) >= 2 && length(distinct(var.zones)) == length(var.zones)
    error_message = "zones must be two or more different zones (three keep a majority when one is lost), or empty for the first three of the region."
  }
}

variable "instance_type" {
  description = "The type of the machines; docs/operations/terraform.md has a table of sizes. Types with 64-bit ARM processors need a package for arm64 and are recognized by the image (see image)."
  type        = string
  default     = "m7i.large"
}

variable "wal_disk" {
  description = <<-EOT
    The disk of /var/lib/tideline. type is a type of network volume (gp3, io2), which survives its machine, or "local" for a disk of the
    machine itself (i4i and the like), which is faster and is lost with it. Its size bounds how long the object store may be away:
    hours = 0.8 * size_gib * 1024 / 3600 / (MiB per second that a broker stores, replicas included). iops and throughput (MiB/s) are
    those of the volume; 0 leaves them to the type.
  EOT
  type = object({
    type       = optional(string, "gp3")
    size_gib   = optional(number, 200)
    iops       = optional(number, 3000)
    throughput = optional(number, 250)
  })
  default = {}

  validation {
    condition     = contains(["gp3", "io2", "local"], var.wal_disk.type)
    error_message = "wal_disk.type must be gp3, io2 or local. Others are too slow for a log that is synced, or change their speed with the time of day."
  }
  validation {
    condition     = var.wal_disk.type != "local" || can(regex("^(i[0-9]|im[0-9]|is[0-9]|[a-z]+[0-9][a-z]*d)", var.instance_type))
    error_message = "wal_disk.type = local needs an instance_type with NVMe disks of its own: i4i, im4gn, m7gd and the like."
  }
  validation {
    condition     = var.wal_disk.type == "local" || var.wal_disk.size_gib >= 10 && var.wal_disk.size_gib <= 16384
    error_message = "wal_disk.size_gib must be from 10 to 16384."
  }
  validation {
    condition     = var.wal_disk.type != "gp3" || var.wal_disk.iops >= 3000 && var.wal_disk.iops <= 16000 && var.wal_disk.throughput >= 125 && var.wal_disk.throughput <= 1000 && var.wal_disk.throughput <= var.wal_disk.iops / 4
    error_message = "A gp3 volume has 3000 to 16000 iops and a throughput of 125 to 1000 MiB/s, a quarter of its iops at most."
  }
}

variable "bucket" {
  description = <<-EOT
    The bucket of the object store. create = false takes an existing one by its name. prefix ("" for the name of the cluster) lies before all
    objects; clusters may share a bucket under different prefixes, and no other prefix can be read or written by the brokers.
    force_destroy lets destroy remove a bucket that has objects. versioning keeps what was deleted or replaced for noncurrent_days more, and costs
    its storage for so long. object_lock_days > 0 turns on versioning and refuses any removal of a version for so long (governance mode); it can
    only be given when the bucket is made. kms_key_id is empty for SSE-S3 (AES-256), "create" for a key of its own, or the ARN of a key.
  EOT
  type = object({
    create           = optional(bool, true)
    name             = string
    prefix           = optional(string, "")
    force_destroy    = optional(bool, false)
    versioning       = optional(bool, false)
    noncurrent_days  = optional(number, 7)
    object_lock_days = optional(number, 0)
    kms_key_id       = optional(string, "")
  })

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.bucket.name)) && !strcontains(var.bucket.name, "..")
    error_message = "bucket.name must have 3 to 63 lower-case letters, digits, hyphens and dots. Names are shared with the whole world: put your organization into it."
  }
  validation {
    condition     = can(regex("^([A-Za-z0-9_=-][A-Za-z0-9._=-]*(/[A-Za-z0-9_=-][A-Za-z0-9._=-]*)*)?$", var.bucket.prefix)) && length(var.bucket.prefix) <= 400
    error_message = "bucket.prefix must be parts of letters, digits, '-', '_', '.' and '=', none beginning with a dot, joined by '/', without a slash at either end."
  }
  validation {
    condition     = var.bucket.object_lock_days >= 0 && var.bucket.noncurrent_days >= 1
    error_message = "bucket.object_lock_days must be 0 (off) or more, bucket.noncurrent_days 1 or more."
  }
  validation {
    condition     = !(var.bucket.force_destroy && var.bucket.object_lock_days > 0)
    error_message = "bucket.force_destroy cannot remove what bucket.object_lock_days keeps: give one of them."
  }
}

variable "network" {
  description = <<-EOT
    create = true makes a network with one private subnet for each zone, out of cidr (a /16 to /22). create = false takes vpc_id and
    subnet_ids, one for each zone, in different zones. egress is how machines reach what is outside, for packages and time: "nat" (one gateway;
    the object store is reached without it), "nat_per_zone", or "none", when the package and all else are reachable otherwise.
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
    condition     = var.network.create || startswith(var.network.vpc_id, "vpc-") && length(var.network.subnet_ids) >= 2
    error_message = "network.create = false needs network.vpc_id and two network.subnet_ids at least, in different zones."
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
  description = "From where clients may connect, beside the members of the clients' security group (output client_security_group_id)."
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
    Certificates and keys, each by reference to where the machines fetch it: ssm:NAME (Parameter Store) or secretsmanager:NAME, in which
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
}

variable "secrets" {
  description = <<-EOT
    Further secrets: where one goes (env:TIDELINE_SSL_KEY_PASSWORD, or a file below /etc/tideline) and its reference, as in tls. What they hold
    never passes through Terraform.
  EOT
  type        = map(string)
  default     = {}
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
  description = "Tags of everything that is made here."
  type        = map(string)
  default     = {}
}

# What follows is of this cloud only.

variable "access" {
  description = <<-EOT
    How clients reach the brokers. kind "dns": by their private names, within the network and those that are connected with it. kind "nlb": from elsewhere
    as well, by a network load balancer with one port for each broker (port_base + number) and one for the first contact (port_base).
    internal = false gives the balancer public addresses, allowed_cidrs is who may come. domain and zone_id (a Route 53 zone) give the brokers names of
    your own, b1.DOMAIN and so on, and bootstrap.DOMAIN: certificates need them.
  EOT
  type = object({
    kind          = optional(string, "dns")
    internal      = optional(bool, true)
    port_base     = optional(number, 9200)
    allowed_cidrs = optional(list(string), [])
    subnet_ids    = optional(list(string), [])
    domain        = optional(string, "")
    zone_id       = optional(string, "")
  })
  default = {}

  validation {
    condition     = contains(["dns", "nlb"], var.access.kind)
    error_message = "access.kind must be dns or nlb."
  }
  validation {
    condition     = (var.access.domain == "") == (var.access.zone_id == "")
    error_message = "access.domain and access.zone_id go together: the names of DOMAIN are made in that zone."
  }
  validation {
    condition     = var.access.kind == "nlb" || var.access.domain == ""
    error_message = "access.domain goes with access.kind = nlb."
  }
  validation {
    condition     = var.access.kind != "nlb" || var.access.internal || var.tls.keystore != null
    error_message = "access.internal = false puts the brokers into the internet: give tls.keystore, so that clients speak TLS."
  }
}

variable "image" {
  description = <<-EOT
    The image of the machines: an AMI, or empty for Debian 12 of the architecture of instance_type, as it is when a machine is made. A newer image replaces
    no machine by itself.
  EOT
  type        = string
  default     = ""

  validation {
    condition     = var.image == "" || startswith(var.image, "ami-")
    error_message = "image must be the id of an AMI, ami-…, or empty."
  }
}

variable "session_manager" {
  description = "Let operators log in by AWS Systems Manager (the image must have its agent). No port is open for SSH either way."
  type        = bool
  default     = false
}

variable "secret_kms_key_arns" {
  description = "Keys of your own that the secrets of tls and secrets are encrypted with. Those of AWS need no mention."
  type        = list(string)
  default     = []
}

variable "load" {
  description = <<-EOT
    What is expected, for the estimate of costs only: mib_per_second that producers send in all (as compressed by them), days that records are kept,
    cold_read_gib_per_day that consumers read from the bucket.
  EOT
  type = object({
    mib_per_second        = optional(number, 0)
    retention_days        = optional(number, 7)
    cold_read_gib_per_day = optional(number, 0)
  })
  default = {}
}

variable "prices" {
  description = "List prices in USD that differ from those in prices.tf (on demand, us-east-1): those of your region or contract. A price for an instance type that is not in the table goes into instance_hour."
  type = object({
    instance_hour             = optional(map(number), {})
    gp3_gib_month             = optional(number)
    gp3_iops_month            = optional(number)
    gp3_mibps_month           = optional(number)
    io2_gib_month             = optional(number)
    io2_iops_month            = optional(number)
    nat_hour                  = optional(number)
    nlb_hour                  = optional(number)
    kms_key_month             = optional(number)
    dns_zone_month            = optional(number)
    bucket_gib_month          = optional(number)
    put_thousand              = optional(number)
    get_thousand              = optional(number)
    zone_transfer_gib_one_way = optional(number)
  })
  default = {}
}
