//! Warm runners: a floor of idle supply that a pool keeps for some scopes, at the hours of a schedule.
//! How it is held is in `step::warm`.

use std::collections::{BTreeMap, BTreeSet};

use super::state::State;
use super::{
    ClassKey, Pool, PoolName, Repository, Schedule, ScopeKey, ScopeKind, Time, Visibility,
};

/// One `[[pools.warm]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Warm {
    pub count: u32,
    /// Names of repositories, or of organizations where the pool's scope is that.
    pub of: Vec<String>,
    /// `None`: always.
    pub schedule: Option<Schedule>,
}

/// What the schedules ask for.
#[derive(Debug, Default)]
pub struct Floors {
    /// How many idle runners, by class. Nothing is here that asks for none.
    pub asked: BTreeMap<ClassKey, usize>,
    /// When that changes next.
    pub(super) until: Option<Time>,
    /// Rules, names or clocks are others than when that was read.
    pub(super) outdated: bool,
}

/// How the warm runners of a pool stand.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct WarmSupply {
    /// What the schedules ask for now.
    pub asked: usize,
    /// Registered, and no job waits for them.
    pub idle: usize,
}

impl State {
    /// What the schedules of all pools ask for at that moment, and when that changes.
    pub(super) fn floors_at(&self, now: Time) -> Floors {
        let mut floors = Floors::default();
        for pool in &self.rules.pools {
            for warm in &pool.warm {
                let next = warm.schedule.as_ref().and_then(|it| it.changes_after(now));
                floors.until = [floors.until, next].into_iter().flatten().min();
                if warm.schedule.as_ref().is_some_and(|it| !it.holds(now)) {
                    continue;
                }
                for scope in warm.of.iter().filter_map(|name| self.scope_named(pool, name)) {
                    let key = ClassKey { pool: pool.name.clone(), scope, run: None };
                    let asked = floors.asked.entry(key).or_default();
                    // Two that hold at once: the higher floor is both.
                    *asked = (*asked).max(warm.count as usize);
                }
            }
        }
        floors
    }

    /// The scope of that name, where it is known already and the pool may serve it.
    fn scope_named(&self, pool: &Pool, name: &str) -> Option<ScopeKey> {
        let may = |it: &&Repository| {
            let public = it.visibility == Visibility::Public;
            pool.serves(it.candidate()) && (pool.public_repositories || !public)
        };
        // Patterns last, for they cost most, and this is asked for each name after each change.
        let all = || self.repositories.values();
        match pool.scope {
            ScopeKind::Repository => {
                let named = |it: &&Repository| it.full_name.eq_ignore_ascii_case(name);
                let former = |it: &&Repository| {
                    it.former.iter().any(|former| former.eq_ignore_ascii_case(name))
                };
                let by_name = all().filter(named).find(may);
                let found = by_name.or_else(|| all().filter(former).find(may))?;
                // Nobody could look at its runners, nor let one go.
                let is_refused = self.swept.refused.contains(&found.id);
                (!is_refused).then_some(ScopeKey::Repository(found.id))
            }
            ScopeKind::Organization => all()
                .filter(|it| it.owner().eq_ignore_ascii_case(name))
                .find(may)
                .map(|_| ScopeKey::Organization(name.to_ascii_lowercase())),
        }
    }

    /// Names for which no runner is kept warm, and why; told once all served repositories were looked at.
    pub fn not_warmed(&self) -> Vec<String> {
        if !self.swept.all {
            return Vec::new();
        }
        let floors = self.rules.pools.iter().flat_map(|pool| {
            let names = pool.warm.iter().flat_map(|warm| &warm.of);
            names.map(move |name| (pool, name))
        });
        let unknown = floors.filter(|(pool, name)| self.scope_named(pool, name).is_none());
        let lines: BTreeSet<String> =
            unknown.map(|(pool, name)| self.why_not(pool, name)).collect();
        lines.into_iter().collect()
    }

    /// Floors that are not held because runners fail, or cannot be launched at all, and when that is tried again.
    pub fn short_of_warm(&self, now: Time) -> Vec<String> {
        let short = self.floors.asked.iter().filter(|(key, asked)| self.idle_of(key) < **asked);
        let told = short.filter_map(|(key, _)| {
            let why = crate::why::keeps_from_launching(self, key, now)?;
            Some(format!("pool {} lacks warm runners: {why}", key.pool))
        });
        told.collect()
    }

    fn why_not(&self, pool: &Pool, name: &str) -> String {
        let forge = self.rules.forge.name;
        let known = self.repositories.values().find(|it| it.full_name.eq_ignore_ascii_case(name));
        let why = match known {
            Some(it) if it.visibility == Visibility::Public && !pool.public_repositories => {
                "it is public, and public_repositories is false".to_owned()
            }
            Some(it) if self.swept.refused.contains(&it.id) => {
                format!("{forge} does not let it be looked at")
            }
            Some(_) => "the pool does not serve it".to_owned(),
            None => format!("{forge} shows no repository of that name"),
        };
        format!("no warm runner of pool {} for {name}: {why}", pool.name)
    }

    /// Runners of the class beyond those that its waiting jobs take, as many as the floor asks for.
    pub(super) fn warm_of(&self, key: &ClassKey) -> usize {
        let asked = self.floors.asked.get(key).copied().unwrap_or_default();
        let waiting = self.classes.get(key).map_or(0, |class| class.waiting.len());
        self.runners.counts(key).sent().saturating_sub(waiting).min(asked)
    }

    /// The same of a pool: room that others' jobs can have.
    pub(super) fn warm_of_pool(&self, pool: &PoolName) -> usize {
        let keys = self.floors.asked.range(ClassKey::all_of_pool(pool));
        keys.map(|(key, _)| self.warm_of(key)).sum()
    }

    pub(super) fn warm_of_all(&self) -> usize {
        self.floors.asked.keys().map(|key| self.warm_of(key)).sum()
    }

    pub fn warm_supply(&self, pool: &PoolName) -> WarmSupply {
        let mut supply = WarmSupply::default();
        for (key, asked) in self.floors.asked.range(ClassKey::all_of_pool(pool)) {
            supply.asked += asked;
            supply.idle += self.idle_of(key).min(*asked);
        }
        supply
    }

    /// Registered, beyond those that the waiting jobs take.
    fn idle_of(&self, key: &ClassKey) -> usize {
        let Some(class) = self.classes.get(key) else { return 0 };
        let runners = class.runners.iter().filter_map(|name| self.runners.get(name));
        let ready = runners.filter(|it| it.is_supply() && it.registered_at.is_some()).count();
        ready.saturating_sub(class.waiting.len())
    }
}
