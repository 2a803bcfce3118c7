# What the daemon needs for pools with delivery = "variable": as daemon.hcl, and the Variables of its runners, which
# it may write, delete and list, and not read. The first part of the path is [runners] name_prefix.
namespace "runners" {
  capabilities = ["list-jobs", "read-job", "dispatch-job", "deregister-job"]

  variables {
    path "roustabout/*" {
      capabilities = ["write", "destroy", "list"]
    }
  }
}
