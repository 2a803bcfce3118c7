//! roustabout turns GitHub `workflow_job` webhooks into ephemeral self-hosted runners on
//! HashiCorp Nomad, and into nothing at all when no job waits.
//!
//! Data flows one way: door (`webhook`) → inbox (`store`) → `engine` → `ledger` → workers
//! (`credential`, `forge`, `nomad`) → events back. `docs/architecture.md` has the picture.

pub mod admin;
pub mod check;
pub mod claims;
pub mod cli;
pub mod config;
pub mod credential;
pub mod daemon;
pub mod deposit;
pub mod engine;
pub mod explain;
pub mod forge;
pub mod hooks;
mod log_lines;
pub mod metrics;
pub mod own_secrets;
mod quantity;
pub mod reconcile;
pub mod report;
pub mod store;
#[cfg(feature = "otel")]
pub mod traces;
pub mod webhook;

pub use {gitea, github, ledger, nomad, vault};
