# The minimal ACL policy of the daemon. Add a block for every namespace that has a pool's job.
# If the daemon runs as a Nomad job, attach the policy to that job, in its namespace:
#
#   nomad acl policy apply -namespace default -job roustabout roustabout roustabout-policy.hcl
#
# Outside Nomad, create a token with it after: nomad acl policy apply roustabout roustabout-policy.hcl
# Nomad before 1.11.2 has no deregister-job: use submit-job instead.
namespace "default" {
  capabilities = ["list-jobs", "read-job", "dispatch-job", "deregister-job"]
}
