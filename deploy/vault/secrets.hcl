# What roustabout needs in Vault or OpenBao for secrets of its own, here those in kv/github (token_vault =
# "kv/data/github#org_scope" and so on). Two blocks for each entry.
path "kv/data/github" {
  capabilities = ["read"]
}

# To see that there is a new version.
path "kv/metadata/github" {
  capabilities = ["read"]
}
