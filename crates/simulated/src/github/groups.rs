//! Runner groups of organizations, and whether their repositories may have runners of their own.
//!
//! Docs, "Managing access to self-hosted runners using groups"; shapes from @octokit/openapi 23.0.2.
//! Read next: `rest/groups.rs`.

use std::collections::{BTreeMap, BTreeSet};

use super::accounts::AccountKind;
use super::model::GitHub;
use super::repositories::Visibility;
use super::tokens::Scope;

/// A group besides the default one.
#[derive(Clone, Debug)]
pub struct RunnerGroup {
    pub id: u64,
    pub organization: u64,
    pub name: String,
    pub default: bool,
    pub allows_public_repositories: bool,
    /// `None`: all of the organization's.
    pub repositories: Option<BTreeSet<u64>>,
    /// `owner/repo/path@ref`; none: any workflow.
    pub workflows: Vec<String>,
}

/// Which repositories of an organization may have runners of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RepositoryRunners {
    #[default]
    All,
    Selected(BTreeSet<u64>),
    None,
}

/// What is kept of them.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    made: BTreeMap<u64, RunnerGroup>,
    repository_runners: BTreeMap<u64, RepositoryRunners>,
}

impl GitHub {
    /// Makes a group that serves all private repositories of its organization.
    pub fn add_runner_group(&mut self, organization: u64, name: &str) -> u64 {
        let id = self.new_id(40);
        let group = RunnerGroup {
            id,
            organization,
            name: name.to_owned(),
            default: false,
            allows_public_repositories: false,
            repositories: None,
            workflows: Vec::new(),
        };
        self.groups.made.insert(id, group);
        id
    }

    /// Changes a group that was made.
    pub fn change_runner_group(&mut self, id: u64, change: impl FnOnce(&mut RunnerGroup)) {
        if let Some(group) = self.groups.made.get_mut(&id) {
            change(group);
        }
    }

    pub fn set_repository_runners(&mut self, organization: u64, allowed: RepositoryRunners) {
        self.groups.repository_runners.insert(organization, allowed);
    }

    #[must_use]
    pub fn repository_runners(&self, organization: u64) -> RepositoryRunners {
        self.groups.repository_runners.get(&organization).cloned().unwrap_or_default()
    }

    /// Of an organization, the default one first.
    #[must_use]
    pub fn runner_groups(&self, organization: u64) -> Vec<RunnerGroup> {
        let allows = self.accounts.get(&organization).is_some_and(|account| {
            matches!(
                account.kind,
                AccountKind::Organization { allows_public_repositories: true, .. }
            )
        });
        let default = RunnerGroup {
            id: default_group(organization),
            organization,
            name: "Default".to_owned(),
            default: true,
            allows_public_repositories: allows,
            repositories: None,
            workflows: Vec::new(),
        };
        let made = self.groups.made.values().filter(|group| group.organization == organization);
        std::iter::once(default).chain(made.cloned()).collect()
    }

    /// Of a group that was deleted or never made, the default one's.
    pub(in crate::github) fn group_name(&self, id: u64) -> &str {
        self.groups.made.get(&id).map_or("Default", |group| group.name.as_str())
    }

    /// The group that a new runner of the scope belongs to, by what it says of it.
    pub(super) fn group_for(
        &self,
        scope: Scope,
        is_meant: impl Fn(&RunnerGroup) -> bool,
    ) -> Option<u64> {
        match scope {
            Scope::Organization(id) => {
                self.runner_groups(id).into_iter().find(is_meant).map(|group| group.id)
            }
            Scope::Repository(_) => {
                let only = RunnerGroup {
                    id: OF_A_REPOSITORY,
                    organization: 0,
                    name: "Default".to_owned(),
                    default: true,
                    allows_public_repositories: true,
                    repositories: None,
                    workflows: Vec::new(),
                };
                is_meant(&only).then_some(OF_A_REPOSITORY)
            }
        }
    }

    /// Whether runners of the organization's group may run jobs of the repository: all its runs are of one
    /// workflow.
    pub(super) fn group_serves(&self, organization: u64, group: u64, repository: u64) -> bool {
        let Some(found) = self.repositories.get(&repository) else { return false };
        let ours = format!("{}/.github/workflows/ci.yml@", self.full_name(repository));
        self.runner_groups(organization).iter().any(|it| {
            it.id == group
                && it.repositories.as_ref().is_none_or(|some| some.contains(&repository))
                && (it.allows_public_repositories || found.visibility != Visibility::Public)
                && (it.workflows.is_empty()
                    || it.workflows.iter().any(|one| one.starts_with(&ours)))
        })
    }

    /// Whether its organization lets the repository have runners of its own.
    pub(super) fn may_have_runners(&self, scope: Scope) -> bool {
        let Scope::Repository(id) = scope else { return true };
        let owner = self.repositories.get(&id).map(|found| found.owner).unwrap_or_default();
        match self.repository_runners(owner) {
            RepositoryRunners::All => true,
            RepositoryRunners::Selected(some) => some.contains(&id),
            RepositoryRunners::None => false,
        }
    }
}

/// A repository has no other.
const OF_A_REPOSITORY: u64 = 1;

/// Normally it is 1, and nobody promises that.
fn default_group(organization: u64) -> u64 {
    organization % 30 + 1
}
