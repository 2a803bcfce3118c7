# The daemon as a Nomad job, and its rights.

resource "nomad_acl_policy" "daemon" {
  count = var.acl ? 1 : 0

  name        = var.runners.name_prefix
  description = "roustabout dispatches runners and stops them."
  rules_hcl = replace(
    replace(
      file("${path.module}/../nomad/acl/${length(local.by_variable) > 0 ? "daemon-variable" : "daemon"}.hcl"),
      "namespace \"runners\"", "namespace ${jsonencode(var.runner_namespace)}",
    ),
    "roustabout/*", "${var.runners.name_prefix}/*",
  )

  # Without a daemon on Nomad the policy is for a token: nomad acl token create -policy NAME
  dynamic "job_acl" {
    for_each = var.daemon == null ? [] : [var.daemon]
    content {
      namespace = job_acl.value.namespace
      job_id    = job_acl.value.job
    }
  }

  depends_on = [nomad_namespace.runners]
}

resource "terraform_data" "daemon" {
  input = [try(var.daemon.namespace, null), try(var.daemon.job, null)]
}

resource "nomad_job" "daemon" {
  count = var.daemon == null ? 0 : 1

  jobspec          = file("${path.module}/../nomad/${var.daemon.from == "image" ? "roustabout-docker" : "roustabout"}.nomad.hcl")
  purge_on_destroy = true

  hcl2 {
    vars = merge(
      {
        claims_tls = tostring(try(var.claims.tls, false))
        # Files from the Nomad Variable, for what is not in Vault.
        secrets        = jsonencode(var.vault != null ? [] : [for name in keys(local.secret) : replace(name, "_", "-")])
        vault_audience = var.vault == null ? "" : var.vault.audience
      },
      var.daemon.variables,
      { job = var.daemon.job, namespace = var.daemon.namespace, config = local.config },
    )
  }

  lifecycle {
    replace_triggered_by = [terraform_data.daemon]
  }

  # It must find its jobs, rights and secrets at its start, and end before they go.
  depends_on = [
    nomad_job.runner, nomad_acl_policy.daemon, nomad_acl_policy.runner,
    vault_kv_secret_v2.secrets, vault_policy.daemon, vault_jwt_auth_backend_role.daemon,
    vault_jwt_auth_backend_role.runner,
  ]
}
