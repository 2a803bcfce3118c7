//! The simulated Nomad: one stateful model (`model.rs` and its neighbours) of what the daemon sees
//! of a cluster.
//!
//! The model is pure: no I/O, no clock, no async; `now` is an argument, its random numbers come from
//! the generator it was made with, and all its maps are ordered, so that a seed replays exactly.
//! What a task does is not its business: it says which tasks have begun and which were killed, and
//! is told how they ended. Each rule cites where it is known from: a file of hashicorp/nomad at
//! aa026cc, an issue (GH-n), or `[V]` for what was tried on 1.11.3.
//! Around the model stands the stand-in that `demo` uses where there is no Nomad: the HTTP API
//! (`http.rs`, `answers/`) and a client that runs local processes (`tasks/`).
//! Read next: `model.rs`, then `http.rs`.

pub mod acl;
mod agent;
pub mod allocations;
mod answers;
mod certificates;
pub mod changes;
pub mod children;
mod clients;
mod clock;
mod collecting;
pub mod command;
mod config;
mod connections;
pub mod constraints;
pub mod dispatching;
pub mod draining;
mod durations;
pub mod evaluations;
pub mod happenings;
mod http;
mod identity;
mod in_process;
pub mod jobs;
mod jobspec;
mod journal;
mod link;
mod machine;
pub mod model;
pub mod namespaces;
pub mod node_pools;
pub mod nodes;
mod outages;
pub mod placing;
mod planning;
mod queries;
mod reconciling;
mod restoring;
pub mod scheduler_configuration;
mod scheduling;
mod standing;
mod stopping;
mod stream;
pub mod tables;
pub mod task_events;
mod task_restarts;
pub mod task_states;
pub mod tasks;
#[cfg(test)]
mod tests;
mod tls;
pub mod variables;
pub mod wants;
mod wire;

/// Whose behaviour this is.
pub const VERSION: &str = "1.11.3";

/// In `config` of `GET /v1/agent/self`: true here, and a real Nomad has no such key. By it one who is handed
/// an address can tell which of both is there.
pub const MARK: &str = "StandIn";

pub use allocations::{Allocation, ClientStatus, TaskEvent};
pub use children::{Child, JobStatus};
pub use dispatching::{DispatchCall, Dispatched, Refused};
pub use evaluations::{Evaluation, EvaluationStatus};
pub use happenings::{Happening, What};
pub use in_process::InProcess;
pub use jobs::{JobKey, JobSpec, PayloadRule};
pub use model::{Knobs, Millis, Nomad, Started};
pub use nodes::{Node, NodeSpec, Outage};
pub use placing::PlacementFailure;
pub use queries::ChildStatus;
