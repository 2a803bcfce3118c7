//! One step of the demo as it is shown: when, whose, what.

use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A webhook about a queued job was answered.
    Webhook,
    Token,
    Hired,
    /// Jobs wait, with the daemon's reason.
    Waits,
    /// The daemon's answer to why one job is where it is.
    Explained,
    /// The pool's policy lets the job have no runner.
    Refused,
    Dispatched,
    Placed,
    Registered,
    Started,
    Completed,
    /// What a step of the job wrote, where that is real.
    Log,
    Gone,
    /// Whatever else the daemon says.
    Note,
    /// What the daemon warns of.
    Trouble,
}

#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// Since the first job was queued.
    pub seconds: f64,
    pub step: Kind,
    pub repository: Option<String>,
    pub job: Option<u64>,
    pub job_name: Option<String>,
    pub runner: Option<String>,
    pub text: String,
    /// The second column: `build 3`, `runner 2`.
    #[serde(skip)]
    pub who: String,
}
