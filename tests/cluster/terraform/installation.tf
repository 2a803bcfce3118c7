# An installation on one machine, for the tests: everything that the module makes, and a daemon that works.

terraform {
  required_providers {
    github = { source = "integrations/github" }
    nomad  = { source = "hashicorp/nomad" }
    vault  = { source = "hashicorp/vault" }
  }
}

variable "api_url" { type = string }
variable "vault_address" { type = string }
variable "ports" { type = map(number) }
variable "daemon" { type = map(string) }
variable "runner" { type = map(string) }
variable "labels" { type = list(string) }
variable "octo_job" { type = string }
variable "secrets_version" { type = number }
variable "exclude" { type = set(string) }

variable "webhook_secret" {
  type      = string
  sensitive = true
}

variable "secrets" {
  type      = map(string)
  sensitive = true
  ephemeral = true
}

provider "github" {
  owner = "octocat"
  # GitHub asks for one second between writes; this one does not.
  write_delay_ms = 1
}

provider "github" {
  alias          = "octo"
  owner          = "octo"
  write_delay_ms = 1
}

locals {
  url = "http://127.0.0.1:${var.ports.webhook}/webhook"
}

module "octocat" {
  source = "../webhooks"

  owner        = "octocat"
  repositories = ["app"]
  topics       = ["ci"]
  exclude      = var.exclude
  url          = local.url
  secret       = var.webhook_secret
}

module "octo" {
  source    = "../webhooks"
  providers = { github = github.octo }

  owner  = "octo"
  kind   = "organization"
  all    = true
  url    = local.url
  secret = var.webhook_secret
}

module "roustabout" {
  source = "../"

  public_url      = local.url
  claims          = { url = "http://127.0.0.1:${var.ports.claims}", tls = false }
  vault           = { address = var.vault_address, mount = "kv", runner_mount = "kv" }
  secrets         = merge(var.secrets, { webhook_secret = var.webhook_secret })
  secrets_version = var.secrets_version
  github_api_url  = var.api_url

  daemon = {
    variables = merge(var.daemon, {
      webhook_port = tostring(var.ports.webhook)
      admin_port   = tostring(var.ports.admin)
      claims_port  = tostring(var.ports.claims)
    })
  }

  pools = [
    {
      name         = "x64"
      labels       = var.labels
      repositories = module.octocat.repositories
      jobspec      = "raw-exec"
      variables    = var.runner
      max_runners  = 3
    },
    {
      name         = "octo"
      nomad_job    = var.octo_job
      labels       = var.labels
      repositories = module.octo.repositories
      jobspec      = "raw-exec"
      variables    = var.runner
      delivery     = "variable"
      scope        = "organization"
    },
    {
      name         = "by-vault"
      labels       = ["self-hosted", "by-vault"]
      repositories = module.octocat.repositories
      jobspec      = "raw-exec"
      variables    = var.runner
      delivery     = "vault"
      credential   = "jit"
    },
  ]
}

output "config" {
  value = module.roustabout.config
}
