variable "name" {
  description = "The name of the cluster."
  type        = string
  default     = "tideline"
}

variable "image" {
  description = "The image of the release: repository, and a tag or a digest."
  type = object({
    repository = string
    tag        = optional(string, "")
    digest     = optional(string, "")
  })
}

variable "object_store_url" {
  description = "The bucket: s3://BUCKET/PREFIX?region=R&driver=aws, or with endpoint=https://HOST."
  type        = string
}

variable "object_store_secret" {
  description = "The name of a secret, in the namespace tideline, with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
  type        = string
  default     = ""
}

variable "kubeconfig" {
  description = "The file that says where the Kubernetes cluster is."
  type        = string
  default     = "~/.kube/config"
}

variable "context" {
  description = "The context in that file; null for the current one."
  type        = string
  default     = null
}
