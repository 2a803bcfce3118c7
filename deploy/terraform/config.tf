# The config, in TOML. Texts, numbers and lists of JSON are the same in TOML.

locals {
  # A name of `secrets` as the config's keys for it.
  secret = {
    for name in distinct(concat(
      local.webhook_secret ? ["webhook_secret"] : [],
      ["admin_token"],
      compact(flatten([for one in var.credentials : [
        one.token, try(one.app.private_key, null), try(one.app.webhook_secret, null),
      ]])),
      )) : name => (
      var.vault != null
      ? { suffix = "vault", value = "${var.vault.mount}/data/${var.vault.name}#${name}" }
      : { suffix = "file", value = "{{ env `NOMAD_SECRETS_DIR` }}/${replace(name, "_", "-")}" }
    )
  }
  # With Apps alone no webhook has this secret.
  webhook_secret = anytrue([for one in var.credentials : one.app == null])

  sections = {
    webhook = [
      ["public_url", var.public_url],
      try(["secret_${local.secret.webhook_secret.suffix}", local.secret.webhook_secret.value], null),
    ]
    admin   = [["token_${local.secret.admin_token.suffix}", local.secret.admin_token.value]]
    github  = [["api_url", var.github_api_url]]
    nomad   = [["namespace", var.runner_namespace]]
    runners = [for key, value in var.runners : [key, value]]
    vault = var.vault == null ? [] : concat(
      [
        ["address", var.vault.address],
        ["namespace", var.vault.namespace],
        ["jwt_role", var.vault.role],
        ["jwt_file", "{{ env `NOMAD_SECRETS_DIR` }}/nomad_vault.jwt"],
        ["auth_path", var.vault.auth_path],
        ["ca_cert_file", var.vault.ca_cert_file],
      ],
      length(local.by_vault) == 0 ? [] : [
        ["mount", var.vault.runner_mount],
        ["path", "{namespace}/{nomad_job}/{runner_name}"],
      ],
    )
    claims = var.claims == null ? [] : concat(
      [
        ["listen", "0.0.0.0:${lookup(try(var.daemon.variables, {}), "claims_port", "9191")}"],
        ["url", var.claims.url],
        ["audience", var.claims.audience],
      ],
      !var.claims.tls ? [] : [
        ["tls_cert_file", "{{ env `NOMAD_SECRETS_DIR` }}/claims-cert"],
        ["tls_key_file", "{{ env `NOMAD_SECRETS_DIR` }}/claims-key"],
      ],
    )
  }

  credential_lines = [
    for one in var.credentials : concat(
      ["[[github.credentials]]", "owners = ${jsonencode(one.owners)}"],
      one.token == null ? [] : ["token_${local.secret[one.token].suffix} = ${jsonencode(local.secret[one.token].value)}"],
      one.app == null ? [] : [
        "[github.credentials.app]",
        "client_id = ${jsonencode(one.app.client_id)}",
        "private_key_${local.secret[one.app.private_key].suffix} = ${jsonencode(local.secret[one.app.private_key].value)}",
        "webhook_secret_${local.secret[one.app.webhook_secret].suffix} = ${jsonencode(local.secret[one.app.webhook_secret].value)}",
      ],
    )
  ]

  pool_lines = [
    for pool in var.pools : concat(
      ["[[pools]]", "nomad_job = ${jsonencode(local.jobs[pool.name])}"],
      [
        for key, value in pool : "${key} = ${jsonencode(value)}"
        if value != null && !contains(["jobspec", "variables", "nomad_job", "warm", "config"], key)
      ],
      flatten([
        for floor in pool.warm : concat(
          ["[[pools.warm]]"],
          [for key, value in floor : "${key} = ${jsonencode(value)}" if value != null],
        )
      ]),
      compact([pool.config]),
    )
  ]

  config = join("\n", concat(
    flatten([
      for name, keys in local.sections : concat(
        ["[${name}]"],
        [for key in keys : "${key[0]} = ${jsonencode(key[1])}" if try(key[1], null) != null],
        [""],
      ) if anytrue([for key in keys : try(key[1], null) != null])
    ]),
    flatten([for lines in local.credential_lines : concat(lines, [""])]),
    flatten([for lines in local.pool_lines : concat(lines, [""])]),
    [var.config],
  ))
}
