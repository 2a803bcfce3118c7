//! A GitHub App's webhook tells of every account that has installed it, and a public App can be
//! installed by anyone: its secret signs for its own owners only.

use super::signature::Signer;
use crate::config::{Credential, Settings};

/// The credentials that are Apps, by their index.
#[derive(Clone, Default)]
pub struct Apps(Vec<Credential>);

impl Apps {
    pub fn of(settings: &Settings) -> Self {
        Self(settings.github.credentials.clone())
    }

    /// Whether one of the signers speaks for that owner.
    pub(super) fn are_for(&self, signers: &[Signer], owner: &str) -> bool {
        signers.iter().any(|signer| match signer.app {
            None => true,
            Some(app) => self.0.get(app).is_some_and(|credential| credential.matches(owner)),
        })
    }
}

/// Why a delivery is ignored whose owner is none of the App's.
pub(super) fn stranger(owner: &str) -> String {
    format!("{owner} is not among the owners of the GitHub App that sent it")
}
