//! The daemon with a cluster around it: the one way from a hook to a runner that is gone, and
//! everything that can go wrong on it. The Nomad is the one that is found (`NOMAD_BIN`, else on
//! `PATH`), else the stand-in; tests do not know which, but for the few of `support::only_nomad`.
//!
//! A file, a theme. The program by itself: `tests/program`; with a real Gitea: `tests/gitea`.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

#[path = "../support/mod.rs"]
mod support;

mod acl;
mod agent;
mod app;
mod away;
mod browser;
mod check;
mod claims;
mod client;
mod contract;
mod crash;
mod demo;
mod demo_stand_in;
mod dispatch;
mod drivers;
mod enterprise_server;
mod explain_nomad;
mod jit;
mod jobspec;
mod leaks;
mod lifecycle;
mod limits;
mod main_job;
mod nomad_connections;
mod nomad_job;
mod nomad_places;
mod policy;
mod refusal;
mod reload;
mod renames;
mod restart;
mod rotation;
mod storms;
mod sweeps;
mod systemd_live;
mod terraform;
mod topics;
#[cfg(feature = "otel")]
mod traces;
mod variables;
mod vault;
mod vault_rotation;
mod warm;
mod way;
