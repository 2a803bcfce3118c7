output "repositories" {
  description = "The chosen repositories as OWNER/NAME, for `repositories` of a pool. Empty for a whole organization by one webhook, unless some are chosen."
  value       = [for name in local.repositories : "${var.owner}/${name}"]
}
