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
