//! The task group of an assignment, as its client reads it out of the job's JSON: what of each task
//! matters to its life.
//!
//! Whether a job is a good one was judged when it was registered. Read next: `allocation.rs`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::assignment::Assignment;
use crate::identity::IdentitySpec;
use crate::task_restarts::RestartPolicy;

const SECOND: i64 = 1_000_000_000;
/// `max_kill_timeout` of a client.
const MAX_KILL_TIMEOUT: i64 = 30 * SECOND;

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Group {
    pub name: String,
    #[serde(default)]
    pub meta: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub shutdown_delay: Option<i64>,
    #[serde(default)]
    restart_policy: Option<RestartPolicy>,
    #[serde(default)]
    pub networks: Option<Vec<Network>>,
    #[serde(default)]
    pub tasks: Vec<Task>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Network {
    /// Those that the job fixes; ports that Nomad chooses are given out nowhere here.
    #[serde(default)]
    pub reserved_ports: Option<Vec<Port>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Port {
    #[serde(default)]
    pub label: String,
    #[serde(default)]
    pub value: u16,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Task {
    pub name: String,
    #[serde(default)]
    pub config: Value,
    #[serde(default)]
    pub env: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub meta: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub user: Option<String>,
    #[serde(default)]
    pub leader: bool,
    #[serde(default)]
    pub lifecycle: Option<Lifecycle>,
    #[serde(default)]
    restart_policy: Option<RestartPolicy>,
    #[serde(default)]
    kill_timeout: Option<i64>,
    #[serde(default)]
    pub kill_signal: Option<String>,
    #[serde(default)]
    pub shutdown_delay: Option<i64>,
    #[serde(default)]
    pub dispatch_payload: Option<DispatchPayload>,
    #[serde(default)]
    pub artifacts: Option<Vec<Artifact>>,
    #[serde(default)]
    pub templates: Option<Vec<Template>>,
    #[serde(default)]
    pub resources: Option<Resources>,
    #[serde(default)]
    pub vault: Option<Vault>,
    /// The default one, once the job is kept.
    #[serde(default)]
    identity: Option<IdentitySpec>,
    #[serde(default)]
    identities: Option<Vec<IdentitySpec>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Lifecycle {
    #[serde(default)]
    pub hook: String,
    #[serde(default)]
    pub sidecar: bool,
}

/// Its token of Vault, and whether the task is shown it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Vault {
    #[serde(default)]
    pub role: String,
    #[serde(default)]
    pub env: bool,
    #[serde(default)]
    pub disable_file: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DispatchPayload {
    #[serde(default)]
    pub file: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Artifact {
    pub getter_source: String,
    #[serde(default)]
    pub getter_options: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub getter_headers: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub getter_mode: Option<String>,
    #[serde(default)]
    pub relative_dest: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Template {
    #[serde(default)]
    pub embedded_tmpl: Option<String>,
    #[serde(default)]
    pub source_path: Option<String>,
    #[serde(default)]
    pub dest_path: String,
    #[serde(default)]
    pub change_mode: Option<String>,
    #[serde(default)]
    pub change_signal: Option<String>,
    #[serde(default)]
    pub perms: Option<String>,
    #[serde(default)]
    pub envvars: Option<bool>,
    #[serde(default)]
    pub once: Option<bool>,
    #[serde(default)]
    pub left_delim: Option<String>,
    #[serde(default)]
    pub right_delim: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Resources {
    #[serde(rename = "CPU", default)]
    pub cpu: Option<u64>,
    #[serde(rename = "MemoryMB", default)]
    pub memory: Option<u64>,
}

/// When a task runs, compared with the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Before the main tasks, and to its end.
    Before,
    /// Begins before the main tasks, and lives as long as they do.
    Beside,
    Main,
    /// Begins once the main tasks run; to its end, or beside them.
    Poststart,
    PoststartBeside,
    After,
}

impl Group {
    /// # Errors
    /// In words, where the job has no such group.
    pub fn of(assignment: &Assignment) -> Result<Self, String> {
        let groups = assignment.job["TaskGroups"].as_array();
        let group = groups.into_iter().flatten().find(|it| it["Name"] == assignment.group.as_str());
        let group = group.ok_or_else(|| format!("the job has no group {:?}", assignment.group))?;
        serde_json::from_value(group.clone()).map_err(|error| error.to_string())
    }

    pub fn restarts(&self, task: &Task) -> RestartPolicy {
        task.restart_policy.clone().or_else(|| self.restart_policy.clone()).unwrap_or_default()
    }
}

impl Task {
    pub fn role(&self) -> Role {
        let Some(lifecycle) = &self.lifecycle else { return Role::Main };
        match (lifecycle.hook.as_str(), lifecycle.sidecar) {
            ("prestart", false) => Role::Before,
            ("prestart", true) => Role::Beside,
            ("poststart", false) => Role::Poststart,
            ("poststart", true) => Role::PoststartBeside,
            ("poststop", _) => Role::After,
            _ => Role::Main,
        }
    }

    pub fn identities(&self) -> impl Iterator<Item = &IdentitySpec> {
        self.identity.iter().chain(self.identities.iter().flatten())
    }

    pub fn runs_as_the_agent(&self) -> bool {
        self.user.as_deref().is_none_or(str::is_empty)
    }

    /// In nanoseconds: five seconds where nothing is said, and never more than the client allows.
    pub fn kill_timeout(&self) -> i64 {
        self.kill_timeout.filter(|it| *it > 0).unwrap_or(5 * SECOND).min(MAX_KILL_TIMEOUT)
    }
}

impl Role {
    pub fn is_sidecar(self) -> bool {
        matches!(self, Self::Beside | Self::PoststartBeside)
    }

    /// Whether it is started again also after it ended well.
    pub fn restarts_on_success(self) -> bool {
        self.is_sidecar()
    }
}

impl Template {
    pub fn goes_into_the_environment(&self) -> bool {
        self.envvars == Some(true)
    }
}
