//! What happens to a task, as Nomad tells of it: one [`TaskEvent`] for each, with its message and
//! its details.
//!
//! Pure data; its serialised form is the API's own, every field in it. What the events make of a
//! task's state: `task_states.rs`. (Nomad `nomad/structs/structs.go`, `TaskEvent`.)

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::durations::go_text;

/// The API's word for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    #[default]
    Received,
    #[serde(rename = "Task Setup")]
    Setup,
    #[serde(rename = "Downloading Artifacts")]
    Downloading,
    #[serde(rename = "Failed Artifact Download")]
    DownloadFailed,
    #[serde(rename = "Task hook failed")]
    HookFailed,
    #[serde(rename = "Setup Failure")]
    SetupFailure,
    #[serde(rename = "Failed Validation")]
    Invalid,
    #[serde(rename = "Driver Failure")]
    DriverFailure,
    Template,
    Started,
    Terminated,
    #[serde(rename = "Not Restarting")]
    NotRestarting,
    Restarting,
    #[serde(rename = "Restart Signaled")]
    RestartSignaled,
    Signaling,
    #[serde(rename = "Sibling Task Failed")]
    SiblingFailed,
    #[serde(rename = "Leader Task Dead")]
    LeaderDead,
    #[serde(rename = "Main Tasks Dead")]
    MainDead,
    Killing,
    Killed,
    #[serde(rename = "Waiting for shutdown delay")]
    WaitingForDelay,
    #[serde(rename = "Skipping shutdown delay")]
    SkippingDelay,
    Reconnected,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskEvent {
    pub r#type: EventKind,
    /// Nanoseconds since 1970.
    pub time: i64,
    pub display_message: String,
    pub details: BTreeMap<String, String>,
    pub message: String,
    pub disk_limit: i64,
    pub download_error: String,
    pub driver_error: String,
    pub driver_message: String,
    pub exit_code: i32,
    pub failed_sibling: String,
    pub fails_task: bool,
    pub generic_source: String,
    pub kill_error: String,
    pub kill_reason: String,
    pub kill_timeout: i64,
    pub restart_reason: String,
    pub setup_error: String,
    pub signal: i32,
    pub start_delay: i64,
    pub task_signal: String,
    pub task_signal_reason: String,
    pub validation_error: String,
    pub vault_error: String,
}

impl TaskEvent {
    fn new(kind: EventKind, message: impl Into<String>) -> Self {
        Self { r#type: kind, display_message: message.into(), ..Self::default() }
    }

    fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn received() -> Self {
        Self::new(EventKind::Received, "Task received by client")
    }

    /// Its node was given up for a while.
    pub(crate) fn reconnected() -> Self {
        Self::new(EventKind::Reconnected, "Client reconnected")
    }

    pub(crate) fn setup() -> Self {
        Self::with_message(EventKind::Setup, "Building Task Directory")
    }

    /// Something that must be done before the task starts went wrong.
    pub(crate) fn hook_failed(what: &str) -> Self {
        Self::with_message(EventKind::HookFailed, what)
    }

    fn with_message(kind: EventKind, what: &str) -> Self {
        Self { message: what.to_owned(), ..Self::new(kind, what) }.with("message", what)
    }

    pub(crate) fn downloading() -> Self {
        Self::new(EventKind::Downloading, "Client is downloading artifacts")
    }

    pub(crate) fn download_failed(why: &str) -> Self {
        let event = Self::new(EventKind::DownloadFailed, why);
        Self { download_error: why.to_owned(), ..event }.with("download_error", why)
    }

    pub(crate) fn invalid(why: &str) -> Self {
        let event = Self::new(EventKind::Invalid, why);
        Self { validation_error: why.to_owned(), ..event }.with("validation_error", why)
    }

    pub(crate) fn driver_failure(why: &str) -> Self {
        let event = Self::new(EventKind::DriverFailure, why);
        Self { driver_error: why.to_owned(), ..event }.with("driver_error", why)
    }

    /// A template waits for this.
    pub(crate) fn template(what: &str) -> Self {
        Self::new(EventKind::Template, what)
    }

    /// A template `failed: …`, which ends the task before it began.
    pub(crate) fn template_failed(why: &str) -> Self {
        let message = format!("Template {why}");
        Self { fails_task: true, ..Self::new(EventKind::Killing, message) }
            .with("fails_task", "true")
    }

    /// No token of Vault, which ends the task before it began.
    pub(crate) fn vault_failed(why: &str) -> Self {
        let message = format!("Vault: failed to derive vault token: {why}");
        Self { fails_task: true, ..Self::new(EventKind::Killing, message) }
            .with("fails_task", "true")
    }

    pub(crate) fn started() -> Self {
        Self::new(EventKind::Started, "Task started by client")
    }

    pub(crate) fn terminated(exit_code: i32, signal: i32) -> Self {
        let message = match signal {
            0 => format!("Exit Code: {exit_code}"),
            _ => format!("Exit Code: {exit_code}, Signal: {signal}"),
        };
        Self { exit_code, signal, ..Self::new(EventKind::Terminated, message) }
            .with("exit_code", exit_code.to_string())
            .with("signal", signal.to_string())
            .with("oom_killed", "false")
    }

    pub(crate) fn not_restarting(reason: &str) -> Self {
        let event = Self::new(EventKind::NotRestarting, reason);
        Self { restart_reason: reason.to_owned(), fails_task: true, ..event }
            .with("restart_reason", reason)
            .with("fails_task", "true")
    }

    pub(crate) fn restarting(delay: i64, reason: &str) -> Self {
        let within = ["", super::task_restarts::WITHIN_POLICY].contains(&reason);
        let before = if within { String::new() } else { format!("{reason} - ") };
        let message = format!("{before}Task restarting in {}", go_text(delay));
        let event = Self::new(EventKind::Restarting, message);
        Self { restart_reason: reason.to_owned(), start_delay: delay, ..event }
            .with("restart_reason", reason)
            .with("start_delay", delay.to_string())
    }

    pub(crate) fn restart_signaled(reason: &str) -> Self {
        let event = Self::new(EventKind::RestartSignaled, reason);
        Self { restart_reason: reason.to_owned(), ..event }.with("restart_reason", reason)
    }

    pub(crate) fn signaling(signal: &str) -> Self {
        Self::new(EventKind::Signaling, "Task being sent a signal").with("signal", signal)
    }

    pub(crate) fn sibling_failed(sibling: &str) -> Self {
        let message = format!("Task's sibling {sibling:?} failed");
        let event = Self::new(EventKind::SiblingFailed, message);
        Self { failed_sibling: sibling.to_owned(), ..event }.with("failed_sibling", sibling)
    }

    pub(crate) fn leader_dead() -> Self {
        Self::new(EventKind::LeaderDead, "Leader Task in Group dead")
    }

    pub(crate) fn main_dead() -> Self {
        Self::new(EventKind::MainDead, "Main tasks in the group died")
    }

    /// It was told to end.
    pub(crate) fn killing(timeout: i64) -> Self {
        let length = go_text(timeout);
        let message = format!("Sent interrupt. Waiting {length} before force killing");
        Self { kill_timeout: timeout, ..Self::new(EventKind::Killing, message) }
            .with("kill_timeout", length)
    }

    pub(crate) fn killed() -> Self {
        Self::new(EventKind::Killed, "Task successfully killed")
    }

    pub(crate) fn waiting_for_delay(delay: i64) -> Self {
        let length = go_text(delay);
        let message = format!("Waiting for shutdown_delay of {length} before killing the task.");
        Self::new(EventKind::WaitingForDelay, message)
    }

    pub(crate) fn skipping_delay(delay: i64) -> Self {
        let length = go_text(delay);
        let message = format!("Skipping shutdown_delay of {length} before killing the task.");
        Self::new(EventKind::SkippingDelay, message)
    }
}
