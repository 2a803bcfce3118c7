# What roustabout needs in Vault or OpenBao for pools with delivery = "vault": to write, list and remove the
# credentials of its runners, and not to read them. For
#
#   [vault]
#   mount = "secret"
#   path = "{namespace}/{nomad_job}/{runner_name}"
#
# and two blocks for each pool's namespace and job. An entry is created with its expiry first (metadata); its data is then
# an update of it.
path "secret/data/runners/github-runner-x64/*" {
  capabilities = ["update"]
}

path "secret/metadata/runners/github-runner-x64/*" {
  capabilities = ["create", "delete", "list"]
}
