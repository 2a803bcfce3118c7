variable "owner" {
  description = "The user or organization; also the owner of the GitHub provider that is passed."
  type        = string
}

variable "kind" {
  description = "repository: one webhook per repository. organization: one for all of an organization's repositories. none: a GitHub App has one of its own."
  type        = string
  default     = "repository"
  nullable    = false

  validation {
    condition     = contains(["repository", "organization", "none"], var.kind)
    error_message = "kind is repository, organization or none."
  }
  validation {
    condition     = var.kind == "none" || (var.url != null && var.secret != null)
    error_message = "url and secret are required, unless kind is none."
  }
}

variable "url" {
  description = "The URL at which GitHub reaches roustabout: public_url of the daemon."
  type        = string
  default     = null
}

variable "secret" {
  description = "The webhook secret. The provider keeps it in the state."
  type        = string
  default     = null
  sensitive   = true
}

variable "repositories" {
  description = "Repositories by name, without the owner."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "topics" {
  description = "Repositories that have one of these topics, too; archived ones are left out."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "all" {
  description = "All repositories of the owner that are not archived."
  type        = bool
  default     = false
  nullable    = false
}

variable "exclude" {
  description = "Repositories to leave out, by name."
  type        = set(string)
  default     = []
  nullable    = false
}
