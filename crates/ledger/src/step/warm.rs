//! Holds idle supply to the floor of warm runners (`crate::warm`). It has the last place in everything:
//! it takes room that no waiting job can use, and gives its runners up where a cap keeps jobs waiting.
//!
//! Which of a class's runners are the warm ones is not remembered: they are those beyond its waiting
//! jobs. So one that takes a job is replaced, and one that is released is not there any more.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use rand::Rng;

use super::Fold;
use super::hiring::Obstacle;
use crate::runner::{Leaving, Runner, RunnerState};
use crate::state::Timer;
use crate::warm::Floors;
use crate::{ClassKey, PoolName, Release, RunnerName, work};

impl<R: Rng> Fold<'_, R> {
    /// Before supply is compared with demand: how many of a class's runners the floor keeps.
    pub(super) fn set_floors(&mut self) {
        if self.state.floors.is_due(self.now) {
            self.read_schedules();
        }
        for key in self.state.floors.asked.keys().cloned().collect::<Vec<_>>() {
            work::count(1);
            let Some(class) = self.state.classes.get(&key) else { continue };
            let counts = self.state.runners.counts(&key);
            let asked = self.state.floors.asked.get(&key).copied().unwrap_or_default();
            let floor = asked.min(counts.supply.saturating_sub(class.waiting.len()));
            self.set_floor(&key, floor);
        }
    }

    fn set_floor(&mut self, key: &ClassKey, floor: usize) {
        let class = self.state.classes.get_mut(key);
        if let Some(class) = class.filter(|class| class.floor != floor) {
            class.floor = floor;
            self.touch(key);
        }
    }

    fn read_schedules(&mut self) {
        let floors = self.state.floors_at(self.now);
        let before = std::mem::replace(&mut self.state.floors, floors);
        if let Some(until) = self.state.floors.until {
            self.set_timer(until, Timer::Floors);
        }
        for key in before.asked.keys().filter(|key| !self.state.floors.asked.contains_key(key)) {
            if let Some(class) = self.state.classes.get_mut(key) {
                class.floor = 0;
                self.classes.insert(key.clone());
            }
        }
    }

    /// Whether the class has a floor: its runners may be idle while no job of it waits.
    pub(super) fn is_warm(&self, key: &ClassKey) -> bool {
        self.state.floors.asked.contains_key(key)
    }

    /// Jobs that nothing but a cap keeps waiting get the room of warm runners, as soon as these are gone;
    /// and so do those whose runner Nomad has no place for.
    pub(super) fn give_way(&mut self) {
        let held_up = self.state.runners.held_up();
        if (self.state.hungry.is_empty() && held_up == 0) || self.state.warm_of_all() == 0 {
            return;
        }
        if held_up > 0 {
            self.give_places();
        }
        let mut over_all = 0;
        for (pool, jobs) in self.kept_by_caps() {
            let Some(max) = self.state.rules.pool(&pool).map(|pool| pool.max_runners as usize)
            else {
                continue;
            };
            match max.saturating_sub(self.state.runners.alive_of_pool(&pool)) {
                0 => {
                    let coming = self.on_their_way_out(Some(&pool));
                    for _ in coming..jobs {
                        if !self.give_one_up(Some(&pool), |_| true) {
                            break;
                        }
                    }
                }
                room => over_all += jobs.min(room),
            }
        }
        if self.state.runners.alive() >= self.state.rules.max as usize {
            for _ in self.on_their_way_out(None)..over_all {
                if !self.give_one_up(None, |_| true) {
                    return;
                }
            }
        }
    }

    /// Of a pool, for all its runners want the same of a node.
    fn give_places(&mut self) {
        let pools: BTreeSet<PoolName> =
            self.state.floors.asked.keys().map(|key| key.pool.clone()).collect();
        for pool in pools {
            for _ in self.on_their_way_out(Some(&pool))..self.without_place(&pool) {
                if !self.give_one_up(Some(&pool), |runner| runner.placed_at.is_some()) {
                    break;
                }
            }
        }
    }

    /// For how many jobs of the pool there is a runner, and no place for it in Nomad.
    fn without_place(&self, pool: &PoolName) -> usize {
        if self.state.runners.held_up() == 0 {
            return 0;
        }
        let classes = self.state.runners.classes_of(ClassKey::all_of_pool(pool));
        let held_up = classes.filter(|(_, counts)| counts.held_up > 0).map(|(key, counts)| {
            work::count(1);
            let waiting = self.state.classes.get(key).map_or(0, |class| class.waiting.len());
            let others = counts.sent() - counts.held_up;
            counts.held_up.min(waiting.saturating_sub(others))
        });
        held_up.sum()
    }

    /// How many jobs of each pool could have a runner if there were room; no more than it may have runners.
    fn kept_by_caps(&self) -> BTreeMap<PoolName, usize> {
        let mut kept = BTreeMap::new();
        let mut from: Bound<ClassKey> = Bound::Unbounded;
        loop {
            let next = self.state.hungry.range((from, Bound::Unbounded)).next();
            let Some(key) = next else { return kept };
            let rest_of_pool = || ClassKey::all_of_pool(&key.pool).into_inner().1;
            let behind = match self.closed(key) {
                Some(Obstacle::Pool) => rest_of_pool(),
                Some(Obstacle::Scope) => key.runs_of_scope().into_inner().1,
                None if self.scope_is_full(key, 0) => key.runs_of_scope().into_inner().1,
                None => {
                    let wanted = self.state.classes.get(key).map_or(0, crate::Class::wanted);
                    let short = wanted.saturating_sub(self.state.runners.counts(key).sent());
                    let jobs: &mut usize = kept.entry(key.pool.clone()).or_default();
                    *jobs += short;
                    let pool = self.state.rules.pool(&key.pool);
                    match pool.is_none_or(|pool| *jobs >= pool.max_runners as usize) {
                        true => rest_of_pool(),
                        false => key.clone(),
                    }
                }
            };
            from = Bound::Excluded(behind);
        }
    }

    /// Whose room is free in a moment.
    fn on_their_way_out(&self, pool: Option<&PoolName>) -> usize {
        let leaves = |runner: &&Runner| match runner.state {
            RunnerState::Withdrawing(Leaving::LeftAlone) => false,
            RunnerState::Withdrawing(_) => runner.took.is_none(),
            RunnerState::Dispatching(_) => runner.unwanted,
            _ => false,
        };
        let of_pool = |runner: &&Runner| pool.is_none_or(|pool| runner.class.pool == *pool);
        self.state.runners.values().filter(of_pool).filter(leaves).count()
    }

    /// Of the class with the most of them, the one whose room is free soonest.
    fn give_one_up(&mut self, pool: Option<&PoolName>, fits: fn(&Runner) -> bool) -> bool {
        let keys = self.state.floors.asked.keys();
        let keys = keys.filter(|key| pool.is_none_or(|pool| key.pool == *pool));
        let warm = keys.map(|key| (self.state.warm_of(key), key));
        let warm = warm.filter(|(warm, key)| *warm > 0 && self.may_let_go(key));
        let warm = warm.filter_map(|(warm, key)| Some((warm, key, self.soonest_gone(key, fits)?)));
        let most = warm.max_by_key(|(warm, ..)| *warm);
        let Some((key, name)) = most.map(|(_, key, name)| (key.clone(), name)) else {
            return false;
        };
        if let Some(class) = self.state.classes.get_mut(&key) {
            class.floor = class.floor.saturating_sub(1);
        }
        self.let_go(&name, Release::GivesWay);
        true
    }

    fn soonest_gone(&self, key: &ClassKey, fits: fn(&Runner) -> bool) -> Option<RunnerName> {
        let class = self.state.classes.get(key)?;
        let runners = class.runners.iter().filter_map(|name| self.state.runners.get(name));
        let soon = |runner: &&Runner| match runner.state {
            RunnerState::Registered => 1,
            RunnerState::Dispatched if runner.placed_at.is_none() => 0,
            // It can be stopped only when it has booted.
            RunnerState::Dispatched => 3,
            _ => 2,
        };
        let mut sent: Vec<&Runner> =
            runners.filter(|it| it.is_supply() && it.state != RunnerState::Wanted).collect();
        // The jobs of the class take those that are ready first.
        sent.sort_by_key(|runner| std::cmp::Reverse(runner.advance()));
        let warm = sent.into_iter().skip(class.waiting.len());
        warm.filter(|it| fits(it)).min_by_key(soon).map(|runner| runner.name.clone())
    }

    /// Launches what the floors lack, from room that no job can use.
    pub(super) fn warm_up(&mut self) {
        let mut short = self.short_of_floor();
        while let Some((_, key)) = short.pop_first() {
            let Some(pool) = self.state.rules.pool(&key.pool).map(|pool| pool.max_runners as usize)
            else {
                continue;
            };
            let (all, of_pool) = self.wanted_by_jobs(&key.pool);
            let alive = self.state.runners.alive();
            let no_room = alive + all >= self.state.rules.max as usize
                || self.state.runners.alive_of_pool(&key.pool) + of_pool >= pool;
            if no_room || !self.has_credential(&key) {
                continue;
            }
            self.state.classes.entry(key.clone()).or_default();
            self.touch(&key);
            self.hire(&key);
            if self.state.runners.alive() == alive {
                continue;
            }
            if let Some(class) = self.state.classes.get_mut(&key) {
                class.floor += 1;
            }
            if let Some(place) = self.place_in_line(&key) {
                short.insert(place);
            }
        }
    }

    /// Who has the fewest comes first.
    fn short_of_floor(&self) -> BTreeSet<(usize, ClassKey)> {
        self.state.floors.asked.keys().filter_map(|key| self.place_in_line(key)).collect()
    }

    fn place_in_line(&self, key: &ClassKey) -> Option<(usize, ClassKey)> {
        work::count(1);
        let asked = self.state.floors.asked.get(key).copied()?;
        let sent = self.state.runners.counts(key).sent();
        let class = self.state.classes.get(key);
        let wanted = class.map_or(0, crate::Class::wanted);
        // Its own jobs come first, and they would take what is launched now.
        let short = sent >= wanted && sent < wanted + asked && self.without_place(&key.pool) == 0;
        let may = class.is_none_or(|class| class.hold.is_none())
            && self.state.scope_may_try(key, self.now)
            && self.obstacle(key).is_none();
        (short && may).then(|| (sent - wanted, key.clone()))
    }

    /// For how many jobs runners are about to be launched, over all and of one pool; no more than
    /// there may be runners.
    fn wanted_by_jobs(&self, pool: &PoolName) -> (usize, usize) {
        let questions = &self.state.run_questions;
        let (mut all, mut of_pool) = (questions.asking_over_all(), questions.asking_of(pool));
        for (key, class) in &self.state.classes {
            work::count(1);
            if all >= self.state.rules.max as usize {
                break;
            }
            let short = class.wanted().saturating_sub(self.state.runners.counts(key).sent());
            let comes = short > 0
                && self.obstacle(key).is_none()
                && self.state.scope_may_try(key, self.now);
            if comes {
                all += short;
                of_pool += if key.pool == *pool { short } else { 0 };
            }
        }
        (all, of_pool)
    }
}

impl Floors {
    fn is_due(&self, now: crate::Time) -> bool {
        self.outdated || self.until.is_some_and(|until| until <= now)
    }
}
