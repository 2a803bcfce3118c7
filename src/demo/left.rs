//! The proof of zero: each of the three who know is asked what is left.

use std::time::Duration;

use anyhow::Context;
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::Value;

use super::stage::{Daemon, Nomad, REPOSITORIES, Secrets};
use crate::nomad::{ChildStub, JobStatus};
use crate::simulated::github::Server;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Left {
    /// What Nomad lists under our prefix that is not dead or whose tasks still run.
    pub dispatches_alive: usize,
    /// What GitHub lists for our repositories.
    pub runners_registered: u64,
    /// What the daemon's ledger counts as alive.
    pub runners_in_ledger: u64,
}

impl Left {
    pub async fn ask(
        nomad: &Nomad,
        github: &Server,
        daemon: &Daemon,
        secrets: &Secrets,
    ) -> anyhow::Result<Self> {
        let children = nomad.children().await.context("cannot ask Nomad what is left")?;
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
        let mut registered = 0;
        for repository in REPOSITORIES {
            let url = format!("{}/repos/{repository}/actions/runners", github.url());
            let request = http.get(url).bearer_auth(secrets.github_token.expose_secret());
            let answer: Value = request.send().await?.error_for_status()?.json().await?;
            registered += answer["total_count"].as_u64().context("GitHub did not count")?;
        }
        let status: Value = daemon.api.get("/api/v1/status").await?;
        Ok(Self {
            dispatches_alive: children.iter().filter(|child| is_alive(child)).count(),
            runners_registered: registered,
            runners_in_ledger: status["capacity"]["alive"].as_u64().context("no count")?,
        })
    }

    pub fn is_nothing(self) -> bool {
        self == Self { dispatches_alive: 0, runners_registered: 0, runners_in_ledger: 0 }
    }
}

/// A stop makes a job dead at once, its tasks a little later.
pub fn is_alive(child: &ChildStub) -> bool {
    let counts = child.counts;
    child.status != JobStatus::Dead || counts.starting + counts.running + counts.unknown > 0
}
