//! A REST client for Gitea Actions: registration tokens, runners, runs, jobs, hooks.
//!
//! It knows Gitea's resources and nothing of why anybody wants them. It never retries and never
//! sleeps. Gitea has no rate limits and no `ETag`. Read `transport` next, then `paging`.
//!
//! Source of all facts unless said otherwise: Gitea 1.26.1, as it answers and in its code.

mod error;
mod hook_changes;
mod hooks;
mod jobs;
mod owner;
mod paging;
mod registration;
mod repositories;
mod runners;
mod runs;
mod server;
#[cfg(test)]
pub(crate) mod testing;
mod transport;
mod wire;

pub use error::Error;
pub use hooks::Hook;
pub use jobs::{JobStatus, Step, WorkflowJob};
pub use owner::Owner;
pub use repositories::{PullRequest, Repository};
pub use runners::Runner;
pub use runs::Run;
pub use server::Version;
pub use transport::{BuildError, Client};
