# What the tasks of runners need in Vault or OpenBao with delivery = "vault": to read the credentials of their own
# pool's job, and nothing else. One policy for all pools, with [vault] path = "{namespace}/{nomad_job}/{runner_name}":
# Vault fills in the namespace and the job of the task that logged in. ACCESSOR is the accessor of the auth method:
#
#   vault read -field=accessor sys/auth/jwt-nomad
path "secret/data/{{identity.entity.aliases.ACCESSOR.metadata.nomad_namespace}}/{{identity.entity.aliases.ACCESSOR.metadata.nomad_job_id}}/*" {
  capabilities = ["read"]
}
