# The webhooks of one owner: the one of the GitHub provider that is passed. Call this module once per owner.

terraform {
  required_version = ">= 1.11"

  required_providers {
    github = {
      source  = "integrations/github"
      version = ">= 6.6"
    }
  }
}

locals {
  queries = concat(
    [for topic in var.topics : "user:${var.owner} fork:true archived:false topic:${topic}"],
    var.all ? ["user:${var.owner} fork:true archived:false"] : [],
  )
  repositories = setsubtract(
    setunion(var.repositories, flatten([for found in data.github_repositories.found : found.names])),
    var.exclude,
  )
}

# The Search API: 30 requests a minute, and at most 1000 repositories.
data "github_repositories" "found" {
  for_each = toset(local.queries)
  query    = each.value
}

resource "github_repository_webhook" "roustabout" {
  for_each = var.kind == "repository" ? local.repositories : []

  repository = each.value
  events     = ["workflow_job"]

  configuration {
    url          = var.url
    content_type = "json"
    secret       = var.secret
  }
}

resource "github_organization_webhook" "roustabout" {
  count = var.kind == "organization" ? 1 : 0

  events = ["workflow_job"]

  configuration {
    url          = var.url
    content_type = "json"
    secret       = var.secret
  }
}
