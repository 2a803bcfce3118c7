//! What the stand-in runner and the simulated GitHub say to each other, under `/_simulated/`.
//!
//! The real protocol between actions/runner and GitHub is not public; this one is ours and carries
//! only what the public behaviour needs. Read next: `github/runners.rs`, `runner/listen.rs`.

use serde::{Deserialize, Serialize};

/// What `config.sh` sends: `POST /_simulated/runners`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Registration {
    /// `--url`: the page of a repository (`…/owner/name`) or an organization (`…/owner`).
    pub url: String,
    /// The registration token.
    pub token: String,
    pub name: String,
    /// All labels; the runner client adds the default ones itself (ConfigurationManager.cs).
    pub labels: Vec<String>,
    /// `--runnergroup`; none is the default group.
    pub group: Option<String>,
    pub ephemeral: bool,
    /// `--replace`: take over the name of a runner that exists.
    pub replace: bool,
}

/// What a runner knows of its registration afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    pub id: u64,
    /// Proves in later requests that it is this runner.
    pub secret: String,
}

/// What a listening runner is told: `GET /_simulated/runners/ID/next`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Poll {
    /// A job to run.
    Job { job: JobMessage },
    /// Nothing yet: ask again.
    Wait,
    /// The registration is gone: end.
    Gone,
    /// This version of the runner gets no more jobs (actions/runner#4203): end.
    Deprecated,
}

/// One job, as its runner gets it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobMessage {
    pub id: u64,
    pub name: String,
    pub run_id: u64,
    /// `owner/name`.
    pub repository: String,
    pub duration_ms: i64,
    /// What the job's steps will come to, in GitHub's word (`success`, `failure`, …).
    pub conclusion: String,
    /// In their order. The first takes the whole duration.
    pub steps: Vec<Step>,
    /// `GITHUB_EVENT_NAME`.
    pub event_name: String,
    /// `GITHUB_ACTOR`.
    pub actor: String,
    /// The content of `GITHUB_EVENT_PATH`.
    pub event: serde_json::Value,
}

/// A step of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub name: String,
    /// `if: always()`: it runs whatever became of those before it.
    pub always: bool,
}

/// What a runner at work is told when it shows a sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Beat {
    GoOn,
    /// Somebody cancelled the job.
    Cancelled,
    /// This job is not this runner's (any more).
    NotYours,
}

/// Body of `POST /_simulated/runners/ID/{started,beat,finished}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    pub secret: String,
    pub job: u64,
    /// With `finished` only.
    #[serde(default)]
    pub conclusion: Option<String>,
    /// With `finished` only: the steps that were begun, by name.
    #[serde(default)]
    pub steps: Vec<String>,
}

/// Body of `POST /_simulated/runners/ID/remove`: `config.sh remove --token`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Removal {
    pub token: String,
}
