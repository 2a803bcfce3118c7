//! A REST client for GitHub Actions: registration tokens, runners, runs, jobs, hooks.
//!
//! It knows GitHub's resources and nothing of why anybody wants them. It never retries and never
//! sleeps; what GitHub says about waiting holds for all clones, and the caller is
//! told until when. A client that is told what its requests are for keeps to a share of the rate limit.
//! Read `transport` next (how a request is made), then `rate_limit`, `budget` and `pace`.
//!
//! Source of all facts unless said otherwise: docs.github.com/en/rest, API version 2022-11-28,
//! and GitHub's OpenAPI description.

mod app;
mod auth;
mod budget;
mod cancelling;
mod concurrency;
mod conditional;
mod deliveries;
mod error;
mod hook_changes;
mod hooks;
mod installation;
mod jit;
mod jobs;
mod jwt;
mod manifest;
mod pace;
mod paging;
mod permission;
mod rate_limit;
mod refusal;
mod registration;
mod repositories;
mod runner_groups;
mod runners;
mod runs;
mod transport;
mod user;
mod wire;

pub use app::{App, HookConfig, Registered};
pub use budget::Purpose;
pub use cancelling::CancelOutcome;
pub use concurrency::{ConcurrencyGroup, GroupMember};
pub use conditional::Conditional;
pub use deliveries::{Delivery, LogOf, New};
pub use error::Error;
pub use hook_changes::HookSettings;
pub use hooks::{Hook, LastResponse};
pub use installation::{Account, Grant, Installation};
pub use jit::{JitConfig, JitRunner};
pub use jobs::{JobStatus, Step, WorkflowJob};
pub use jwt::{AppKey, NotAKey};
pub use manifest::{Created, LONGEST_APP_NAME, Manifest, Stranger};
pub use paging::Pages;
pub use permission::{Operation, permission_for};
pub use refusal::Refusal;
pub use registration::{RegistrationToken, RunnersOf};
pub use repositories::{Repository, RepositoryPermissions, RepositoryRef};
pub use runner_groups::{RepositoryRunners, RunnerGroup};
pub use runners::{DeleteOutcome, Runner};
pub use runs::{MOST_RUNS, Run};
pub use transport::{BuildError, Client};
pub use user::{RateLimit, User};

#[cfg(test)]
mod refused_tests;
#[cfg(test)]
mod testing;
