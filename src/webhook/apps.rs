//! A GitHub App's webhook tells of every account that has installed it, and a public App can be
//! installed by anyone: its secret signs for its own owners only. What it tells of installations is
//! passed on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::news::News;
use super::signature::Signer;
use crate::config::{Credential, Settings};

/// Whom news are passed on to. It does not wait.
pub type Renew = Arc<dyn Fn(News) + Send + Sync>;

/// The credentials that are Apps, by their index.
#[derive(Clone)]
pub struct Apps {
    credentials: Vec<Credential>,
    renew: Renew,
    /// By owner, the installation that the last webhook named.
    named: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl Default for Apps {
    fn default() -> Self {
        Self { credentials: Vec::new(), renew: Arc::new(drop), named: Arc::default() }
    }
}

impl Apps {
    pub fn of(settings: &Settings, renew: Renew) -> Self {
        let credentials = settings.github.credentials.clone();
        Self { credentials, renew, named: Arc::default() }
    }

    /// Whether one of the signers speaks for that owner: of several credentials the first is the owner's.
    pub(super) fn are_for(&self, signers: &[Signer], owner: &str) -> bool {
        let its = self.credentials.iter().position(|credential| credential.matches(owner));
        signers.iter().any(|signer| signer.app.is_none() || signer.app == its)
    }

    pub(super) fn tell(&self, news: News) {
        if let News::Access { owner, .. } = &news {
            self.named().remove(&owner.to_ascii_lowercase());
        }
        (self.renew)(news);
    }

    /// A webhook was sent for that installation: another one than before was installed since.
    pub(super) fn sent_for(&self, owner: &str, installation: u64) {
        let before = self.named().insert(owner.to_ascii_lowercase(), installation);
        if before.is_some_and(|before| before != installation) {
            let (owner, installation) = (owner.to_owned(), Some(installation));
            (self.renew)(News::Access { owner, former: None, installation });
        }
    }

    fn named(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, u64>> {
        // A map of numbers is whole whatever panicked beside it.
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a delivery is ignored whose owner is none of the App's.
pub(super) fn stranger(owner: &str) -> String {
    format!("{owner} is not among the owners of the GitHub App that sent it")
}
