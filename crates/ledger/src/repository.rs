//! What the ledger knows of a repository: enough for matching, policy and `runner_url`.
//! Known by id, for names change; the newest payload's word counts.

use serde::{Deserialize, Serialize};

use super::matching::Candidate;
use super::{RepositoryId, Topics};

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
    /// Names that it had before, the newest last. A pool may still name one of them outright.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<String>,
    /// `None` where nobody has said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topics: Option<Topics>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    Public,
    /// `internal` counts as private.
    Private,
}

/// Whether that can be a repository's `owner/name`: one slash, and on either side what GitHub and
/// Gitea let a name consist of.
pub fn is_full_name(text: &str) -> bool {
    let is_name = |part: &str| {
        let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        !matches!(part, "" | "." | "..") && part.len() <= 100 && part.chars().all(good)
    };
    text.split_once('/').is_some_and(|(owner, name)| is_name(owner) && is_name(name))
}

/// Former names that are remembered.
const MOST_FORMER: usize = 4;

impl Repository {
    /// Now or before.
    pub(super) fn was_called(&self, name: &str) -> bool {
        self.former.iter().chain([&self.full_name]).any(|it| it.eq_ignore_ascii_case(name))
    }

    /// The newest word on it, with what it leaves out and `known` says: the names that it had before, and
    /// its topics.
    pub(super) fn renamed_from(mut self, known: Option<&Repository>) -> Repository {
        let now = self.full_name.to_lowercase();
        let known_names =
            known.iter().flat_map(|known| known.former.iter().chain([&known.full_name]));
        let mut former: Vec<String> = Vec::new();
        for name in known_names.cloned().chain(std::mem::take(&mut self.former)) {
            let lower = name.to_lowercase();
            if lower != now && !former.iter().any(|seen| seen.to_lowercase() == lower) {
                former.push(name);
            }
        }
        let surplus = former.len().saturating_sub(MOST_FORMER);
        self.former = former.split_off(surplus);
        self.topics = self.topics.or_else(|| known.and_then(|known| known.topics.clone()));
        self
    }

    /// As pools see it.
    pub fn candidate(&self) -> Candidate<'_> {
        Candidate { full_name: &self.full_name, former: &self.former, topics: self.topics.as_ref() }
    }

    /// The owner's login: what stands before the slash.
    pub fn owner(&self) -> &str {
        self.full_name.split_once('/').map_or("", |(owner, _)| owner)
    }

    /// The name without its owner.
    pub fn name(&self) -> &str {
        self.full_name.split_once('/').map_or("", |(_, name)| name)
    }
}
