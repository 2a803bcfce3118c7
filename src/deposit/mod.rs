//! Where credentials are laid down for tasks to read them: written before the dispatch, removed when the
//! ledger says so, listed to find what a crash left behind. One file a keeper.
//!
//! Nothing here decides and nothing here tries again; what an answer means for the runner is said by kind.

mod variables;

pub use variables::path_of as variable_path;

use std::sync::Arc;

use secrecy::SecretString;
use tokio::sync::Semaphore;

use self::variables::Variables;
use crate::ledger::deposit::{Deposit, DepositAt, Keeper};
use crate::ledger::event::{Answer, Failure};
use crate::ledger::observation::FoundDeposit;
use crate::ledger::pool::CredentialKind;
use crate::ledger::{NomadPlace, RunnerName};
use crate::nomad;

/// Removals under way at once: a keeper that comes back is not stormed.
const AT_ONCE: usize = 8;

/// What is laid down for one runner.
#[derive(Debug, Clone)]
pub struct Contents {
    pub runner: RunnerName,
    pub kind: CredentialKind,
    pub secret: SecretString,
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
    removing: Arc<Semaphore>,
}

impl Deposits {
    pub fn new(nomad: nomad::Client) -> Self {
        Self { variables: Variables(nomad), removing: Arc::new(Semaphore::new(AT_ONCE)) }
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
            Keeper::Vault => Err(NotPut::Failed(no_vault())),
        }
    }

    /// What is not there is removed.
    pub async fn remove(&self, at: &DepositAt) -> Answer<()> {
        // Never closed, so there is always a permit to come.
        let _permit = self.removing.acquire().await;
        match at.way.keeper {
            Keeper::Variable => self.variables.remove(at).await,
            Keeper::Vault => Err(no_vault()),
        }
    }

    /// All that lies there under names that begin with the prefix.
    pub async fn list(
        &self,
        keeper: Keeper,
        place: &NomadPlace,
        name_prefix: &str,
    ) -> Answer<Vec<FoundDeposit>> {
        match keeper {
            Keeper::Variable => self.variables.list(place, name_prefix).await,
            Keeper::Vault => Err(no_vault()),
        }
    }
}

fn no_vault() -> Failure {
    Failure { reason: "there is no [vault] in the config".to_owned(), retry_after: None }
}
