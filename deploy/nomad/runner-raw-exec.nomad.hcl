# One ephemeral GitHub Actions runner per dispatch, on the raw_exec driver: no isolation, so only
# for repositories whose workflows you trust with the machine. deploy/nomad/README.md says how to
# register and adapt it; every dispatch of roustabout becomes a child of this job.

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
  description = "amd64 or arm64, as the nodes are; the archive has to match."
  default     = "amd64"
}

variable "runner_archive" {
  description = "Where the nodes fetch the runner from, for every job: point it at a mirror near them. GitHub demands that a runner is no older than 30 days."
  default     = "https://github.com/actions/runner/releases/download/v2.337.0/actions-runner-linux-x64-2.337.0.tar.gz"
}

variable "runner_checksum" {
  description = "sha256:HEX of the archive; empty: not checked. Set it whenever you set runner_archive."
  default     = "sha256:70920811a4f8ad4328818682bca5c6469c1c942fab52448868071d0063816613"
}

variable "user" {
  description = "The user that jobs run as; needs a Nomad client that runs as root. Empty: the client's own."
  default     = ""
}

variable "run_as_root" {
  description = "The runner refuses to run as root, unless this is true."
  type        = bool
  default     = false
}

variable "path" {
  description = "PATH of the runner and its jobs."
  default     = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
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

job "github-runner" {
  id          = var.job
  name        = var.job
  namespace   = var.namespace
  datacenters = var.datacenters
  node_pool   = var.node_pool

  # A service would be started again; only batch jobs can be dispatched.
  type = "batch"

  parameterized {
    # The credential, and nothing else. Meta would show it in metrics and on the status page.
    payload = "required"
    # The last three are the pool's policy, for the job-started hook.
    meta_required = [
      "runner_name", "runner_url", "runner_labels", "allow_repositories", "allow_public", "allow_forks",
    ]
    # The group is used below; the rest is for people who look at a child and ask whose it is.
    meta_optional = [
      "runner_group", "runner_scope", "repository", "workflow_job_id", "run_id", "workflow_name",
      "workflow_job_name",
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
    # One try. A job that needs a runner still is seen by roustabout, which hires a new one with a
    # fresh credential; Nomad would start one with a credential that is used up.
    restart {
      attempts = 0
      mode     = "fail"
    }
    reschedule {
      attempts  = 0
      unlimited = false
    }

    # A node out of touch may be running a job. Without this Nomad would start a second allocation
    # elsewhere at once, and kill the first when the node is back. (A second one can still appear,
    # after 6 h or where the first had not started: it fails, for its name or token is used up.)
    disconnect {
      lost_after = "6h"
      replace    = false
    }

    # From Nomad 2.0.3 on a hard limit can be set here. It kills without poststop:
    # max_run_duration = "6h"

    ephemeral_disk {
      size = var.disk
    }

    # Fetches the runner into the allocation's shared folder and registers it.
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

      # Not unpacked by Nomad: it stops at 4096 files by default, and leaves them to its own user.
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
        # In this text $NAME is for the shell; Nomad would fill in the form with braces, and put
        # what strangers can choose (the name of a workflow) into a program.
        args = ["-c", <<-EOT
          set -e

          # The job can read this task's local folder, and the token registers runners for an hour:
          # the file goes before anything else happens, the token is never an argument, and only
          # config.sh has it in its environment (it removes it from there at once).
          token=$(cat "$NOMAD_TASK_DIR/token")
          rm -f "$NOMAD_TASK_DIR/token"
          if [ -z "$token" ]; then
            echo "the payload of this dispatch is empty: no registration token" >&2
            exit 1
          fi

          mkdir -p "$NOMAD_ALLOC_DIR/runner" "$NOMAD_ALLOC_DIR/home"
          cd "$NOMAD_ALLOC_DIR/runner"
          tar -xzf "$NOMAD_TASK_DIR/runner.tar.gz"
          rm -f "$NOMAD_TASK_DIR/runner.tar.gz"

          # The pool's labels and no others: a default label would let foreign jobs take this runner.
          # No --replace: a second allocation of this child must fail, not throw out the first.
          # No --disableupdate: GitHub gives no jobs to a runner that is older than 30 days, and one
          # that may not update itself would wait for them in vain.
          set -- --unattended --ephemeral --no-default-labels --url "$NOMAD_META_runner_url" \
            --name "$NOMAD_META_runner_name" --labels "$NOMAD_META_runner_labels" --work _work
          if [ -n "$NOMAD_META_runner_group" ]; then
            set -- "$@" --runnergroup "$NOMAD_META_runner_group"
          fi
          export ACTIONS_RUNNER_INPUT_TOKEN="$token"
          exec ./config.sh "$@"
        EOT
        ]
      }

      env {
        # The runner remembers these two for its jobs (.path and .env in its folder).
        PATH                   = var.path
        LANG                   = "C.UTF-8"
        HOME                   = "${NOMAD_ALLOC_DIR}/home"
        RUNNER_ALLOW_RUNASROOT = var.run_as_root ? "1" : ""
      }

      resources {
        cpu    = 100
        memory = 300
      }
    }

    # Ends a job that is not one of the pool's before its first step: see README.md. Its text and the
    # pool's policy come by this task's command, and it lies where only root can write: what is in the
    # task folders can be replaced by whoever runs on the node. Where the Nomad client is not root
    # all jobs are its own user's anyway.
    task "hook" {
      driver = "raw_exec"
      user   = var.user == "" ? "" : "root"

      lifecycle {
        hook    = "prestart"
        sidecar = false
      }

      config {
        command = "/bin/sh"
        args = ["-c", <<-EOT
          set -e
          umask 022
          folder=/run/roustabout/$NOMAD_ALLOC_ID
          [ "$(id -u)" = 0 ] || folder=$NOMAD_ALLOC_DIR/hook
          mkdir -p "$folder"
          said() { printf "%s='%s'\n" "$1" "$(printf %s "$2" | tr -d "'")"; }
          {
            said allow_repositories "$NOMAD_META_allow_repositories"
            said allow_public "$NOMAD_META_allow_public"
            said allow_forks "$NOMAD_META_allow_forks"
            cat <<'HOOK'
          # Ends a job that this runner was not hired for, before its first step. GitHub may give a runner
          # of an organization any job there with fitting labels; roustabout decides only whom it hires for.
          #
          # To fail here would not do: steps with if: always() would still run. So the runner itself is
          # interrupted, and this does not return: after an interrupt no step is begun, and the job fails.
          # Whatever goes wrong in here refuses the job, too.

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
            # The runner ends this hook, too. Where it does not within 20 s, or none was found above, the
            # hook's parent is ended: without its worker a job cannot go on either.
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
          # A job that is cancelled meanwhile must not get past this.
          trap '' INT TERM
          set -ef

          lower() { printf '%s' "$1" | tr '[:upper:]' '[:lower:]'; }

          repository=$(lower "$GITHUB_REPOSITORY")
          serves=no
          IFS=,
          for pattern in $(lower "$allow_repositories"); do
            case $pattern in
              !*)
                pattern=$(printf '%s' "$pattern" | cut -c 2-)
                case $repository in $pattern) serves=no; break ;; esac
                ;;
              *)
                case $repository in $pattern) serves=yes ;; esac
                ;;
            esac
          done
          unset IFS
          [ $serves = yes ] || refuse "$GITHUB_REPOSITORY is not among the repositories of its pool"

          # The event, as "private" and "head": read token by token, for a title can say anything. Every
          # line of a JSON text is whole, as no string holds a line break.
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
          HOOK
          } >"$folder/job-started.sh"
        EOT
        ]
      }

      env {
        PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
      }

      resources {
        cpu    = 50
        memory = 50
      }
    }

    # Waits for one job, runs it and ends.
    task "runner" {
      driver = "raw_exec"
      user   = var.user

      # SIGINT lets the runner cancel its job and say so to GitHub. More than 30 s need
      # max_kill_timeout in the client's configuration.
      kill_signal  = "SIGINT"
      kill_timeout = "30s"

      config {
        command = "/bin/sh"
        # The job starts from this environment, not from that of the Nomad client, which raw_exec
        # hands on. Add what your jobs need. HOME is of this allocation, so nothing is left behind.
        #
        # RUNNER_MANUALLY_TRAP_SIG: only then does run.sh hand SIGINT on. The next one: exit 7, not
        # 0, when GitHub refuses this version as too old.
        args = ["-c", <<-EOT
          cd "$NOMAD_ALLOC_DIR/runner" || exit 1
          mkdir -p "$NOMAD_ALLOC_DIR/home" "$NOMAD_ALLOC_DIR/tmp"
          hook=/run/roustabout/$NOMAD_ALLOC_ID/job-started.sh
          [ -f "$hook" ] || hook=$NOMAD_ALLOC_DIR/hook/job-started.sh
          exec env -i PATH="$PATH" LANG="$LANG" HOME="$NOMAD_ALLOC_DIR/home" \
            TMPDIR="$NOMAD_ALLOC_DIR/tmp" RUNNER_ALLOW_RUNASROOT="$RUNNER_ALLOW_RUNASROOT" \
            RUNNER_MANUALLY_TRAP_SIG=1 ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE=1 \
            ACTIONS_RUNNER_HOOK_JOB_STARTED="$hook" \
            NOMAD_ALLOC_ID="$NOMAD_ALLOC_ID" NOMAD_JOB_ID="$NOMAD_JOB_ID" \
            ./run.sh
        EOT
        ]
      }

      env {
        PATH                   = var.path
        LANG                   = "C.UTF-8"
        RUNNER_ALLOW_RUNASROOT = var.run_as_root ? "1" : ""
      }

      resources {
        cpu    = var.cpu
        memory = var.memory
      }
    }

    # Frees the disk, which Nomad does only when it collects the allocation. It cannot deregister
    # the runner: that takes a token, and there is none any more. An ephemeral runner that had its
    # job is gone at GitHub by then, and roustabout deletes those that had none.
    task "cleanup" {
      driver = "raw_exec"
      user   = var.user

      lifecycle {
        hook = "poststop"
      }

      config {
        command = "/bin/sh"
        # Always 0: what is left over (files of root, of containers) must not make a job that went
        # well a failed allocation. The runner's own logs stay, for they say why it went wrong.
        args = ["-c", <<-EOT
          cd "$NOMAD_ALLOC_DIR" || exit 0
          chmod -R u+rwX runner home 2>/dev/null
          rm -rf home
          find runner -mindepth 1 -maxdepth 1 ! -name _diag -exec rm -rf {} +
          exit 0
        EOT
        ]
      }

      resources {
        cpu    = 50
        memory = 50
      }
    }

    # Takes the hook away again, which is root's.
    task "unhook" {
      driver = "raw_exec"
      user   = var.user == "" ? "" : "root"

      lifecycle {
        hook = "poststop"
      }

      config {
        command = "/bin/sh"
        args    = ["-c", "rm -rf \"/run/roustabout/$NOMAD_ALLOC_ID\" \"$NOMAD_ALLOC_DIR/hook\""]
      }

      env {
        PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
      }

      resources {
        cpu    = 50
        memory = 50
      }
    }
  }
}
