//! An HTTP client for HashiCorp Nomad: dispatch, look up, watch, stop.
//!
//! It knows Nomad's jobs, allocations and evaluations and nothing of why anybody wants them. It
//! never retries and never sleeps: every failure is told by kind, so that the caller can decide.
//! Written for Nomad 1.8 to 2.0. Read `transport` next (how a request is made), then `dispatch`
//! (the one call whose failures need care).

mod agent;
mod allocation;
mod authentication;
mod children;
mod connection;
mod dispatch;
mod endpoint;
mod error;
mod evaluation;
mod events;
mod filter;
mod job;
mod needs;
mod nodes;
mod placed_child;
mod refusal;
mod register;
mod signing_keys;
mod statuses;
mod stop;
mod token;
mod transport;
mod variables;
mod wire;

pub use agent::AclToken;
pub use allocation::{Allocation, ClientStatus, TaskEvent, TaskState, TaskTrouble};
pub use children::{AllocationCounts, ChildStub};
pub use connection::{Address, BuildError, Connection, Place};
pub use dispatch::{DispatchError, DispatchRequest, Dispatched, PAYLOAD_LIMIT};
pub use error::Error;
pub use evaluation::{Evaluation, PlacementFailure, why_not_placed};
pub use events::{EventStream, StreamEvent};
pub use job::{Group, Identity, Job, JobStatus, Parameterized, PayloadRule};
pub use needs::{Architecture, Needs};
pub use nodes::{Node, Room};
pub use placed_child::PlacedChild;
pub use refusal::Refusal;
pub use signing_keys::{PublicKey, SigningKey};
pub use statuses::{AllocStub, ChildStatus, Statuses};
pub use transport::Client;
pub use variables::Written;

#[cfg(test)]
mod testing;
