# A whole installation: repositories of the user octocat by webhooks, the organization my-org by a GitHub App, secrets
# in Vault, the daemon and its runners on Nomad. Copy it, and change what is yours.
#
#   export NOMAD_ADDR=… NOMAD_TOKEN=… VAULT_ADDR=… VAULT_TOKEN=… GITHUB_TOKEN=…
#   export TF_VAR_webhook_secret=… TF_VAR_secrets='{"admin_token":"…", …}'
#   tofu init && tofu apply

terraform {
  required_version = ">= 1.11"

  # The state has the webhook secret in it: give it a place of restricted access. Any other backend works as well.
  backend "consul" {
    address = "127.0.0.1:8500"
    scheme  = "http"
    path    = "terraform/roustabout"
    lock    = true
  }

  required_providers {
    github = {
      source = "integrations/github"
    }
    nomad = {
      source = "hashicorp/nomad"
    }
    vault = {
      source = "hashicorp/vault"
    }
  }
}

variable "webhook_secret" {
  description = "A long random text: openssl rand -hex 32."
  type        = string
  sensitive   = true
}

variable "secrets" {
  description = "admin_token, github_token, my_org_app_key, my_org_webhook_secret."
  type        = map(string)
  sensitive   = true
  ephemeral   = true
}

variable "public_url" {
  type    = string
  default = "https://hooks.example.org/webhook"
}

variable "vault_address" {
  type    = string
  default = "https://vault.example.org:8200"
}

# One provider per owner. Its token needs "Webhooks: read and write"; GITHUB_TOKEN is used.
provider "github" {
  owner = "octocat"
}

provider "nomad" {}

provider "vault" {}

locals {
  runner = "/opt/roustabout/runner/2.337.0"
}

module "webhooks" {
  source = "../webhooks"

  owner        = "octocat"
  repositories = ["app", "site"]
  topics       = ["self-hosted"]
  url          = var.public_url
  secret       = var.webhook_secret
}

# No webhooks for my-org: its App has one for all of them.

module "roustabout" {
  source = "../"

  public_url = var.public_url
  claims     = { url = "https://roustabout.example:9191" }

  credentials = [
    { owners = ["octocat"], token = "github_token" },
    {
      owners = ["my-org"]
      app = {
        client_id      = "Iv23liSimulatedId001"
        private_key    = "my_org_app_key"
        webhook_secret = "my_org_webhook_secret"
      }
    },
  ]

  vault           = { address = var.vault_address, mount = "kv" }
  secrets         = merge(var.secrets, { webhook_secret = var.webhook_secret })
  secrets_version = 1

  # The nodes have the runner there, so that no job of x64 downloads it.
  runner_homes = { github-runner-home = { runner_home = local.runner } }

  pools = [
    {
      name         = "x64"
      labels       = ["self-hosted", "linux", "x64"]
      repositories = concat(module.webhooks.repositories, ["my-org/*"])
      jobspec      = "raw-exec"
      variables    = { user = "runner", memory = "4096", runner_home = local.runner, datacenters = jsonencode(["dc1"]) }
      # Two wait during the day.
      warm = [{ count = 2, repositories = ["octocat/app"], schedule = "mon-fri 08:00-18:00 Europe/Rome" }]
    },
    {
      name         = "arm64"
      labels       = ["self-hosted", "linux", "arm64"]
      repositories = ["my-org/*"]
      variables    = { arch = "arm64" }
      delivery     = "variable"
      scope        = "organization"
      runner_group = "ci"
      max_runners  = 4
    },
  ]

  runners = { max = 40 }
}

output "config" {
  value = module.roustabout.config
}
