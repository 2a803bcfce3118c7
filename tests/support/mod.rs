//! What the end-to-end tests stand on: the built binary as a daemon (`daemon`), the whole
//! world around it (`world`), webhooks as raw as they need be (`webhook`), a proxy that holds
//! requests at the moments that matter (`proxy`), both together (`proxied`), parameterized jobs
//! of the tests' own (`parents`), a root file system and a Docker engine (`root`), a machine with a
//! systemd (`machine`), webhooks without a pause (`senders`), the certificates of a cluster
//! (`certificates`), a browser (`browser`), the programs that are started (`programs`), all processes that run meanwhile (`processes`), `check` and what it found (`checking`), the demo as a process (`demo`), a real
//! Gitea (`gitea`) and the world around that (`gitea_world`), a real OpenBao (`vault`), alone or with a Nomad (`vault_and_nomad`), the host volume of the daemon as a Nomad job (`volume`), two owners whose credentials are replaced (`two_owners`). Which Nomad it all runs on is said in
//! `cluster`, what only a real one shows in `only_nomad`, and what other parts a test may lack in
//! `parts`. Each test starts its own and ends it.

#![allow(dead_code, reason = "every test file uses another part of it")]

pub mod browser;
pub mod certificates;
pub mod checking;
pub mod cluster;
pub mod daemon;
pub mod demo;
pub mod gitea;
pub mod gitea_world;
pub mod machine;
pub mod only_nomad;
pub mod parents;
pub mod parts;
pub mod processes;
pub mod programs;
pub mod proxied;
pub mod proxy;
pub mod root;
pub mod senders;
pub mod two_owners;
pub mod vault;
pub mod vault_and_nomad;
pub mod volume;
pub mod webhook;
pub mod world;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Waits until `holds`; fails with `what` after `limit`.
pub async fn until(what: &str, limit: Duration, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !holds().await {
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A port that was free a moment ago, below those that the system hands to connections: one of
/// those could take it before the daemon does.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(97);
    loop {
        let number = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 16_000;
        let port = 16_000 + u16::try_from(number).unwrap();
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The text of the job-started hook in a jobspec, without the lines that hold the pool's policy.
pub fn hook_of(jobspec: &str) -> String {
    let text = match jobspec.split_once("destination = \"local/job-started.sh\"") {
        Some((_, rest)) => {
            let (_, rest) = rest.split_once("<<-EOT\n").unwrap();
            rest.split_once("        EOT\n").unwrap().0
        }
        None => {
            let (_, rest) = jobspec.split_once("cat <<'HOOK'\n").unwrap();
            rest.split_once("          HOOK\n").unwrap().0
        }
    };
    let lines = text.lines().map(|line| format!("{}\n", line.get(10..).unwrap_or_default()));
    let lines = lines.filter(|line| !line.contains("{{ env \"NOMAD_META_allow_"));
    // A policy that stood among blank lines leaves two of them.
    lines.collect::<String>().replace("\n\n\n", "\n\n")
}

/// What the task of that name in a jobspec runs, as its shell gets it.
pub fn script_of(jobspec: &str, task: &str) -> String {
    let (_, rest) = jobspec.split_once(&format!("task \"{task}\" {{")).unwrap();
    let (_, rest) = rest.split_once("<<-EOT\n").unwrap();
    let (text, _) = rest.split_once("        EOT\n").unwrap();
    text.lines().map(|line| format!("{}\n", line.get(10..).unwrap_or_default())).collect()
}
