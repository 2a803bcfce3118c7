# One ephemeral GitHub Actions runner per dispatch, with the exec driver: its own root file system,
# processes and cgroup, which end with it; the node's network and kernel.
# Every dispatch by roustabout is a child of this job. deploy/nomad/README.md says how to register and
# adapt it.

variable "job" {
  description = "The job's id: what nomad_job says in the pool."
  default     = "github-runner-x64"
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
  description = "Where the nodes fetch the runner from, for every job: point it at a mirror near them. GitHub demands that a runner is no older than 30 days. Empty: actions/runner 2.337.0 at GitHub, for arch."
  default     = ""
}

variable "runner_checksum" {
  description = "sha256:HEX of runner_archive. Empty: that of the default archive; a runner_archive is then not checked."
  default     = ""
}

variable "runner_home" {
  description = "The runner unpacked, as the task sees it: /runner-home/VERSION in runner_volume. Then no job downloads it. Empty: each fetches runner_archive."
  default     = ""
}

variable "runner_volume" {
  description = "A host volume of the clients that holds what runner-home.nomad.hcl makes; mounted at /runner-home."
  default     = ""
}

variable "tool_cache_volume" {
  description = "A host volume, writable for user, where setup actions keep the tools that they install; mounted at /tool-cache. Empty: each job installs its own."
  default     = ""
}

variable "user" {
  description = "The user that jobs run as; it has to exist on the nodes. The exec driver refuses root."
  default     = "nobody"
}

variable "path" {
  description = "PATH of the runner and its jobs."
  default     = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
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
  description = "MB for the runner (about 1000 unpacked) and its work. Used for placement, not enforced."
  type        = number
  default     = 4000
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

job "github-runner" {
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
    payload = "optional"
    # The last five are the pool's policy, for the job-started hook.
    meta_required = [
      "runner_name", "runner_url", "runner_labels", "allow_repositories", "allow_public", "allow_forks",
      "allow_events", "allow_actors",
    ]
    # credential (registration-token or jit: what the payload is) and the group are used below; the rest
    # is informational, to identify a child job.
    meta_optional = [
      "claim_url", "credential_path", "vault_path", "credential", "runner_group", "runner_scope", "repository",
      "workflow_job_id", "run_id", "workflow_name", "workflow_job_name",
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
    # One attempt. If the job still needs a runner, roustabout launches another with a new credential;
    # Nomad would restart this one with a used credential.
    restart {
      attempts = 0
      mode     = "fail"
    }
    reschedule {
      attempts  = 0
      unlimited = false
    }

    # A disconnected node may be running a job. Without this, Nomad would start a second allocation
    # elsewhere at once, and kill the first when the node reconnects. (A second one can still appear,
    # after 6 h or if the first had not started; it fails, because its name or token is already used.)
    disconnect {
      lost_after = "6h"
      replace    = false
    }

    # Nomad 2.0.3 or newer can enforce a hard limit, which kills without running poststop tasks:
    # max_run_duration = "6h"

    ephemeral_disk {
      size = var.disk
    }

    dynamic "volume" {
      for_each = var.runner_volume == "" ? [] : [var.runner_volume]
      labels   = ["runner-home"]
      content {
        type      = "host"
        source    = volume.value
        read_only = true
      }
    }

    dynamic "volume" {
      for_each = var.tool_cache_volume == "" ? [] : [var.tool_cache_volume]
      labels   = ["tool-cache"]
      content {
        type   = "host"
        source = volume.value
      }
    }

    # Registers the runner, then becomes it. Each task of this driver has its own root file system, so
    # this cannot be split into two tasks.
    task "runner" {
      driver = "exec"
      user   = var.user

      # On SIGINT the runner cancels its job and reports that to GitHub. More than 30 s needs
      # max_kill_timeout in the client's configuration.
      kill_signal  = "SIGINT"
      kill_timeout = "30s"

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
          {{ with env "NOMAD_META_credential_path" }}{{ with nomadVar . }}{{ if eq (env "NOMAD_META_credential") "jit" }}{{ .jit_config }}{{ else }}{{ .token }}{{ end }}{{ end }}{{ end -}}
          {{ with env "NOMAD_META_vault_path" }}{{ with secret . }}{{ if eq (env "NOMAD_META_credential") "jit" }}{{ .Data.data.jit_config }}{{ else }}{{ .Data.data.token }}{{ end }}{{ end }}{{ end }}
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

      # Not unpacked by Nomad, which stops at 4096 files by default and makes its own user their owner.
      dynamic "volume_mount" {
        for_each = var.runner_volume == "" ? [] : ["runner-home"]
        content {
          volume      = volume_mount.value
          destination = "/runner-home"
          read_only   = true
        }
      }

      dynamic "volume_mount" {
        for_each = var.tool_cache_volume == "" ? [] : ["tool-cache"]
        content {
          volume      = volume_mount.value
          destination = "/tool-cache"
        }
      }

      dynamic "artifact" {
        for_each = var.runner_home == "" ? [local.runner_archive] : []
        content {
          source      = artifact.value
          destination = "local/runner.tar.gz"
          mode        = "file"
          options {
            archive  = "false"
            checksum = local.runner_checksum
          }
        }
      }

      # The hook that ends a job outside the pool's policy before its first step: see README.md. It is the
      # same in every jobspec here.
      template {
        destination = "local/job-started.sh"
        perms       = "755"
        change_mode = "noop"
        data        = <<-EOT
          # Ends a job outside the pool's policy before its first step. GitHub can give an organization's
          # runner any job there with matching labels; roustabout only decides which jobs it launches for.
          #
          # Failing here is not enough: steps with if: always() would still run. So the hook interrupts the
          # runner and does not return: after an interrupt no step is started, and the job fails.
          # Any error in this hook also refuses the job.

          parent_of() { sed -n 's/^PPid:[^0-9]*//p' "/proc/$1/status"; }

          refuse() {
            trap - EXIT
            set +e
            echo "roustabout: this runner does not serve this job: $1" >&2
            pid=$(parent_of $$)
            while [ -n "$pid" ] && [ "$pid" -gt 0 ]; do
              case $(tr '\000' '\n' <"/proc/$pid/cmdline" | head -n 1) in
                Runner.Listener | */Runner.Listener)
                  kill -INT "$pid"
                  break
                  ;;
              esac
              pid=$(parent_of "$pid")
            done
            # The runner also ends this hook. If it does not within 20 s, or no runner was found above, the
            # hook kills its parent: without its worker the job cannot continue.
            trap 'exit 1' INT TERM
            waited=0
            while [ "$(parent_of $$)" = "$PPID" ]; do
              if [ -z "$pid" ] || [ "$pid" = 0 ] || [ $waited -ge 20 ]; then kill -KILL "$PPID"; fi
              waited=$((waited + 1))
              sleep 1
            done
            exit 1
          }

          trap 'refuse "the hook failed"' EXIT
          # A job that is cancelled in the meantime must not bypass the hook.
          trap '' INT TERM
          set -ef

          allow_repositories='{{ env "NOMAD_META_allow_repositories" | replaceAll "'" "" }}'
          allow_public='{{ env "NOMAD_META_allow_public" | replaceAll "'" "" }}'
          allow_forks='{{ env "NOMAD_META_allow_forks" | replaceAll "'" "" }}'
          allow_events='{{ env "NOMAD_META_allow_events" | replaceAll "'" "" }}'
          allow_actors='{{ env "NOMAD_META_allow_actors" | replaceAll "'" "" }}'

          lower() { printf '%s' "$1" | tr '[:upper:]' '[:lower:]'; }

          # Whether a list of patterns allows a text. A pattern with ! always excludes; a bracket, as in
          # dependabot[bot], is a character.
          allows() {
            text=$(lower "$2")
            allowed=no
            IFS=,
            for pattern in $(lower "$1" | sed 's/\[/[[]/g'); do
              case $pattern in
                !*)
                  pattern=$(printf '%s' "$pattern" | cut -c 2-)
                  case $text in $pattern) allowed=no; break ;; esac
                  ;;
                *)
                  case $text in $pattern) allowed=yes ;; esac
                  ;;
              esac
            done
            unset IFS
            [ $allowed = yes ]
          }

          allows "$allow_repositories" "$GITHUB_REPOSITORY" ||
            refuse "$GITHUB_REPOSITORY is not among the repositories of its pool"
          allows "$allow_events" "$GITHUB_EVENT_NAME" ||
            refuse "its pool does not serve the event $GITHUB_EVENT_NAME"
          allows "$allow_actors" "$GITHUB_ACTOR" || refuse "its pool does not serve the actor $GITHUB_ACTOR"

          # Reads "private" and "head" from the event, token by token, because a title can contain anything.
          # JSON strings contain no line breaks, so no token spans lines.
          event=$(awk '
            function scalar(text,   i, path) {
              if (depth > 4) return
              path = key[1]
              for (i = 2; i <= depth; i++) path = path "." key[i]
              if (path == "\"repository\".\"private\"") private = text
              if (path == "\"repository\".\"full_name\"") base = text
              if (path == "\"pull_request\".\"head\".\"repo\".\"full_name\"") head = text
              if (index(path, "\"pull_request\".") == 1) pull = 1
            }
            {
              rest = $0
              while (rest != "") {
                one = substr(rest, 1, 1)
                if (match(rest, /^[ \t\r]+/)) {
                } else if (match(rest, /^[[{]/)) {
                  depth++; kind[depth] = one; key[depth] = ""; naming = (one == "{")
                } else if (match(rest, /^[]}]/)) {
                  depth--; naming = 0
                } else if (match(rest, /^,/)) {
                  naming = (kind[depth] == "{")
                } else if (match(rest, /^:/)) {
                  naming = 0
                } else if (match(rest, /^"([^"\\]|\\.)*"/) || match(rest, /^[-+.0-9A-Za-z]+/)) {
                  if (naming) key[depth] = substr(rest, 1, RLENGTH); else scalar(substr(rest, 1, RLENGTH))
                } else {
                  broken = 1
                  exit
                }
                rest = substr(rest, RLENGTH + 1)
              }
            }
            END {
              if (broken || depth != 0) exit 1
              print private
              print !pull ? "none" : head != "" && head == base ? "same" : "fork"
            }
          ' "$GITHUB_EVENT_PATH")
          private=$(printf '%s\n' "$event" | sed -n 1p)
          head=$(printf '%s\n' "$event" | sed -n 2p)

          [ "$private" = true ] || [ "$allow_public" = true ] ||
            refuse "$GITHUB_REPOSITORY is public, or its event does not say"
          case $GITHUB_EVENT_NAME:$head in
            pull_request*:none) head=fork ;;
          esac
          [ "$head" != fork ] || [ "$allow_forks" = true ] || refuse "its head is a fork"

          trap - EXIT
          exit 0
        EOT
      }

      config {
        command = "/bin/sh"
        # Write $NAME in this script, which the shell expands. Nomad would expand the form with braces and
        # paste untrusted input (the name of a workflow) into the program.
        args = ["-c", <<-EOT
          set -e

          # The token can register runners for an hour. So the file is deleted first, the token is never
          # an argument, and only config.sh has it in its environment (and removes it from there at
          # once).
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
            echo "no credential: the payload of this dispatch is empty, and so are claim_url, credential_path and vault_path" >&2
            exit 1
          fi

          mkdir -p "$NOMAD_ALLOC_DIR/runner" "$NOMAD_ALLOC_DIR/home" "$NOMAD_ALLOC_DIR/tmp"
          cd "$NOMAD_ALLOC_DIR/runner"
          if [ -n "$RUNNER_HOME" ]; then
            # Its own copy of what it may change; externals, which is most of the runner, stays where it is.
            if [ ! -x "$RUNNER_HOME/run.sh" ]; then
              echo "no runner in $RUNNER_HOME: run deploy/nomad/runner-home.nomad.hcl for this node" >&2
              exit 1
            fi
            for part in "$RUNNER_HOME"/* "$RUNNER_HOME"/.[!.]*; do
              case $part in
                */externals) ln -s "$part" . ;;
                *) [ ! -e "$part" ] || cp -R "$part" . ;;
              esac
            done
          else
            tar -xzf "$NOMAD_TASK_DIR/runner.tar.gz"
            # May fail: the file belongs to the Nomad client, and so may the directory.
            rm -f "$NOMAD_TASK_DIR/runner.tar.gz" || true
          fi

          # Only the pool's labels: a default label would let jobs of other pools take this runner.
          # No --replace: a second allocation of this child must fail, not replace the first.
          # No --disableupdate: GitHub gives no jobs to a runner older than 30 days, so one that cannot
          # update itself would never get a job.
          set -- --unattended --ephemeral --no-default-labels --url "$NOMAD_META_runner_url" \
            --name "$NOMAD_META_runner_name" --labels "$NOMAD_META_runner_labels" --work _work
          if [ -n "$NOMAD_META_runner_group" ]; then
            set -- "$@" --runnergroup "$NOMAD_META_runner_group"
          fi
          # With a JIT configuration GitHub has registered this runner already.
          if [ "$NOMAD_META_credential" = jit ]; then
            (umask 077 && printf %s "$token" >.jitconfig)
          else
            ACTIONS_RUNNER_INPUT_TOKEN="$token" ./config.sh "$@"
          fi
          unset token

          # The job gets this environment. Add what your jobs need. HOME is in the allocation, so
          # nothing is left behind.
          #
          # RUNNER_MANUALLY_TRAP_SIG makes run.sh pass SIGINT on. The next variable makes it exit with 7,
          # not 0, when GitHub refuses this version as too old.
          set --
          [ -z "$TOOL_CACHE" ] || set -- RUNNER_TOOL_CACHE="$TOOL_CACHE"
          exec env -i "$@" PATH="$PATH" LANG="$LANG" HOME="$NOMAD_ALLOC_DIR/home" \
            TMPDIR="$NOMAD_ALLOC_DIR/tmp" \
            RUNNER_MANUALLY_TRAP_SIG=1 ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE=1 \
            ACTIONS_RUNNER_HOOK_JOB_STARTED="$NOMAD_TASK_DIR/job-started.sh" \
            NOMAD_ALLOC_ID="$NOMAD_ALLOC_ID" NOMAD_JOB_ID="$NOMAD_JOB_ID" \
            /bin/sh -c '
              if [ -f .jitconfig ]; then
                ACTIONS_RUNNER_INPUT_JITCONFIG=$(cat .jitconfig)
                rm -f .jitconfig
                export ACTIONS_RUNNER_INPUT_JITCONFIG
              fi
              exec ./run.sh'
        EOT
        ]
      }

      env {
        CLAIM_CA_FILE = var.claim_ca_file
        RUNNER_HOME   = var.runner_home
        TOOL_CACHE    = var.tool_cache_volume == "" ? "" : "/tool-cache"

        # The runner saves PATH and LANG for its jobs (.path and .env in its directory).
        PATH = var.path
        LANG = "C.UTF-8"
        HOME = "${NOMAD_ALLOC_DIR}/home"
      }

      resources {
        cpu    = var.cpu
        memory = var.memory
      }
    }
  }
}
