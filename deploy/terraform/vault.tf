# The daemon's secrets, and its way to them: a role for the workload identity of its job.

resource "vault_kv_secret_v2" "secrets" {
  count = var.vault != null && var.secrets_version > 0 ? 1 : 0

  mount     = var.vault.mount
  name      = var.vault.name
  namespace = var.vault.namespace

  # Write-only: in Vault, and not in the state. It is written when the version changes.
  data_json_wo         = jsonencode(var.secrets)
  data_json_wo_version = var.secrets_version
  delete_all_versions  = true
}

resource "vault_policy" "daemon" {
  count = var.vault == null ? 0 : 1

  name      = var.vault.role
  namespace = var.vault.namespace
  policy    = <<-EOT
    path "${var.vault.mount}/data/${var.vault.name}" {
      capabilities = ["read"]
    }
    # To see that there is a new version.
    path "${var.vault.mount}/metadata/${var.vault.name}" {
      capabilities = ["read"]
    }
    %{~for job in [for name, pool in local.by_vault : local.jobs[name]]~}
    # With delivery = "vault": to write and remove the credentials of runners, not to read them.
    path "${var.vault.runner_mount}/data/${var.runner_namespace}/${job}/*" {
      capabilities = ["update"]
    }
    path "${var.vault.runner_mount}/metadata/${var.runner_namespace}/${job}/*" {
      capabilities = ["create", "delete", "list"]
    }
    %{~endfor~}
  EOT
}

resource "vault_jwt_auth_backend_role" "daemon" {
  count = var.vault != null && var.daemon != null ? 1 : 0

  backend   = var.vault.auth_path
  namespace = var.vault.namespace
  role_name = var.vault.role
  role_type = "jwt"

  # This job alone.
  user_claim      = "nomad_job_id"
  bound_audiences = [var.vault.audience]
  bound_claims = {
    nomad_namespace = var.daemon.namespace
    nomad_job_id    = var.daemon.job
  }

  token_type     = "service"
  token_period   = 1800
  token_policies = [vault_policy.daemon[0].name]
}

# With delivery = "vault": the tasks of a pool read the credentials of their own pool. A role for each, so that no
# policy needs templates.

locals {
  runner_roles = { for name, pool in local.by_vault : name => "${var.vault.role}-runner-${name}" }
}

resource "vault_policy" "runner" {
  for_each = local.by_vault

  name      = local.runner_roles[each.key]
  namespace = var.vault.namespace
  policy    = <<-EOT
    path "${var.vault.runner_mount}/data/${var.runner_namespace}/${local.jobs[each.key]}/*" {
      capabilities = ["read"]
    }
  EOT
}

resource "vault_jwt_auth_backend_role" "runner" {
  for_each = local.by_vault

  backend   = var.vault.auth_path
  namespace = var.vault.namespace
  role_name = local.runner_roles[each.key]
  role_type = "jwt"

  # Children have the id of their parent in this claim.
  user_claim      = "sub"
  bound_audiences = [var.vault.audience]
  bound_claims = {
    nomad_namespace = var.runner_namespace
    nomad_job_id    = local.jobs[each.key]
  }

  token_type     = "batch"
  token_ttl      = 900
  token_policies = [vault_policy.runner[each.key].name]
}
