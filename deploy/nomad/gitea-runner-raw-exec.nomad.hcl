# One ephemeral Gitea Actions runner per dispatch, with the raw_exec driver: no isolation, so only
# for repositories whose workflows you trust with the machine. gitea-runner has no hook that could
# refuse a job before its first step: it runs whatever Gitea gives it. Every dispatch by roustabout is a
# child of this job. docs/gitea.md says how to register and adapt it.

variable "job" {
  description = "The job's id: what nomad_job says in the pool."
  default     = "gitea-runner-x64"
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
  description = "amd64 or arm64, as the nodes are; the program has to match."
  default     = "amd64"
}

variable "runner_program" {
  description = "Where the nodes fetch gitea-runner from (the bare program), for every job: point it at a mirror near them."
  default     = "https://dl.gitea.com/gitea-runner/1.0.8/gitea-runner-1.0.8-linux-amd64"
}

variable "runner_checksum" {
  description = "sha256:HEX of it, which Gitea publishes as runner_program with .sha256 at the end. Give it: empty, whatever comes is run."
  default     = ""
}

variable "runner_path" {
  description = "Where gitea-runner lies on the nodes, if you install it there; then nothing is fetched."
  default     = ""
}

variable "user" {
  description = "The user that jobs run as; needs a Nomad client that runs as root. Empty: the client's own."
  default     = ""
}

variable "path" {
  description = "PATH of the runner and its jobs."
  default     = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
}

variable "timeout" {
  description = "A job that runs for longer is ended by its runner. Gitea ends it after ENDLESS_TASK_TIMEOUT, 3h by default."
  default     = "3h"
}

variable "claim_audience" {
  description = "What claims.audience says, for delivery = \"claim\". The task needs curl for that. Empty: no identity, as delivery = \"variable\" wants it."
  default     = "roustabout"
}

variable "claim_ca_file" {
  description = "For delivery = \"claim\": certificates by which the task trusts claims.url, in PEM, where the system's do not do."
  default     = ""
}

variable "vault_role" {
  description = "For delivery = \"vault\": the role in Vault with which the task reads its credential. Empty: the task gets no token of Vault."
  default     = ""
}

variable "cpu" {
  description = "MHz."
  type        = number
  default     = 1000
}

variable "memory" {
  description = "MB."
  type        = number
  default     = 2048
}

variable "disk" {
  description = "MB for the runner (25) and its work. Used for placement, not enforced."
  type        = number
  default     = 4000
}

job "gitea-runner" {
  id          = var.job
  name        = var.job
  namespace   = var.namespace
  datacenters = var.datacenters
  node_pool   = var.node_pool

  # Only batch jobs can be dispatched; a service would also be restarted.
  type = "batch"

  parameterized {
    # With delivery = "payload": the credential, and nothing else. In meta it would be visible in metrics and
    # on the status page. With "claim" there is none: the task asks for it at claim_url.
    payload       = "optional"
    meta_required = ["runner_name", "runner_url", "runner_labels"]
    # Informational, to identify a child job.
    meta_optional = [
      "claim_url", "credential_path", "vault_path", "runner_scope", "repository", "workflow_job_id", "run_id",
      "workflow_name", "workflow_job_name",
    ]
  }

  constraint {
    attribute = "${attr.kernel.name}"
    value     = "linux"
  }

  constraint {
    attribute = "${attr.cpu.arch}"
    value     = var.arch
  }

  group "runner" {
    # One attempt. If the job still needs a runner, roustabout launches another; Nomad would restart
    # this one with a used registration.
    restart {
      attempts = 0
      mode     = "fail"
    }
    reschedule {
      attempts  = 0
      unlimited = false
    }

    # A disconnected node may be running a job. Without this, Nomad would start a second allocation
    # elsewhere at once, and kill the first when the node reconnects.
    disconnect {
      lost_after = "6h"
      replace    = false
    }

    # Nomad 2.0.3 or newer can enforce a hard limit, which kills without running poststop tasks:
    # max_run_duration = "6h"

    ephemeral_disk {
      size = var.disk
    }

    # Registers the runner and stores it in the shared allocation directory.
    task "configure" {
      driver = "raw_exec"
      user   = var.user

      lifecycle {
        hook    = "prestart"
        sidecar = false
      }

      dispatch_payload {
        file = "token"
      }

      # With delivery = "variable": the credential, which lies in a Nomad Variable of this one runner. The policy that is
      # attached to this job says that it may read it. roustabout deletes the Variable once the runner is registered.
      # With delivery = "vault": the same, in an entry of Vault.
      template {
        destination = "secrets/credential"
        change_mode = "noop"
        data        = <<-EOT
          {{ with env "NOMAD_META_credential_path" }}{{ with nomadVar . }}{{ .token }}{{ end }}{{ end -}}
          {{ with env "NOMAD_META_vault_path" }}{{ with secret . }}{{ .Data.data.token }}{{ end }}{{ end }}
        EOT
      }

      # With delivery = "vault". The task does not see its token of Vault: Nomad reads the entry for it.
      dynamic "vault" {
        for_each = var.vault_role == "" ? [] : [var.vault_role]
        content {
          role                   = vault.value
          env                    = false
          disable_file           = true
          change_mode            = "noop"
          allow_token_expiration = true
        }
      }

      # Says to roustabout who asks, with delivery = "claim". In the environment, because a file would be renewed
      # for as long as the allocation runs, where jobs might read it.
      # Nomad takes it for a token of its API as well, so a job with a policy for Variables goes without.
      dynamic "identity" {
        for_each = var.claim_audience == "" ? [] : [var.claim_audience]
        content {
          name = "roustabout"
          aud  = [identity.value]
          env  = true
          ttl  = "1h"
        }
      }

      dynamic "artifact" {
        for_each = var.runner_path == "" ? [var.runner_program] : []
        content {
          # Nomad rejects an empty checksum in the options.
          source      = var.runner_checksum == "" ? artifact.value : "${artifact.value}?checksum=${var.runner_checksum}"
          destination = "local/gitea-runner"
          mode        = "file"
          options {
            archive = "false"
          }
        }
      }

      config {
        command = "/bin/sh"
        # Write $NAME in this script, which the shell expands. Nomad would expand the form with braces and
        # paste untrusted input (the name of a workflow) into the program.
        args = ["-c", <<-EOT
          set -e
          umask 077

          # The job can read this task's local directory, and Gitea's registration tokens never expire.
          # So the file is deleted first, and the token is never an argument and never in an
          # environment.
          if [ -n "$NOMAD_META_claim_url" ]; then
            # What is secret comes from stdin, because arguments are visible. The nonce says that it is the same
            # task that asks again: while roustabout restarts, and for as long as boot_timeout by default.
            nonce=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
            cut=0
            until token=$(printf 'header = "Authorization: Bearer %s"\nheader = "Claim-Nonce: %s"\n' \
              "$NOMAD_TOKEN_roustabout" "$nonce" |
              CURL_CA_BUNDLE="$CLAIM_CA_FILE" curl -sSf -X POST --config - --max-time 30 --retry 1000 --retry-delay 2 \
                --retry-connrefused --retry-max-time 600 "$NOMAD_META_claim_url"); do
              # Only a connection that broke off, which curl does not retry: roustabout restarts. The same
              # nonce makes the second request safe.
              case $? in 35 | 52 | 55 | 56) ;; *) exit 1 ;; esac
              cut=$((cut + 1))
              [ "$cut" -lt 300 ]
              sleep 2
            done
            unset NOMAD_TOKEN_roustabout nonce
          elif [ -n "$NOMAD_META_credential_path$NOMAD_META_vault_path" ]; then
            token=$(cat "$NOMAD_SECRETS_DIR/credential")
            rm -f "$NOMAD_SECRETS_DIR/credential"
          else
            token=$(cat "$NOMAD_TASK_DIR/token")
            rm -f "$NOMAD_TASK_DIR/token"
          fi
          if [ -z "$token" ]; then
            echo "no registration token: the payload of this dispatch is empty, and so are claim_url, credential_path and vault_path" >&2
            exit 1
          fi

          mkdir -p "$NOMAD_ALLOC_DIR/runner" "$NOMAD_ALLOC_DIR/home"
          cd "$NOMAD_ALLOC_DIR/runner"
          if [ -n "$RUNNER_PATH" ]; then
            ln -s "$RUNNER_PATH" gitea-runner
          else
            mv "$NOMAD_TASK_DIR/gitea-runner" gitea-runner
            chmod u+x gitea-runner
          fi

          # A short fetch interval, because its job already waits. No cache, because it would end with the
          # runner. The first job creates the work directory.
          {
            printf 'runner:\n  fetch_interval: 1s\n  timeout: %s\n' "$JOB_TIMEOUT"
            printf 'host:\n  workdir_parent: %s\n' "$NOMAD_ALLOC_DIR/work"
            printf 'cache:\n  enabled: false\n'
          } >config.yaml

          # :host runs steps on the host, not in a container started by the runner.
          labels=$(printf %s "$NOMAD_META_runner_labels" | sed 's/,/:host,/g; s/$/:host/')

          # Not --no-interactive: only the interactive mode reads the token from stdin, and it does not
          # prompt for what the arguments give. It would wait forever for an unreachable Gitea.
          printf '%s\n' "$token" | timeout 120 ./gitea-runner register --ephemeral \
            --instance "$NOMAD_META_runner_url" --name "$NOMAD_META_runner_name" --labels "$labels"
          if [ ! -s .runner ]; then
            echo "gitea-runner did not register, see above" >&2
            exit 1
          fi
        EOT
        ]
      }

      env {
        CLAIM_CA_FILE = var.claim_ca_file

        PATH        = var.path
        HOME        = "${NOMAD_ALLOC_DIR}/home"
        RUNNER_PATH = var.runner_path
        JOB_TIMEOUT = var.timeout
      }

      resources {
        cpu    = 100
        memory = 100
      }
    }

    # Waits for one job, runs it and exits.
    task "runner" {
      driver = "raw_exec"
      user   = var.user

      # See stop() below. More than 30 s needs max_kill_timeout in the client's configuration.
      kill_signal  = "SIGINT"
      kill_timeout = "30s"

      config {
        command = "/bin/sh"
        # The job gets this environment, not that of the Nomad client, which raw_exec passes on. Add
        # what your jobs need. HOME is in the allocation, so nothing is left behind.
        args = ["-c", <<-EOT
          cd "$NOMAD_ALLOC_DIR/runner" || exit 1
          mkdir -p "$NOMAD_ALLOC_DIR/home" "$NOMAD_ALLOC_DIR/tmp"
          env -i PATH="$PATH" LANG="$LANG" HOME="$NOMAD_ALLOC_DIR/home" \
            TMPDIR="$NOMAD_ALLOC_DIR/tmp" \
            NOMAD_ALLOC_ID="$NOMAD_ALLOC_ID" NOMAD_JOB_ID="$NOMAD_JOB_ID" \
            ./gitea-runner --config config.yaml daemon &
          runner=$!

          # When a job is cancelled, the runner kills the step's shell, then waits forever for the
          # processes that the shell started. Their environment identifies them.
          end_steps() {
            for process in $(grep -las "NOMAD_ALLOC_ID=$NOMAD_ALLOC_ID" /proc/[0-9]*/environ |
              cut -d / -f 3); do
              if [ "$process" != "$runner" ] && [ "$process" != $$ ]; then
                kill -KILL "$process" 2>/dev/null
              fi
            done
          }
          # When gitea-runner 1.0.8 is told to stop, it reports its job as successful. So this kills the
          # steps instead, until the runner has reported the failure. A runner without a job is killed.
          stop() {
            tries=20
            while [ -d "$NOMAD_ALLOC_DIR/work" ] && [ "$tries" -gt 0 ]; do
              end_steps
              sleep 1
              kill -0 "$runner" 2>/dev/null || return
              tries=$((tries - 1))
            done
            kill -KILL "$runner" 2>/dev/null
          }
          trap stop INT TERM

          wait "$runner"
          code=$?
          # A signal ends this wait, not the runner.
          while kill -0 "$runner" 2>/dev/null; do
            wait "$runner"
            code=$?
          done
          end_steps
          exit "$code"
        EOT
        ]
      }

      env {
        PATH = var.path
        LANG = "C.UTF-8"
      }

      resources {
        cpu    = var.cpu
        memory = var.memory
      }
    }

    # Frees the disk, which Nomad does only when it collects the allocation. It cannot deregister
    # the runner, because it no longer has a token. Gitea removes an ephemeral runner after its job,
    # and roustabout deletes those that had none.
    task "cleanup" {
      driver = "raw_exec"
      user   = var.user

      lifecycle {
        hook = "poststop"
      }

      config {
        command = "/bin/sh"
        # Always exits with 0: leftovers (files of root or of containers) must not turn a successful job
        # into a failed allocation.
        args = ["-c", <<-EOT
          cd "$NOMAD_ALLOC_DIR" || exit 0
          chmod -R u+rwX runner home work 2>/dev/null
          rm -rf runner home work
          exit 0
        EOT
        ]
      }

      resources {
        cpu    = 50
        memory = 50
      }
    }
  }
}
