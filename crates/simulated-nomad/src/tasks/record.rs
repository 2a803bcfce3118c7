//! What happened to each task of an allocation (`TaskStates`), for whoever asks why.

use serde_json::{Value, json};

use crate::model::Millis;

/// One thing that happened, and what the task is after it.
pub struct TaskRecord {
    kind: &'static str,
    message: String,
    exit_code: Option<i32>,
    then: &'static str,
    failed: bool,
}

impl TaskRecord {
    fn new(kind: &'static str, message: &str, then: &'static str) -> Self {
        Self { kind, message: message.to_owned(), exit_code: None, then, failed: false }
    }

    pub(super) fn received() -> Self {
        Self::new("Received", "Task received by client", "pending")
    }

    pub(super) fn started() -> Self {
        Self::new("Started", "Task started by client", "running")
    }

    pub(super) fn killing() -> Self {
        Self::new("Killing", "Sent interrupt. Waiting before force killing", "running")
    }

    pub(super) fn failed(kind: &'static str, why: String) -> Self {
        Self { message: why, failed: true, ..Self::new(kind, "", "dead") }
    }

    /// `told`: it was to end.
    pub(super) fn terminated(code: i32, told: bool) -> Self {
        let message = format!("Exit Code: {code}");
        let failed = code != 0 && !told;
        Self { exit_code: Some(code), failed, ..Self::new("Terminated", &message, "dead") }
    }
}

#[derive(Clone, Debug)]
pub struct TaskState {
    state: &'static str,
    failed: bool,
    events: Vec<Value>,
}

impl Default for TaskState {
    fn default() -> Self {
        Self { state: "pending", failed: false, events: Vec::new() }
    }
}

impl TaskState {
    pub(crate) fn add(&mut self, record: TaskRecord, now: Millis) {
        let TaskRecord { kind, message, exit_code, then, failed } = record;
        self.state = then;
        self.failed |= failed;
        let code = exit_code.unwrap_or_default();
        let details = match exit_code {
            Some(code) => json!({"exit_code": code.to_string()}),
            None => json!({}),
        };
        self.events.push(json!({
            "Type": kind, "DisplayMessage": message, "Message": "", "ExitCode": code,
            "Details": details, "Time": now * 1_000_000,
        }));
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "State": self.state, "Failed": self.failed, "Restarts": 0, "Events": self.events,
        })
    }
}
