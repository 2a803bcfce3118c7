//! The built program by itself: its commands, its door, its config, its documents and units. Whatever
//! it needs of GitHub and Nomad is simulated in the test's own process, or is away.
//!
//! A file, a theme. With a Nomad around it: `tests/cluster`; with a real Gitea: `tests/gitea`.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

#[path = "../support/mod.rs"]
mod support;

mod admin_socket;
mod app;
mod borders;
mod check_offline;
mod check_unit;
mod commands;
mod config_file;
mod core_dumps;
mod dashboard;
mod demo;
mod documents;
mod door;
mod events;
mod examples;
mod explain;
mod hook;
mod metrics;
mod octokit;
mod operate;
mod packages;
mod page;
mod reload;
mod report;
mod simulated_runner;
mod static_arm64;
mod status;
mod strangers;
mod systemd;
mod upgrade;
mod vault_client;
mod vault_secrets;
mod watch;
mod webhooks;
