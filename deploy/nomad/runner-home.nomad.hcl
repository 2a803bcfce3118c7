# Puts the runner on each node once, for runner-raw-exec and runner-exec with runner_home: no job
# downloads or unpacks it then. A system batch job: it runs on every node that is there, and on those that
# join later. Run it for each new version, then register the runners' jobs with the new directory.

variable "job" {
  default = "github-runner-home"
}

variable "namespace" {
  default = "default"
}

variable "datacenters" {
  type    = list(string)
  default = ["*"]
}

variable "node_pool" {
  default = "default"
}

variable "arch" {
  description = "amd64 or arm64, as the nodes are; a runner_archive has to match."
  default     = "amd64"
}

variable "runner_archive" {
  description = "Where the nodes fetch the runner from. Empty: actions/runner 2.337.0 at GitHub, for arch."
  default     = ""
}

variable "runner_checksum" {
  description = "sha256:HEX of runner_archive. Empty: that of the default archive; a runner_archive is then not checked."
  default     = ""
}

variable "runner_home" {
  description = "The directory that is made, one for each version. Old ones are not removed."
  default     = "/opt/roustabout/runner/2.337.0"
}

# GitHub has no current runner for 32-bit ARM.
locals {
  runner_of        = var.arch == "arm64" ? "arm64" : "x64"
  checksum_of      = var.arch == "arm64" ? "sha256:9b1dc70626422526e3c94767cf024896beb15da5342a3f4819bf2feac13e0393" : "sha256:70920811a4f8ad4328818682bca5c6469c1c942fab52448868071d0063816613"
  default_archive  = "https://github.com/actions/runner/releases/download/v2.337.0/actions-runner-linux-${local.runner_of}-2.337.0.tar.gz"
  runner_archive   = var.runner_archive == "" ? local.default_archive : var.runner_archive
  default_checksum = var.runner_archive == "" ? local.checksum_of : ""
  runner_checksum  = var.runner_checksum == "" ? local.default_checksum : var.runner_checksum
}

job "github-runner-home" {
  id          = var.job
  name        = var.job
  namespace   = var.namespace
  datacenters = var.datacenters
  node_pool   = var.node_pool
  type        = "sysbatch"

  constraint {
    attribute = "${attr.kernel.name}"
    value     = "linux"
  }

  constraint {
    attribute = "${attr.cpu.arch}"
    value     = var.arch
  }

  group "runner-home" {
    # As the client's user. If that is root, the files belong to root and jobs cannot change them.
    task "prepare" {
      driver = "raw_exec"

      artifact {
        source      = local.runner_archive
        destination = "local/runner.tar.gz"
        mode        = "file"
        options {
          archive  = "false"
          checksum = local.runner_checksum
        }
      }

      config {
        command = "/bin/sh"
        # The directory appears with all that is in it, or not at all: a runner may be looking.
        args = ["-c", <<-EOT
          set -e
          umask 022
          around=$(dirname "$RUNNER_HOME")
          mkdir -p "$around"
          if [ ! -x "$RUNNER_HOME/run.sh" ]; then
            new=$around/.new-$NOMAD_ALLOC_ID
            trap 'rm -rf "$new"' EXIT
            mkdir "$new"
            tar -xzf "$NOMAD_TASK_DIR/runner.tar.gz" --no-same-owner -C "$new"
            chmod -R go-w "$new"
            rm -rf "$RUNNER_HOME"
            mv "$new" "$RUNNER_HOME"
          fi
          rm -f "$NOMAD_TASK_DIR/runner.tar.gz"
        EOT
        ]
      }

      env {
        PATH        = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        RUNNER_HOME = var.runner_home
      }

      resources {
        cpu    = 200
        memory = 300
      }
    }
  }
}
