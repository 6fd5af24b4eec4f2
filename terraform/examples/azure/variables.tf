variable "name" {
  description = "The name of the cluster."
  type        = string
  default     = "tideline"
}

variable "subscription_id" {
  description = "The id of the subscription."
  type        = string
}

variable "location" {
  description = "The region."
  type        = string
  default     = "westeurope"
}

variable "admin_ssh_public_key" {
  description = "The public key of whoever may log in."
  type        = string
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

variable "key_vault" {
  description = "The key vault that has the keys of the object store: its id, and its URL without a slash at the end, https://NAME.vault.azure.net."
  type = object({
    id  = string
    url = string
  })
}

variable "store_key_secret" {
  description = "The name of the secret in the key vault with the access key of the object store."
  type        = string
  default     = "store-key"
}

variable "store_secret_secret" {
  description = "The name of the secret in the key vault with the secret key of the object store."
  type        = string
  default     = "store-secret"
}

variable "client_cidrs" {
  description = "From where clients may connect."
  type        = list(string)
  default     = []
}
