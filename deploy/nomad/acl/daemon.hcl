# What the daemon needs for pools with delivery = "claim", "vault", "payload", "meta" or "none".
#
# Runners have a namespace of their own here: dispatch-job, deregister-job and read-job are for all jobs of a
# namespace, so in a shared one they reach other teams' jobs. Nomad before 1.11.2: submit-job in place of
# deregister-job.
namespace "runners" {
  capabilities = ["list-jobs", "read-job", "dispatch-job", "deregister-job"]
}
