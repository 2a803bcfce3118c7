//! Webhooks that tell a door of jobs, for the command `hooks`: what a forge shows of them, and how they
//! are made, changed and deleted there.

use secrecy::SecretString;

use super::{Error, Forge};
use crate::ledger::effect::Target;
use crate::{gitea, github};

/// The one event that a daemon needs.
pub const EVENTS: [&str; 1] = ["workflow_job"];

/// A webhook of a repository or an organization. No forge shows its secret.
#[derive(Debug, Clone)]
pub struct Hook {
    pub id: u64,
    /// Where it delivers.
    pub url: String,
    pub events: Vec<String>,
    pub active: bool,
    /// `json` or `form`.
    pub content_type: Option<String>,
    pub(super) whole: Whole,
}

/// As the forge's client has it, so that a change keeps what else it has.
#[derive(Debug, Clone)]
pub(super) enum Whole {
    GitHub(github::Hook),
    Gitea(gitea::Hook),
}

#[cfg(test)]
impl Hook {
    /// One that is right.
    pub fn for_tests(id: u64, url: &str) -> Self {
        let events: Vec<String> = EVENTS.iter().map(|event| (*event).to_owned()).collect();
        let whole = github::Hook {
            id,
            url: url.to_owned(),
            events: events.clone(),
            active: true,
            content_type: Some("json".to_owned()),
            insecure_ssl: None,
            last_response: None,
        };
        Self {
            id,
            url: whole.url.clone(),
            events,
            active: true,
            content_type: whole.content_type.clone(),
            whole: Whole::GitHub(whole),
        }
    }
}

/// A webhook as it is to be.
#[derive(Debug, Clone)]
pub struct WantedHook {
    pub url: String,
    pub secret: SecretString,
}

impl Forge {
    /// Those of the repository or the organization itself, in a form that a door can read.
    pub async fn hooks(&self, of: &Target) -> Result<Vec<Hook>, Error> {
        match self {
            Forge::GitHub(forge) => forge.hooks(of).await,
            Forge::Gitea(forge) => forge.hooks(of).await,
        }
    }

    /// The id of the new one.
    pub async fn create_hook(&self, of: &Target, wanted: &WantedHook) -> Result<u64, Error> {
        match self {
            Forge::GitHub(forge) => forge.create_hook(of, wanted).await,
            Forge::Gitea(forge) => forge.create_hook(of, wanted).await,
        }
    }

    /// Makes it as it is to be, but for its address.
    pub async fn update_hook(
        &self,
        of: &Target,
        hook: &Hook,
        wanted: &WantedHook,
    ) -> Result<(), Error> {
        match self {
            Forge::GitHub(forge) => forge.update_hook(of, hook, wanted).await,
            Forge::Gitea(forge) => forge.update_hook(of, hook).await,
        }
    }

    pub async fn delete_hook(&self, of: &Target, id: u64) -> Result<(), Error> {
        match self {
            Forge::GitHub(forge) => forge.delete_hook(of, id).await,
            Forge::Gitea(forge) => forge.delete_hook(of, id).await,
        }
    }

    /// Whether the secret of a hook can be changed. A Gitea 1.26 lets only people do that.
    pub fn can_set_secrets(&self) -> bool {
        matches!(self, Forge::GitHub(_))
    }
}
