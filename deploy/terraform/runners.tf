# The parameterized jobs that the daemon dispatches, and what their tasks may read.

locals {
  jobs = { for pool in var.pools : pool.name => coalesce(pool.nomad_job, "github-runner-${pool.name}") }
  ours = { for pool in var.pools : pool.name => pool if pool.jobspec != null }
  shipped = {
    for name in ["docker", "podman", "exec", "raw-exec"] :
    name => file("${path.module}/../nomad/runner-${name}.nomad.hcl")
  }
  by_variable = { for pool in var.pools : pool.name => pool if pool.delivery == "variable" }
  by_vault    = { for pool in var.pools : pool.name => pool if pool.delivery == "vault" }
}

resource "nomad_namespace" "runners" {
  count = var.create_runner_namespace ? 1 : 0

  name        = var.runner_namespace
  description = "Runners that roustabout dispatches."
}

resource "nomad_job" "runner_home" {
  for_each = var.runner_homes

  jobspec          = file("${path.module}/../nomad/runner-home.nomad.hcl")
  purge_on_destroy = true

  hcl2 {
    vars = merge(each.value, { job = each.key, namespace = var.runner_namespace })
  }

  depends_on = [nomad_namespace.runners]
}

# The provider sees another id or namespace only where the jobspec itself changes, and would leave the old job there.
resource "terraform_data" "runner" {
  for_each = local.ours
  input    = [var.runner_namespace, local.jobs[each.key]]
}

resource "nomad_job" "runner" {
  for_each = local.ours

  jobspec = lookup(local.shipped, each.value.jobspec, each.value.jobspec)
  # Its children go with it; without purging, the stopped job would still take dispatches' ids.
  purge_on_destroy = true

  hcl2 {
    vars = merge(
      each.value.variables,
      {
        job       = local.jobs[each.key]
        namespace = var.runner_namespace
        # A task with an identity and a policy of its own could use it for Nomad's API.
        claim_audience = each.value.delivery == "claim" ? var.claims.audience : ""
      },
      each.value.delivery == "vault" ? { vault_role = local.runner_roles[each.key] } : {},
    )
  }

  lifecycle {
    replace_triggered_by = [terraform_data.runner[each.key]]
  }

  depends_on = [nomad_namespace.runners]
}

# With delivery = "variable": a pool's tasks read the credentials of their own pool.
resource "nomad_acl_policy" "runner" {
  for_each = var.acl ? local.by_variable : {}

  name        = "${var.runners.name_prefix}-runner-${each.key}"
  description = "Runners of the pool ${each.key} read their credentials."
  rules_hcl = replace(
    replace(
      file("${path.module}/../nomad/acl/runner-variable.hcl"),
      "namespace \"runners\"", "namespace ${jsonencode(var.runner_namespace)}",
    ),
    "roustabout/x64/", "${var.runners.name_prefix}/${each.key}/",
  )

  job_acl {
    namespace = var.runner_namespace
    job_id    = local.jobs[each.key]
  }

  depends_on = [nomad_namespace.runners]
}
