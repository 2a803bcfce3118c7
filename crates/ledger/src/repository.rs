//! What the ledger knows of a repository: enough for matching, policy and `runner_url`.
//! Known by id, for names change; the newest payload's word counts.

use serde::{Deserialize, Serialize};

use super::RepositoryId;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    pub id: RepositoryId,
    /// `owner/name`, as GitHub spells it.
    pub full_name: String,
    /// The page of the repository; `config.sh --url` is made from it.
    pub html_url: String,
    pub visibility: Visibility,
    /// Whether a run's head can be a fork at all: the repository has forks and allows them.
    pub forkable: bool,
    /// Organizations can have runners of their own, personal accounts cannot.
    pub owned_by_organization: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    Public,
    /// `internal` counts as private.
    Private,
}

impl Repository {
    /// The owner's login: what stands before the slash.
    pub fn owner(&self) -> &str {
        self.full_name.split_once('/').map_or("", |(owner, _)| owner)
    }

    /// The name without its owner.
    pub fn name(&self) -> &str {
        self.full_name.split_once('/').map_or("", |(_, name)| name)
    }
}
