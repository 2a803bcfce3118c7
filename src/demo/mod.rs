//! The whole thing on one machine: what `roustabout demo` starts, shows and ends again.

pub mod agent;
pub mod runner_job;
