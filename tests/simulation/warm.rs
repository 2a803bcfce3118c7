//! Seeds whose pools keep warm runners, by a schedule or always, until all is calm. Their promises: never
//! more idle runners than the floor of that moment, and no job kept by a cap while one of them stays.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use ledger::why::{self, Word};
use ledger::{
    ClassKey, Leaving, Rules, Runner, RunnerState, Schedule, ScopeKind, State, Time, Warm,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::invariants::may_let_go;
use crate::world::{BEGIN, World};

/// One seed in four. Nothing of the seed's own is drawn for it, so the others play as they did.
pub fn is_played(seed: u64) -> bool {
    seed % 4 == 2
}

/// Floors of the pools, by draws of their own.
pub fn set(seed: u64, rules: &mut Rules) {
    let mut rng = StdRng::seed_from_u64(seed ^ 0x0077_6172_6d00);
    for pool in rules.pools.iter_mut().filter(|pool| !pool.is_per_run()) {
        for _ in 0..rng.random_range(0..=2) {
            let names: &[&str] = match pool.scope {
                ScopeKind::Organization => &["octo"],
                ScopeKind::Repository => &["octo/app", "Octo/Lib"],
            };
            let names = &names[..rng.random_range(1..=names.len())];
            pool.warm.push(Warm {
                count: rng.random_range(1..=2),
                of: names.iter().map(|name| (*name).to_owned()).collect(),
                schedule: rng.random_bool(0.5).then(|| schedule(&mut rng)),
            });
        }
    }
    keep_within_caps(rules);
}

/// Some minutes around the beginning, and then not for a day.
fn schedule(rng: &mut StdRng) -> Schedule {
    let begin = u16::try_from(BEGIN / 60_000 % 1440).unwrap();
    let from = (begin + 1440 - 20 + rng.random_range(0..50)) % 1440;
    let until = (from + rng.random_range(5..60)) % 1440;
    Schedule::new([true; 7], from, until, TimeZone::UTC).unwrap()
}

/// The config refuses what no cap allows: each floor together with those that hold at any time, of its pool
/// and of all.
pub fn keep_within_caps(rules: &mut Rules) {
    let mut of_all = 0;
    for pool in &mut rules.pools {
        let cap = pool.max_runners_per_repository.unwrap_or(u32::MAX);
        let max = pool.max_runners.min(rules.max);
        let mut kept: Vec<Warm> = Vec::new();
        // What always holds first, for the others have its room only.
        let (always, at_times): (Vec<_>, Vec<_>) =
            std::mem::take(&mut pool.warm).into_iter().partition(|it| it.schedule.is_none());
        for warm in always.into_iter().chain(at_times) {
            let always = kept.iter().filter(|it| it.schedule.is_none());
            let all = total(always.chain([&warm]));
            let common = if warm.schedule.is_none() { of_all } else { 0 };
            if warm.count <= cap && all <= max && common + all <= rules.max {
                kept.push(warm);
            }
        }
        of_all += total(kept.iter().filter(|it| it.schedule.is_none()));
        pool.warm = kept;
    }
}

/// Of several floors for a name the highest holds.
fn total<'a>(floors: impl Iterator<Item = &'a Warm>) -> u32 {
    let mut by_name: BTreeMap<String, u32> = BTreeMap::new();
    for (warm, name) in floors.flat_map(|warm| warm.of.iter().map(move |name| (warm, name))) {
        let count = by_name.entry(name.to_ascii_lowercase()).or_default();
        *count = (*count).max(warm.count);
    }
    by_name.values().sum()
}

/// What the schedules ask for this class, read here anew.
pub fn asked(state: &State, key: &ClassKey, now: Time) -> usize {
    let name = state.name_of(&key.scope);
    let former = state.repositories.values().find(|it| it.full_name == name);
    let former = former.map(|it| it.former.clone()).unwrap_or_default();
    let is_it = |of: &String| {
        of.eq_ignore_ascii_case(&name) || former.iter().any(|it| it.eq_ignore_ascii_case(of))
    };
    let Some(pool) = state.rules.pool(&key.pool).filter(|_| key.run.is_none()) else { return 0 };
    let holds = |warm: &&Warm| warm.schedule.as_ref().is_none_or(|it| it.holds(now));
    let floors = pool.warm.iter().filter(holds).filter(|warm| warm.of.iter().any(is_it));
    floors.map(|warm| warm.count as usize).max().unwrap_or_default()
}

impl World {
    /// No job waits at a cap while an idle runner could make room and nobody is on the way out.
    pub fn check_warm(&mut self, state: &State) {
        let now = self.ledger_time();
        let leaves = |it: &&Runner| match it.state {
            RunnerState::Withdrawing(Leaving::LeftAlone) => false,
            RunnerState::Withdrawing(_) => true,
            RunnerState::Dispatching(_) => it.unwanted,
            _ => false,
        };
        for key in state.classes.keys() {
            let everywhere = match why::class_word(state, key, now) {
                Some(Word::Capacity) => true,
                Some(Word::PoolCap) => false,
                _ => continue,
            };
            let near = |of: &ClassKey| everywhere || of.pool == key.pool;
            let room = state.runners.values().filter(|it| near(&it.class)).any(|it| leaves(&it));
            let idle = state.classes.iter().find(|(of, class)| {
                let sent = state.runners.counts(of).sent();
                near(of) && may_let_go(state, of) && sent > class.waiting.len()
            });
            if let Some((idle, _)) = idle.filter(|_| !room) {
                self.watching.broken(|| {
                    format!("{key:?} waits for room that warm runners of {idle:?} have")
                });
            }
        }
    }
}
