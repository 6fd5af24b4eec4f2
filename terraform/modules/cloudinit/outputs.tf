output "user_data" {
  description = "The cloud-config document. It has no secret in it."
  value       = local.user_data
}

output "user_data_base64gzip" {
  description = "The same, compressed and in base64, for clouds that bound it tightly (AWS: 16 KiB before base64). cloud-init unpacks it by itself."
  value       = base64gzip(local.user_data)

  precondition {
    condition     = length(base64gzip(local.user_data)) <= 16384 * 4 / 3
    error_message = "The settings of the machine are more than the 16 KiB that user data may have."
  }
}

output "settings" {
  description = "The settings that the broker is started with."
  value       = local.settings
}
