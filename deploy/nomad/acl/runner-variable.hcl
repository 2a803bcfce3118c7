# What the tasks of one pool's job need with delivery = "variable": to read the credentials of their own pool, here
# x64, and nothing else. One policy a pool, attached to its parameterized job:
#
#   nomad acl policy apply -namespace runners -job github-runner-x64 runner-x64 runner-variable.hcl
#
# Nomad resolves it for the children as well. Without it no task reads these paths.
namespace "runners" {
  variables {
    path "roustabout/x64/*" {
      capabilities = ["read"]
    }
  }
}
