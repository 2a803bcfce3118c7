//! The log of what happened in the model, in order: for the demo to show and for tests to read.
//!
//! It records; nothing is decided from it. Read next: `model.rs`.

use std::fmt;

use super::model::Millis;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    pub at: Millis,
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    TokenMinted { scope: String },
    JobQueued { job: u64, name: String, repository: String, labels: Vec<String> },
    JobWaiting { job: u64, name: String },
    JobAssigned { job: u64, name: String, runner: String },
    JobStarted { job: u64, name: String, runner: String },
    JobRequeued { job: u64, name: String, runner: String },
    JobCompleted { job: u64, name: String, conclusion: &'static str, runner: Option<String> },
    RunnerRegistered { id: u64, name: String, scope: String },
    RunnerRemoved { id: u64, name: String, why: &'static str },
    Delivered { event: String, action: Option<String>, status_code: u16, redelivery: bool },
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TokenMinted { scope } => write!(f, "registration token minted for {scope}"),
            Self::JobQueued { job, name, repository, labels } => {
                write!(f, "job {job} {name:?} of {repository} queued for [{}]", labels.join(", "))
            }
            Self::JobWaiting { job, name } => write!(f, "job {job} {name:?} waits for approval"),
            Self::JobAssigned { job, name, runner } => {
                write!(f, "job {job} {name:?} given to {runner}")
            }
            Self::JobStarted { job, name, runner } => {
                write!(f, "job {job} {name:?} started on {runner}")
            }
            Self::JobRequeued { job, name, runner } => {
                write!(f, "job {job} {name:?} not picked up by {runner}, queued again")
            }
            Self::JobCompleted { job, name, conclusion, runner: Some(runner) } => {
                write!(f, "job {job} {name:?} completed on {runner}: {conclusion}")
            }
            Self::JobCompleted { job, name, conclusion, runner: None } => {
                write!(f, "job {job} {name:?} completed without a runner: {conclusion}")
            }
            Self::RunnerRegistered { id, name, scope } => {
                write!(f, "runner {name} ({id}) registered with {scope}")
            }
            Self::RunnerRemoved { id, name, why } => {
                write!(f, "runner {name} ({id}) removed: {why}")
            }
            Self::Delivered { event, action, status_code, redelivery } => write!(
                f,
                "webhook {event}.{} {}: {status_code}",
                action.as_deref().unwrap_or("-"),
                if *redelivery { "redelivered" } else { "delivered" },
            ),
        }
    }
}
