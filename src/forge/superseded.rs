//! What of a run a newer one has made pointless, how it is cancelled, and which concurrency group a run
//! waits for. GitHub only.

use super::{Error, Forge, Kind};
use crate::ledger::RunId;
use crate::ledger::superseded::Pair;

/// A concurrency group that a run or a job waits for, and who is ahead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ahead {
    pub group: String,
    /// The page of the run that holds the group, or its id.
    pub held_by: Option<String>,
    /// Others that wait and come first.
    pub before: usize,
}

impl Forge {
    /// All that says whether the newer run has made the older one pointless.
    pub async fn pair(&self, full_name: &str, older: RunId, newer: RunId) -> Result<Pair, Error> {
        match self {
            Forge::GitHub(forge) => forge.pair(full_name, older, newer).await,
            Forge::Gitea(_) => Err(unsupported()),
        }
    }

    /// Content where the run is over.
    pub async fn cancel(&self, full_name: &str, run: RunId, force: bool) -> Result<(), Error> {
        match self {
            Forge::GitHub(forge) => forge.cancel(full_name, run, force).await,
            Forge::Gitea(_) => Err(unsupported()),
        }
    }

    /// The groups that the run waits for. None where the forge has no groups, or shows none.
    pub async fn ahead(&self, full_name: &str, run: RunId) -> Result<Vec<Ahead>, Error> {
        match self {
            Forge::GitHub(forge) => forge.ahead(full_name, run).await,
            Forge::Gitea(_) => Ok(Vec::new()),
        }
    }
}

/// The config refuses it.
fn unsupported() -> Error {
    let what = "a Gitea's runs are not cancelled".to_owned();
    Error { kind: Kind::Other, what, mend: None, retry_after: None }
}
