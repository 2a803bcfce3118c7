# --- what is served ------------------------------------------------------------------------

variable "pools" {
  description = "One parameterized job and one [[pools]] of the config each, in order: the first pool that matches has the job."
  nullable    = false
  type = list(object({
    # Names the pool, and its parameterized job unless nomad_job does.
    name         = string
    labels       = list(string)
    repositories = list(string)

    # docker, podman, exec or raw-exec: a jobspec of deploy/nomad, with values for its variables, lists as JSON. Or
    # the text of a jobspec of your own with the variables `job`, `namespace` and `claim_audience`. Null: the job is
    # registered elsewhere.
    jobspec   = optional(string, "docker")
    variables = optional(map(string), {})
    nomad_job = optional(string)

    delivery                   = optional(string, "claim")
    scope                      = optional(string, "repository")
    credential                 = optional(string)
    runner_group               = optional(string)
    topics                     = optional(list(string))
    max_runners                = optional(number)
    max_runners_per_repository = optional(number)
    robots_per_repository      = optional(number)
    cancel_superseded          = optional(bool)
    public_repositories        = optional(bool)
    forks                      = optional(bool)
    events                     = optional(list(string))
    actors                     = optional(list(string))

    # Runners that wait for jobs.
    warm = optional(list(object({
      count        = number
      repositories = optional(list(string))
      owners       = optional(list(string))
      schedule     = optional(string)
    })), [])

    # Further lines of this [[pools]], in TOML.
    config = optional(string, "")
  }))

  validation {
    condition     = length(var.pools) > 0
    error_message = "At least one pool is required."
  }
  validation {
    condition     = length(distinct(var.pools[*].name)) == length(var.pools)
    error_message = "Each pool needs a name of its own."
  }
  validation {
    condition = length(var.pools) == length(distinct([
      for pool in var.pools : coalesce(pool.nomad_job, "github-runner-${pool.name}")
    ]))
    error_message = "Each pool needs a parameterized job of its own: two have the same nomad_job."
  }
  validation {
    # The text of a jobspec has more than one line.
    condition = alltrue([
      for pool in var.pools : pool.jobspec == null || strcontains(coalesce(pool.jobspec, "x"), "\n") ||
      contains(["docker", "podman", "exec", "raw-exec"], coalesce(pool.jobspec, "x"))
    ])
    error_message = "jobspec is docker, podman, exec, raw-exec, or the text of a jobspec, file(\"…\")."
  }
  validation {
    condition     = var.vault != null || !contains(var.pools[*].delivery, "vault")
    error_message = "delivery = \"vault\" needs the variable vault."
  }
  validation {
    condition     = var.claims != null || !contains(var.pools[*].delivery, "claim")
    error_message = "delivery = \"claim\" needs the variable claims, with the URL at which tasks reach roustabout."
  }
}

variable "credentials" {
  description = "Tokens and Apps for GitHub, and the owners that each is for; the first that matches is used. `token`, `private_key` and `webhook_secret` are names of secrets, see `secrets`."
  nullable    = false
  type = list(object({
    owners = list(string)
    token  = optional(string)
    app = optional(object({
      client_id      = string
      private_key    = string
      webhook_secret = string
    }))
  }))
  default = [{ owners = ["*"], token = "github_token" }]

  validation {
    condition     = alltrue([for one in var.credentials : (one.token == null) != (one.app == null)])
    error_message = "Each credential has either a token or an app."
  }
}

variable "github_api_url" {
  description = "GitHub Enterprise Server: https://HOST/api/v3. Null: github.com."
  type        = string
  default     = null
}

variable "public_url" {
  description = "The URL at which GitHub reaches roustabout, with the path /webhook."
  type        = string
  default     = null
}

variable "claims" {
  description = "For delivery = \"claim\": the URL at which tasks reach the claims listener. With tls its certificate and key are the items claims_cert and claims_key of the Nomad Variable nomad/jobs/JOB."
  type = object({
    url      = string
    audience = optional(string, "roustabout")
    tls      = optional(bool, true)
  })
  default = null
}

variable "runners" {
  description = "The section [runners] of the config. name_prefix is of a-z and 0-9: two daemons need two."
  nullable    = false
  type = object({
    name_prefix = optional(string, "roustabout")
    max         = optional(number)
    robots      = optional(list(string))
  })
  default = {}
}

variable "config" {
  description = "Further sections of the config, in TOML: [report], [github], and others that this module does not write."
  type        = string
  default     = ""
}

# --- secrets -------------------------------------------------------------------------------

variable "vault" {
  description = "Keeps the secrets in the KV v2 entry MOUNT/NAME, which the daemon reads with its workload identity by a role at `auth_path`. Null: they are in the Nomad Variable nomad/jobs/JOB, which is written by hand."
  type = object({
    address   = string
    namespace = optional(string)
    mount     = optional(string, "secret")
    name      = optional(string, "roustabout")
    auth_path = optional(string, "jwt-nomad")
    role      = optional(string, "roustabout")
    audience  = optional(string, "vault.io")
    # With delivery = "vault": the KV v2 mount for the credentials of runners.
    runner_mount = optional(string, "secret")
    # The authorities of Vault's certificate: a file that the daemon's task can read.
    ca_cert_file = optional(string)
  })
  default = null
}

variable "secrets" {
  description = "The secrets, by name: webhook_secret, admin_token, and the names in `credentials`. Written to Vault and to nowhere else, not even to the state. Null: the entry is written by hand."
  type        = map(string)
  default     = null
  sensitive   = true
  ephemeral   = true

  validation {
    condition     = var.secrets_version == 0 || length(setsubtract(keys(local.secret), keys(coalesce(var.secrets, {})))) == 0
    error_message = "Required are these secrets: ${join(", ", keys(local.secret))}."
  }
}

variable "secrets_version" {
  description = "Raise it to have changed `secrets` written: without it a change cannot be seen. 0: the entry is written by hand."
  type        = number
  default     = 0

  validation {
    condition     = var.secrets_version == 0 || var.vault != null
    error_message = "secrets_version without vault: the module writes secrets to Vault only."
  }
}

# --- Nomad ---------------------------------------------------------------------------------

variable "runner_namespace" {
  description = "The namespace of the parameterized jobs. One of their own keeps the daemon's rights away from other jobs."
  type        = string
  default     = "runners"
  nullable    = false
}

variable "runner_homes" {
  description = "Puts the runner on each node once: the id of a job and values for the other variables of runner-home.nomad.hcl. Name the directory in `variables` of the pools, as runner_home."
  type        = map(map(string))
  default     = {}
  nullable    = false
}

variable "create_runner_namespace" {
  description = "False: the namespace is there already."
  type        = bool
  default     = true
  nullable    = false
}

variable "acl" {
  description = "False on a cluster without ACLs, where policies cannot be made."
  type        = bool
  default     = true
  nullable    = false
}

variable "daemon" {
  description = "The daemon as a Nomad job, from a binary on the nodes or from its image, with values for the variables of that jobspec (roustabout.nomad.hcl, roustabout-docker.nomad.hcl). Null: it runs elsewhere; take the config from the output."
  type = object({
    from      = optional(string, "binary")
    job       = optional(string, "roustabout")
    namespace = optional(string, "default")
    variables = optional(map(string), {})
  })
  default = {}

  validation {
    condition     = var.daemon == null || contains(["binary", "image"], try(var.daemon.from, "binary"))
    error_message = "daemon.from is binary or image."
  }
}
