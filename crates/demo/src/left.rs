//! The proof of zero: each of the three who know is asked what is left.

use anyhow::Context;
use local_parts::agent::Agent;
use serde::Serialize;
use serde_json::Value;

use crate::stage::{Stage, is_alive};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Left {
    /// What Nomad lists under our prefix that is not dead or whose tasks still run.
    pub dispatches_alive: usize,
    /// What the forge lists for our repositories.
    pub runners_registered: u64,
    /// What the daemon's ledger counts as alive.
    pub runners_in_ledger: u64,
    /// Where Nomad is the stand-in: the processes of its tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<usize>,
}

impl Left {
    pub async fn ask(stage: &Stage) -> anyhow::Result<Self> {
        let children = stage.nomad()?.children().await.context("cannot ask Nomad what is left")?;
        let status: Value = stage.daemon()?.api.get("/api/v1/status").await?;
        Ok(Self {
            dispatches_alive: children.iter().filter(|child| is_alive(child)).count(),
            runners_registered: stage.forge()?.registered().await?,
            runners_in_ledger: status["capacity"]["alive"].as_u64().context("no count")?,
            processes: stage.stand_in().map(Agent::processes),
        })
    }

    /// `None` where nothing is.
    pub fn in_words(self) -> Option<String> {
        (!self.is_nothing()).then(|| format!("left over: {}", self.counts()))
    }

    pub fn counts(self) -> String {
        format!(
            "{} dispatches alive in Nomad, {} runners registered, {} runners in the ledger, {} \
             processes of tasks",
            self.dispatches_alive,
            self.runners_registered,
            self.runners_in_ledger,
            self.processes.unwrap_or(0)
        )
    }

    pub fn is_nothing(self) -> bool {
        let Self { dispatches_alive, runners_registered, runners_in_ledger, processes } = self;
        dispatches_alive + processes.unwrap_or(0) == 0
            && runners_registered + runners_in_ledger == 0
    }
}
