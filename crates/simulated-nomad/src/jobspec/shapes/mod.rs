//! The tables of what a jobspec may hold. (Nomad `api/jobs.go`, `api/tasks.go`, and how
//! `command/agent/job_endpoint.go` turns that into what is stored.)
//!
//! Read next: `job.rs`.

mod group;
mod job;
mod requests;
mod service;
mod task;

pub use group::GROUP;
pub use job::JOB;
pub use requests::{PARSE, PLAN, REGISTER, VALIDATE};
pub use task::{IDENTITY, RESOURCES, TASK, VAULT};
