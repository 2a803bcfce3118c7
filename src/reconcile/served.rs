//! Which repositories the pools serve: those named outright, and for patterns those that the
//! credentials can see.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::warn_once;
use crate::config::{ScopeKind, Settings};
use crate::forge::{Forges, ListMemory, Listed, owner_of};
use crate::ledger::effect::Target;
use crate::ledger::matching::RepositoryGlobs;

pub struct Served {
    settings: Arc<Settings>,
    forges: Forges,
    /// By credential: the last listing.
    listings: BTreeMap<usize, Vec<Listed>>,
    told: Option<String>,
}

impl Served {
    pub fn new(settings: Arc<Settings>, forges: Forges) -> Self {
        Self { settings, forges, listings: BTreeMap::new(), told: None }
    }

    /// Asks for the listings again; whether all were answered, be it by a refusal. `memories` are
    /// by credential.
    pub async fn refresh(&mut self, memories: &mut BTreeMap<usize, ListMemory<Listed>>) -> bool {
        let asks = self.patterns().any(|pattern| pattern.contains('*'));
        !asks || self.list(memories).await
    }

    async fn list(&mut self, memories: &mut BTreeMap<usize, ListMemory<Listed>>) -> bool {
        let mut whole = true;
        for (index, (forge, owners)) in self.forges.clone().all().enumerate() {
            match forge.repositories(memories.entry(index).or_default()).await {
                Ok(listed) => {
                    self.listings.insert(index, listed);
                }
                Err(error) => {
                    whole &= error.refuses();
                    warn_once(
                        &mut self.told,
                        &format!("cannot list the repositories of the credential for {owners}"),
                        error.to_string(),
                    );
                }
            }
        }
        whole
    }

    fn patterns(&self) -> impl Iterator<Item = &str> {
        let pools = self.settings.pools.iter();
        pools
            .flat_map(|pool| pool.repositories.iter())
            .map(String::as_str)
            .filter(|p| !p.starts_with('!'))
    }

    /// Every served repository by name.
    pub fn names(&self) -> BTreeSet<String> {
        let literal = self.patterns().filter(|p| !p.contains('*')).map(str::to_owned);
        let listed = self.listings.iter().flat_map(|(index, listed)| {
            // A listing counts for the owners whose credential made it.
            listed
                .iter()
                .map(|l| &l.full_name)
                .filter(move |name| self.credential_of(name) == Some(*index))
        });
        let all = literal.chain(listed.cloned());
        all.filter(|name| self.globs().any(|globs| globs.matches(name))).collect()
    }

    fn credential_of(&self, full_name: &str) -> Option<usize> {
        self.settings.github.credential_for(owner_of(full_name)).map(|(index, _)| index)
    }

    fn globs(&self) -> impl Iterator<Item = RepositoryGlobs> {
        self.settings.pools.iter().map(|pool| RepositoryGlobs::new(&pool.repositories))
    }

    /// Where runners of ours may be registered.
    pub fn targets(&self) -> Vec<Target> {
        let mut targets: BTreeSet<(bool, String)> = BTreeSet::new();
        for name in self.names() {
            for pool in &self.settings.pools {
                if RepositoryGlobs::new(&pool.repositories).matches(&name) {
                    match pool.scope {
                        ScopeKind::Repository => targets.insert((false, name.clone())),
                        ScopeKind::Organization => {
                            targets.insert((true, owner_of(&name).to_lowercase()))
                        }
                    };
                }
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
