//! Where credentials are laid down for tasks to read them: written before the dispatch, removed when the
//! ledger says so, listed to find what a crash left behind. One file a keeper.
//!
//! Nothing here decides and nothing here tries again; what an answer means for the runner is said by kind.

mod variables;
mod vault;

pub use variables::path_of as variable_path;
pub use vault::path_of as vault_path;

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::Semaphore;

use self::variables::Variables;
use self::vault::Entries;
use crate::ledger::deposit::{Deposit, DepositAt, DepositRule, Keeper};
use crate::ledger::event::{Answer, Failure};
use crate::ledger::observation::FoundDeposit;
use crate::ledger::pool::CredentialKind;
use crate::ledger::{NomadPlace, RunnerName};
use crate::{nomad, vault as vaults};

/// Removals under way at once: a keeper that comes back is not stormed.
const AT_ONCE: usize = 8;

/// What is laid down for one runner.
#[derive(Debug, Clone)]
pub struct Contents {
    pub runner: RunnerName,
    pub kind: CredentialKind,
    pub secret: SecretString,
    /// How long anybody can want it.
    pub lives: Duration,
}

impl Contents {
    /// The fields, by the names that tasks know.
    pub fn fields(&self) -> [(&'static str, SecretString); 2] {
        let name = match self.kind {
            CredentialKind::RegistrationToken => "token",
            CredentialKind::Jit => "jit_config",
        };
        let runner = SecretString::from(self.runner.as_str());
        [(name, self.secret.clone()), ("runner_name", runner)]
    }
}

/// Why a credential does not lie where it should; or it does, and nobody can say so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotPut {
    /// Nomad itself does not answer.
    NomadAway(String),
    /// The keeper refuses, or does not answer.
    Failed(Failure),
    /// Something is there that is not ours.
    Taken(String),
}

/// All keepers.
#[derive(Debug, Clone)]
pub struct Deposits {
    variables: Variables,
    /// `None` without `[vault]`.
    entries: Option<Entries>,
    removing: Arc<Semaphore>,
}

impl Deposits {
    pub fn new(nomad: nomad::Client, vault: Option<vaults::Client>) -> Self {
        let removing = Arc::new(Semaphore::new(AT_ONCE));
        Self { variables: Variables(nomad), entries: vault.map(Entries), removing }
    }

    /// What was there is replaced only where it is ours.
    pub async fn put(
        &self,
        deposit: &Deposit,
        place: &NomadPlace,
        contents: &Contents,
    ) -> Result<(), NotPut> {
        match deposit.keeper {
            Keeper::Variable => self.variables.put(deposit, place, contents).await,
            Keeper::Vault => {
                let entries = self.entries().map_err(NotPut::Failed)?;
                entries.put(deposit, contents).await
            }
        }
    }

    /// What is not there is removed.
    pub async fn remove(&self, at: &DepositAt) -> Answer<()> {
        // Never closed, so there is always a permit to come.
        let _permit = self.removing.acquire().await;
        match at.way.keeper {
            Keeper::Variable => self.variables.remove(at).await,
            Keeper::Vault => self.entries()?.remove(at).await,
        }
    }

    /// All that lies where such deposits do.
    pub async fn list(&self, below: &Below) -> Answer<Vec<FoundDeposit>> {
        match below {
            Below::Prefix(place, name_prefix) => self.variables.list(place, name_prefix).await,
            Below::FolderOf(path) => self.entries()?.list(path).await,
        }
    }

    fn entries(&self) -> Result<&Entries, Failure> {
        self.entries.as_ref().ok_or_else(no_vault)
    }
}

/// Where deposits are looked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Below {
    /// Variables of a namespace, also those of pools that are gone.
    Prefix(NomadPlace, String),
    /// Entries of Vault beside this path.
    FolderOf(String),
}

impl Below {
    pub fn of(rule: &DepositRule, place: NomadPlace, name_prefix: &str) -> Self {
        match rule.keeper {
            Keeper::Variable => Self::Prefix(place, name_prefix.to_owned()),
            Keeper::Vault => Self::FolderOf(rule.path.clone()),
        }
    }
}

fn no_vault() -> Failure {
    Failure { reason: "there is no [vault] in the config".to_owned(), retry_after: None }
}
