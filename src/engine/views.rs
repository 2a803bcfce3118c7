//! The ledger as people ask for it: pools with demand and supply, capacity, who waits longest.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Known;
use crate::ledger::{JobId, ScopeKey, State, Time, why};

#[derive(Debug, Serialize)]
pub struct StatusView {
    pub capacity: Capacity,
    pub pools: Vec<PoolView>,
    /// The job that has waited longest for a runner.
    pub oldest_waiting: Option<Oldest>,
    /// `"who: why"`, for each part that is in trouble.
    pub degraded: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct Capacity {
    pub alive: usize,
    pub max: u32,
}

#[derive(Debug, Serialize)]
pub struct PoolView {
    pub name: String,
    pub nomad_job: String,
    pub labels: Vec<String>,
    /// Jobs that wait for a runner.
    pub demand: usize,
    /// Runners that are hired and not yet busy.
    pub supply: usize,
    pub busy: usize,
    /// What takes up room.
    pub alive: usize,
    pub max_runners: u32,
    /// It hires nobody new,
    pub paused: bool,
    /// and until when, if that was said.
    pub paused_until: Option<String>,
    /// Why jobs wait, one line for each reason.
    pub waiting_for: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct Oldest {
    pub job: JobId,
    pub repository: String,
    /// Seconds.
    pub waits: u64,
    pub reason: Option<String>,
}

pub fn status(state: &State, now: Time, degraded: Vec<String>) -> StatusView {
    let pools = state.rules.pools.iter().map(|pool| {
        let classes = || state.classes.iter().filter(|(key, _)| key.pool == pool.name);
        let runners = || state.runners.values().filter(|r| r.class.pool == pool.name);
        let mut reasons: Vec<String> =
            classes().filter_map(|(key, _)| why::class_waits(state, key, now)).collect();
        reasons.sort();
        reasons.dedup();
        let pause = state.pauses.get(&pool.name);
        PoolView {
            name: pool.name.0.clone(),
            nomad_job: pool.nomad_job.clone(),
            labels: pool.labels.clone(),
            demand: classes().map(|(_, class)| class.waiting.len()).sum(),
            supply: runners().filter(|r| r.is_supply()).count(),
            busy: runners().filter(|r| r.took.is_some()).count(),
            alive: runners().filter(|r| r.is_alive()).count(),
            max_runners: pool.max_runners,
            paused: pause.is_some(),
            paused_until: pause.and_then(|until| until.map(|at| at.to_string())),
            waiting_for: reasons,
        }
    });
    let oldest = state
        .classes
        .iter()
        .flat_map(|(key, class)| class.waiting.iter().map(move |id| (key, id)))
        .filter_map(|(key, id)| Some((key, state.jobs.get(id)?)))
        .min_by_key(|(_, job)| job.received_at)
        .map(|(key, job)| Oldest {
            job: job.id(),
            repository: job.repository_name.clone(),
            waits: now.since(job.received_at).as_secs(),
            reason: why::class_waits(state, key, now),
        });
    StatusView {
        capacity: Capacity { alive: state.runners.alive(), max: state.rules.max },
        pools: pools.collect(),
        oldest_waiting: oldest,
        degraded,
    }
}

/// Why each of these jobs that is demand waits. A class is looked at once, however many of them it has.
pub fn reasons(state: &State, jobs: &[JobId], now: Time) -> BTreeMap<JobId, String> {
    let mut of_class = BTreeMap::new();
    let reason = |id: &JobId| {
        let key = state.class_of(state.jobs.get(id)?)?;
        if !state.classes.get(&key)?.waiting.contains(id) {
            return None;
        }
        let why = of_class.entry(key).or_insert_with_key(|key| why::class_waits(state, key, now));
        Some((*id, why.clone()?))
    };
    jobs.iter().filter_map(reason).collect()
}

/// What the sweeps need to know.
pub fn known(state: &State) -> Known {
    let jobs = state.by_repository.keys().filter_map(|id| state.repositories.get(id));
    let runners = state.runners.values().filter_map(|runner| match runner.class.scope {
        ScopeKey::Repository(id) => state.repositories.get(&id),
        ScopeKey::Organization(_) => None,
    });
    Known {
        repositories: jobs.chain(runners).map(|repository| repository.full_name.clone()).collect(),
        children: state.runners.values().filter_map(|runner| runner.child.clone()).collect(),
    }
}
