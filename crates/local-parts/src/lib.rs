//! Outside parts as child processes on this machine, for the demo and the tests: a Nomad agent (a real
//! one, or the stand-in), a real Gitea and a real OpenBao, with the runner jobspecs that we ship registered.
//!
//! Nothing here knows the daemon. Everything listens on loopback only and is gone with its handle.
//! Read next: `agent.rs`, `gitea.rs`, `openbao.rs`, `runner_job.rs`.

mod account;
pub mod agent;
pub mod gitea;
pub mod openbao;
pub mod programs;
pub mod runner_job;

use std::fs;
use std::path::Path;

use rand::TryRngCore;
use rand::rngs::OsRng;

/// For names and secrets that nobody else has.
///
/// # Panics
/// On a system without a source of randomness.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    OsRng.try_fill_bytes(&mut bytes).expect("every system has a source of randomness");
    bytes
}

/// The end of a log, where the reason for trouble is.
fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
