output "config" {
  description = "The daemon's config."
  value       = local.config
}

output "jobs" {
  description = "The parameterized job of each pool."
  value       = local.jobs
}

output "secret_names" {
  description = "The secrets that the daemon reads: fields of the entry in Vault, or items of the Nomad Variable nomad/jobs/JOB."
  value       = keys(local.secret)
}
