//! What a client says to the servers, and what it asks them for: plain data, so that they may be in
//! this process or in another one.
//!
//! Read next: `client.rs`, who says it; `Server::hear`, `Server::variable` and `Server::identity`,
//! which answer.

use serde::{Deserialize, Serialize};

use crate::identity::IdentitySpec;
use crate::task_states::TaskStates;

/// How an allocation is by now.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Update {
    pub allocation: String,
    pub tasks: TaskStates,
}

/// A Variable that a task's template names.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VariableAsked {
    pub namespace: String,
    pub path: String,
    pub allocation: String,
    pub task: String,
}

/// An identity of a task, to be signed (anew).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IdentityAsked {
    pub allocation: String,
    pub task: String,
    pub spec: IdentitySpec,
}
