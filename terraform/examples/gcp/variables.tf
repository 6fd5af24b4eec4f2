variable "name" {
  description = "The name of the cluster."
  type        = string
  default     = "tideline"
}

variable "project" {
  description = "The id of the project."
  type        = string
}

variable "region" {
  description = "The region."
  type        = string
  default     = "europe-west4"
}

variable "package" {
  description = "The release to install: the URL of a .deb or .tar.gz, and its SHA-256 in hex."
  type = object({
    url    = string
    sha256 = string
  })
}

variable "object_store_url" {
  description = "The S3 server: s3://BUCKET/PREFIX?endpoint=https://HOST."
  type        = string
}

variable "store_key_secret" {
  description = "The name of the secret in Secret Manager with the access key of the object store."
  type        = string
  default     = "store-key"
}

variable "store_secret_secret" {
  description = "The name of the secret in Secret Manager with the secret key of the object store."
  type        = string
  default     = "store-secret"
}

variable "client_cidrs" {
  description = "From where clients may connect."
  type        = list(string)
  default     = []
}
