//! Which repositories the pools serve: those named outright, and for patterns and topics those that
//! the credentials can see.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::lanes::Answered;
use super::warn_once;
use crate::config::{Pool, ScopeKind, Settings};
use crate::forge::{Forges, ListMemory, Listed, owner_of};
use crate::ledger::effect::Target;
use crate::ledger::matching::RepositoryGlobs;

pub struct Served {
    settings: Arc<Settings>,
    forges: Forges,
    /// By credential: the last listing.
    listings: BTreeMap<usize, Vec<Listed>>,
    /// By credential: why the last listing failed.
    failed: BTreeMap<usize, (String, String)>,
    told: Option<String>,
}

/// A repository, with all pools that serve it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedRepository {
    pub full_name: String,
    /// As a credential's listing has it; nothing where none was made, or it is not in it.
    pub listed: Option<Listed>,
    /// Their indexes in the file.
    pub pools: Vec<usize>,
}

impl Served {
    pub fn new(settings: Arc<Settings>, forges: Forges) -> Self {
        Self { settings, forges, listings: BTreeMap::new(), failed: BTreeMap::new(), told: None }
    }

    /// Asks for the listings again. `memories` are by credential.
    pub async fn refresh(
        &mut self,
        memories: &mut BTreeMap<usize, ListMemory<Listed>>,
    ) -> Answered {
        let by_topic = self.settings.pools.iter().any(|pool| !pool.topics.is_empty());
        let asks = by_topic || self.patterns().any(|pattern| pattern.contains('*'));
        match asks {
            true => self.list(memories).await,
            false => Answered::All,
        }
    }

    async fn list(&mut self, memories: &mut BTreeMap<usize, ListMemory<Listed>>) -> Answered {
        let mut answered = Answered::All;
        for (index, (forge, owners)) in self.forges.clone().all().enumerate() {
            match forge.repositories(memories.entry(index).or_default()).await {
                Ok(listed) => {
                    self.failed.remove(&index);
                    self.listings.insert(index, listed);
                }
                Err(error) => {
                    answered = answered.max(Answered::by_refusal(&error));
                    self.failed.insert(index, (owners.to_owned(), error.to_string()));
                    warn_once(
                        &mut self.told,
                        &format!("cannot list the repositories of the credential for {owners}"),
                        error.to_string(),
                    );
                }
            }
        }
        answered
    }

    /// Credentials whose listing failed: their owners, and why.
    pub fn trouble(&self) -> impl Iterator<Item = (&str, &str)> {
        self.failed.values().map(|(owners, error)| (owners.as_str(), error.as_str()))
    }

    fn patterns(&self) -> impl Iterator<Item = &str> {
        let pools = self.settings.pools.iter();
        pools
            .flat_map(|pool| pool.repositories.iter())
            .map(String::as_str)
            .filter(|p| !p.starts_with('!'))
    }

    /// Every served repository, by name.
    pub fn names(&self) -> BTreeSet<String> {
        self.repositories().into_iter().map(|served| served.full_name).collect()
    }

    /// The same with what is known of them.
    pub fn repositories(&self) -> Vec<ServedRepository> {
        let mut known: BTreeMap<String, (String, Option<&Listed>)> = BTreeMap::new();
        for name in self.patterns().filter(|pattern| !pattern.contains('*')) {
            known.insert(name.to_lowercase(), (name.to_owned(), None));
        }
        for (index, listed) in &self.listings {
            // A listing counts for the owners whose credential made it.
            for one in
                listed.iter().filter(|one| self.credential_of(&one.full_name) == Some(*index))
            {
                known.insert(one.full_name.to_lowercase(), (one.full_name.clone(), Some(one)));
            }
        }
        let pools: Vec<(&Pool, RepositoryGlobs)> = self
            .settings
            .pools
            .iter()
            .map(|pool| (pool, RepositoryGlobs::new(&pool.repositories)))
            .collect();
        let served = known.into_values().filter_map(|(full_name, listed)| {
            let serving = pools.iter().enumerate().filter(|(_, (pool, globs))| {
                globs.matches(&full_name) && may_carry_topic(pool, listed)
            });
            let pools: Vec<usize> = serving.map(|(index, _)| index).collect();
            let listed = listed.cloned();
            (!pools.is_empty()).then_some(ServedRepository { full_name, listed, pools })
        });
        served.collect()
    }

    fn credential_of(&self, full_name: &str) -> Option<usize> {
        self.settings.github.credential_for(owner_of(full_name)).map(|(index, _)| index)
    }

    /// Where runners of ours may be registered.
    pub fn targets(&self) -> Vec<Target> {
        let mut targets: BTreeSet<(bool, String)> = BTreeSet::new();
        for served in self.repositories() {
            for pool in served.pools {
                match self.settings.pools[pool].scope {
                    ScopeKind::Repository => targets.insert((false, served.full_name.clone())),
                    ScopeKind::Organization => {
                        targets.insert((true, owner_of(&served.full_name).to_lowercase()))
                    }
                };
            }
        }
        let target = |(organization, name)| match organization {
            true => Target::Organization(name),
            false => Target::Repository(name),
        };
        targets.into_iter().map(target).collect()
    }

    /// Owners that are organizations, as far as listings or pools say so.
    pub fn organizations(&self) -> BTreeSet<String> {
        let listed = self.listings.values().flatten();
        let listed = listed.filter(|l| l.owned_by_organization).map(|l| l.full_name.clone());
        let pools = self.settings.pools.iter().filter(|pool| pool.scope == ScopeKind::Organization);
        let named =
            pools.flat_map(|pool| pool.repositories.clone()).filter(|p| !p.starts_with('!'));
        listed
            .chain(named)
            .filter_map(|name| name.split_once('/').map(|(owner, _)| owner.to_lowercase()))
            .filter(|owner| !owner.contains('*'))
            .collect()
    }
}

/// Of what no listing shows the topics are not known: a look tells of them.
fn may_carry_topic(pool: &Pool, listed: Option<&Listed>) -> bool {
    let topics = listed.and_then(|listed| listed.topics.as_ref());
    pool.topics.is_empty() || topics.is_none_or(|topics| topics.has_one_of(&pool.topics))
}
