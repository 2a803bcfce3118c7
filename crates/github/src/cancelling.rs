//! Cancelling runs. An answer of 202 means that the request was taken, and no more: runs have stayed
//! `queued` (gjsify/gjsify#1548).

use reqwest::Method;

use super::error::Error;
use super::registration;
use super::transport::{Call, Client};

/// What GitHub makes of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelOutcome {
    Accepted,
    /// 409: the run is over.
    Over,
}

impl Client {
    /// `POST /repos/…/actions/runs/:id/cancel`. Needs
    /// [`Operation::CancelRuns`](super::Operation::CancelRuns).
    pub async fn cancel_run(&self, repo: &str, run_id: u64) -> Result<CancelOutcome, Error> {
        self.cancel_by(repo, run_id, "cancel").await
    }

    /// `POST /repos/…/actions/runs/:id/force-cancel`: whatever the conditions of its jobs say.
    pub async fn force_cancel_run(&self, repo: &str, run_id: u64) -> Result<CancelOutcome, Error> {
        self.cancel_by(repo, run_id, "force-cancel").await
    }

    async fn cancel_by(&self, repo: &str, run: u64, how: &str) -> Result<CancelOutcome, Error> {
        let id = run.to_string();
        let mut path = registration::repository(repo);
        path.extend(["actions", "runs", &id, how]);
        match self.call(Call::new(Method::POST, path)).await {
            Ok(_) => Ok(CancelOutcome::Accepted),
            Err(Error::Conflict { .. }) => Ok(CancelOutcome::Over),
            Err(error) => Err(error),
        }
    }
}
