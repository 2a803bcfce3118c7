# What the daemon needs of Nomad, and no more: in every namespace that holds a pool's job.
# Attach it to the daemon's job, in the namespace of that one:
#
#   nomad acl policy apply -namespace default -job roustabout roustabout roustabout-policy.hcl
#
# Outside Nomad: nomad acl policy apply roustabout roustabout-policy.hcl, and a token with it.
# Before Nomad 1.11.2 there is no deregister-job: say submit-job in its place.
namespace "default" {
  capabilities = ["list-jobs", "read-job", "dispatch-job", "deregister-job"]
}
