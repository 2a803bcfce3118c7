//! Who is hired, by name, and how many of them by what is asked again and again: room, supply.
//!
//! The counts follow every change, for counting anew with each event costs a burst as much as
//! everything else together. So nobody gets at a runner to change it but through `change`.

use std::collections::BTreeMap;
use std::ops::{Deref, RangeInclusive};

use super::runner::RunnerState;
use super::{ClassKey, PoolName, Runner, RunnerName, ScopeKey};

#[derive(Debug, Default)]
pub struct Roster {
    by_name: BTreeMap<RunnerName, Runner>,
    alive: usize,
    held_up: usize,
    of_pools: BTreeMap<PoolName, usize>,
    of_scopes: BTreeMap<(PoolName, ScopeKey), usize>,
    of_classes: BTreeMap<ClassKey, Counts>,
}

/// Of one class.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Who takes up room.
    pub alive: usize,
    /// Hired, wanted, and not yet busy.
    pub supply: usize,
    /// Of these, whose dispatch is still owed.
    pub owed: usize,
    /// Whom nobody needs, and who could be supply again.
    pub returning: usize,
    /// Supply for which Nomad has no place, and says why.
    pub held_up: usize,
}

impl Counts {
    /// Supply whose dispatch is not still owed.
    pub fn sent(&self) -> usize {
        self.supply - self.owed
    }

    fn of(runner: &Runner) -> Self {
        let one = usize::from;
        let supply = runner.is_supply();
        Self {
            alive: one(runner.is_alive()),
            supply: one(supply),
            owed: one(supply && runner.state == RunnerState::Wanted),
            returning: one(runner.can_return()),
            held_up: one(supply && runner.is_held_up()),
        }
    }
}

impl Deref for Roster {
    type Target = BTreeMap<RunnerName, Runner>;

    fn deref(&self) -> &Self::Target {
        &self.by_name
    }
}

impl Roster {
    pub fn insert(&mut self, runner: Runner) {
        self.remove(&runner.name);
        self.tally(&runner.class, Counts::of(&runner), |count, by| *count += by);
        self.by_name.insert(runner.name.clone(), runner);
    }

    pub fn remove(&mut self, name: &RunnerName) -> Option<Runner> {
        let runner = self.by_name.remove(name)?;
        self.tally(&runner.class, Counts::of(&runner), |count, by| *count -= by);
        Some(runner)
    }

    /// `None`: there is nobody of that name. Neither its name nor its class may change.
    pub fn change<T>(
        &mut self,
        name: &RunnerName,
        change: impl FnOnce(&mut Runner) -> T,
    ) -> Option<T> {
        let runner = self.by_name.get_mut(name)?;
        let before = Counts::of(runner);
        let changed = change(runner);
        let after = Counts::of(runner);
        if before != after {
            let class = runner.class.clone();
            self.tally(&class, before, |count, by| *count -= by);
            self.tally(&class, after, |count, by| *count += by);
        }
        Some(changed)
    }

    pub fn alive(&self) -> usize {
        self.alive
    }

    /// Over all classes.
    pub fn held_up(&self) -> usize {
        self.held_up
    }

    pub fn alive_of_pool(&self, pool: &PoolName) -> usize {
        self.of_pools.get(pool).copied().unwrap_or_default()
    }

    pub fn alive_of_scope(&self, pool: &PoolName, scope: &ScopeKey) -> usize {
        self.of_scopes.get(&(pool.clone(), scope.clone())).copied().unwrap_or_default()
    }

    pub fn counts(&self, class: &ClassKey) -> Counts {
        self.of_classes.get(class).copied().unwrap_or_default()
    }

    /// Classes of this range that have runners.
    pub fn classes_of(
        &self,
        range: RangeInclusive<ClassKey>,
    ) -> impl Iterator<Item = (&ClassKey, &Counts)> {
        self.of_classes.range(range)
    }

    fn tally(&mut self, class: &ClassKey, counts: Counts, add: impl Fn(&mut usize, usize)) {
        if counts.alive > 0 {
            add(&mut self.alive, counts.alive);
            let scope = (class.pool.clone(), class.scope.clone());
            for_key(&mut self.of_pools, &class.pool, |count| add(count, counts.alive));
            for_key(&mut self.of_scopes, &scope, |count| add(count, counts.alive));
        }
        add(&mut self.held_up, counts.held_up);
        if counts != Counts::default() {
            for_key(&mut self.of_classes, class, |of_class| {
                add(&mut of_class.alive, counts.alive);
                add(&mut of_class.supply, counts.supply);
                add(&mut of_class.owed, counts.owed);
                add(&mut of_class.returning, counts.returning);
                add(&mut of_class.held_up, counts.held_up);
            });
        }
    }
}

/// Changes an entry, which is there only while it is not nothing.
fn for_key<K: Ord + Clone, V: Default + PartialEq>(
    counts: &mut BTreeMap<K, V>,
    key: &K,
    change: impl FnOnce(&mut V),
) {
    match counts.get_mut(key) {
        Some(count) => {
            change(count);
            if *count == V::default() {
                counts.remove(key);
            }
        }
        None => change(counts.entry(key.clone()).or_default()),
    }
}

/// Bit by bit what it is counted to be from the runners themselves; for tests.
#[cfg(any(test, feature = "testing"))]
impl Roster {
    /// # Errors
    /// In words, where it is not.
    pub fn check_counts(&self) -> Result<(), String> {
        let mut anew = Roster::default();
        for runner in self.by_name.values() {
            anew.insert(runner.clone());
        }
        let same = self.alive == anew.alive
            && self.held_up == anew.held_up
            && self.of_pools == anew.of_pools
            && self.of_scopes == anew.of_scopes
            && self.of_classes == anew.of_classes;
        match same {
            true => Ok(()),
            false => Err(format!("{:?} runners are counted: {:?}", self.alive, self.of_classes)),
        }
    }
}
