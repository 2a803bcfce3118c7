terraform {
  # 1.11 is the first version with write-only arguments, in Terraform and in OpenTofu.
  required_version = ">= 1.11"

  required_providers {
    nomad = {
      source  = "hashicorp/nomad"
      version = ">= 2.5"
    }
    vault = {
      source  = "hashicorp/vault"
      version = ">= 5.0"
    }
  }
}
