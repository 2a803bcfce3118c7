# roustabout itself as a Nomad job: one daemon, with a workload identity instead of a token, its
# secrets in Nomad Variables and its database on a host volume. deploy/nomad/README.md describes
# the preparation.

variable "job" {
  description = "The job's id. Its secrets lie in the Nomad Variable nomad/jobs/ID."
  default     = "roustabout"
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

variable "config" {
  description = "The config, as text: -var \"config=$(cat roustabout.toml)\". Listen addresses, store and secrets are said here already."
}

variable "driver" {
  description = "exec, or raw_exec where the Nomad client does not run as root."
  default     = "exec"
}

variable "user" {
  description = "Whom the daemon runs as; it may write to the volume. Empty: the driver's own (nobody for exec, the client's for raw_exec)."
  default     = ""
}

variable "uid" {
  description = "The number of that user (id -u USER): its secrets' files are readable by it alone. -1: the client's own, for raw_exec without a user."
  type        = number
  default     = 65534
}

variable "program" {
  description = "roustabout on the node."
  default     = "/usr/local/bin/roustabout"
}

variable "volume" {
  description = "The host volume with the database. Only nodes that have it can run the daemon."
  default     = "roustabout"
}

variable "state" {
  description = "Where the volume is mounted. raw_exec cannot mount: there the volume's own path."
  default     = "/var/lib/roustabout"
}

variable "webhook_port" {
  description = "Of the public door."
  type        = number
  default     = 8080
}

variable "admin_port" {
  description = "Of the private door."
  type        = number
  default     = 9090
}

variable "claims_port" {
  description = "Of the listener for delivery = \"claim\": what claims.listen in the config says."
  type        = number
  default     = 9191
}

variable "secrets" {
  description = "Items of the Variable that become files in the secrets directory, by the files' names: in the items' a dash is an underscore."
  type        = list(string)
  default     = ["webhook-secret", "github-token", "admin-token"]
}

variable "vault_audience" {
  description = "For secrets in Vault: the audience of a workload identity that is in the secrets directory as nomad_vault.jwt."
  default     = ""
}

variable "claims_tls" {
  description = "Whether the Variable has claims_cert and claims_key, in PEM, for that listener."
  type        = bool
  default     = false
}

variable "service_provider" {
  description = "Where the two services are registered: nomad or consul."
  default     = "nomad"
}

variable "memory" {
  description = "MB, a hard limit. 10 000 open jobs take 29, a flood of webhooks 37 (docs/benchmarks.md)."
  type        = number
  default     = 64
}

job "roustabout" {
  id          = var.job
  name        = var.job
  type        = "service"
  namespace   = var.namespace
  datacenters = var.datacenters
  node_pool   = var.node_pool

  group "daemon" {
    # Never more: two daemons with the same name_prefix would treat each other's runners as strays.
    count = 1

    network {
      # Static, so that a second daemon on the node finds them in use and waits.
      port "webhook" {
        static = var.webhook_port
      }
      port "admin" {
        static = var.admin_port
      }
      # Nomad's clients have to reach it, and nobody else. Without [claims] in the config nobody listens.
      port "claims" {
        static = var.claims_port
      }
    }

    volume "state" {
      type   = "host"
      source = var.volume
    }

    # The ports are in use until the previous daemon has exited.
    restart {
      attempts = 10
      interval = "5m"
      delay    = "5s"
      mode     = "delay"
    }

    service {
      name     = "roustabout-webhook"
      provider = var.service_provider
      port     = "webhook"
    }

    service {
      name     = "roustabout"
      provider = var.service_provider
      port     = "admin"
      # 200 while webhooks can be stored, even if GitHub is unreachable.
      check {
        type     = "http"
        path     = "/readyz"
        interval = "10s"
        timeout  = "5s"
      }
    }

    task "roustabout" {
      driver = var.driver
      user   = var.user

      config {
        command = var.program
        args    = ["serve", "--config", "${NOMAD_TASK_DIR}/roustabout.toml"]
      }

      # Uses Nomad's API through the task's socket, as this job: no address and no token in the config.
      # The policy attached to the job grants its permissions.
      identity {
        env = true
      }

      # In the config: [vault] jwt_file = "{{ env `NOMAD_SECRETS_DIR` }}/nomad_vault.jwt". Nomad renews the file.
      dynamic "identity" {
        for_each = var.vault_audience == "" ? [] : [var.vault_audience]
        content {
          name = "vault"
          aud  = [identity.value]
          file = true
          ttl  = "1h"
        }
      }

      env {
        ROUSTABOUT__WEBHOOK__LISTEN = "0.0.0.0:${NOMAD_PORT_webhook}"
        ROUSTABOUT__ADMIN__LISTEN   = "${NOMAD_IP_admin}:${NOMAD_PORT_admin}"
        ROUSTABOUT__STORE__URL      = "sqlite://${var.state}/roustabout.db"
        # Secrets are read from here by name, like systemd credentials.
        CREDENTIALS_DIRECTORY = "${NOMAD_SECRETS_DIR}"
      }

      dynamic "volume_mount" {
        for_each = var.driver == "raw_exec" ? [] : [var.state]
        content {
          volume      = "state"
          destination = volume_mount.value
        }
      }

      template {
        destination   = "local/roustabout.toml"
        data          = var.config
        change_mode   = "signal"
        change_signal = "SIGHUP"
      }

      # A changed Variable triggers a reload.
      dynamic "template" {
        for_each = var.secrets
        content {
          destination          = "secrets/${template.value}"
          data                 = "{{ with nomadVar (print \"nomad/jobs/\" (env \"NOMAD_JOB_ID\")) }}{{ index . \"${replace(template.value, "-", "_")}\" }}{{ end }}"
          error_on_missing_key = true
          perms                = "0600"
          uid                  = var.uid
          change_mode          = "signal"
          change_signal        = "SIGHUP"
        }
      }

      # In the config: tls_cert_file = "{{ env `NOMAD_SECRETS_DIR` }}/claims-cert", and claims-key the same way. The
      # files are read again when they change.
      dynamic "template" {
        for_each = var.claims_tls ? ["claims-cert", "claims-key"] : []
        content {
          destination          = "secrets/${template.value}"
          data                 = "{{ with nomadVar (print \"nomad/jobs/\" (env \"NOMAD_JOB_ID\")) }}{{ index . \"${replace(template.value, "-", "_")}\" }}{{ end }}"
          error_on_missing_key = true
          perms                = "0600"
          uid                  = var.uid
          change_mode          = "noop"
        }
      }

      # Time to complete requests in flight: shutdown_grace (20s) and a margin.
      kill_signal  = "SIGTERM"
      kill_timeout = "30s"

      resources {
        cpu    = 100
        memory = var.memory
      }
    }
  }
}
