//! The daemon with a real Gitea as the forge, and its real runners. Without a Gitea each says NOT RUN.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

#[path = "../support/mod.rs"]
mod support;

mod demo;
mod forge_conformance;
mod hooks;
mod jobspec;
mod part;
mod speed;
mod whole_way;
