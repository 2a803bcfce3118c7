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
    Registered { job: String },
    Dispatched { child: String, token: String },
    Blocked { child: String, why: String },
    Placed { child: String, allocation: String, node: String },
    TaskStarted { child: String, allocation: String },
    TaskEnded { child: String, allocation: String, how: String },
    Stopped { job: String, purge: bool },
    Collected { job: String },
    Node { node: String, what: &'static str },
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registered { job } => write!(f, "job {job} registered"),
            Self::Dispatched { child, token } => write!(f, "{child} dispatched for {token}"),
            Self::Blocked { child, why } => write!(f, "{child} not placed: {why}"),
            Self::Placed { child, allocation, node } => {
                write!(f, "{child} placed on {node} as {}", short(allocation))
            }
            Self::TaskStarted { child, allocation } => {
                write!(f, "{child} runs ({})", short(allocation))
            }
            Self::TaskEnded { child, allocation, how } => {
                write!(f, "{child} {how} ({})", short(allocation))
            }
            Self::Stopped { job, purge: false } => write!(f, "{job} stopped"),
            Self::Stopped { job, purge: true } => write!(f, "{job} purged"),
            Self::Collected { job } => write!(f, "{job} collected"),
            Self::Node { node, what } => write!(f, "node {node} {what}"),
        }
    }
}

/// As Nomad's own command line shows ids.
fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}
