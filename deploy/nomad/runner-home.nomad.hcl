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
  description = "amd64 or arm64, as the nodes are; the archive has to match."
  default     = "amd64"
}

variable "runner_archive" {
  default = "https://github.com/actions/runner/releases/download/v2.337.0/actions-runner-linux-x64-2.337.0.tar.gz"
}

variable "runner_checksum" {
  description = "sha256:HEX of the archive; empty: not checked. Set it whenever you set runner_archive."
  default     = "sha256:70920811a4f8ad4328818682bca5c6469c1c942fab52448868071d0063816613"
}

variable "runner_home" {
  description = "The directory that is made, one for each version. Old ones are not removed."
  default     = "/opt/roustabout/runner/2.337.0"
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
        source      = var.runner_archive
        destination = "local/runner.tar.gz"
        mode        = "file"
        options {
          archive  = "false"
          checksum = var.runner_checksum
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
