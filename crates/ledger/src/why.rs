//! Why the jobs of a class wait, in words for a tired person. One sentence, the first cause
//! that holds; a single job's refusal is in its `Verdict`.

use super::class::Hold;
use super::pool::Delivery;
use super::runner::RunnerState;
use super::state::{Gate, NomadState, State};
use super::{ClassKey, ScopeKey, Time};

/// `None` where nothing of the class waits.
pub fn class_waits(state: &State, key: &ClassKey, now: Time) -> Option<String> {
    let class = state.classes.get(key)?;
    let waiting = class.waiting.len();
    if waiting == 0 {
        return None;
    }
    let sent = state.runners.counts(key).sent();
    if sent >= waiting {
        return Some(supplied(state, key));
    }
    let why = what_keeps_it(state, key, now);
    Some(if sent == 0 {
        why
    } else {
        format!("{sent} of {waiting} have a runner on the way; {why}")
    })
}

fn supplied(state: &State, key: &ClassKey) -> String {
    let runners = state.classes[key].runners.iter().filter_map(|name| state.runners.get(name));
    let mut doubtful =
        runners.filter(|r| r.is_supply() && matches!(r.state, RunnerState::Dispatching(_)));
    match doubtful.find_map(|runner| runner.reason.clone()) {
        Some(reason) => format!("a runner is on the way, but {reason}"),
        None => "a runner is on the way".to_owned(),
    }
}

fn what_keeps_it(state: &State, key: &ClassKey, now: Time) -> String {
    if let Some(pool) = state.rules.pool(&key.pool) {
        let place = state.rules.place_of(pool);
        let part = place.unlike(&state.rules.nomad);
        match state.nomad.get(&place) {
            None => return format!("waiting for Nomad's first listing{part} since the start"),
            Some(NomadState::Unlisted(reason) | NomadState::Away(Gate { reason, .. })) => {
                return format!("Nomad{part} {reason}");
            }
            Some(NomadState::Listed) => {}
        }
    }
    match &state.classes[key].hold {
        Some(Hold::Asking { .. }) => {
            return format!(
                "a runner ended without a job that we know of; {} is asked before another is hired",
                state.rules.forge.name
            );
        }
        Some(Hold::Until(at)) if *at > now => {
            return format!(
                "runners of this pool ended without having taken a job ({} in a row, last: {}); the next is hired at {at}",
                state.classes[key].ended_unseen,
                state.classes[key].last_end.as_deref().unwrap_or("see their allocations"),
            );
        }
        _ => {}
    }
    let Some(pool) = state.rules.pool(&key.pool) else {
        return format!("its pool {} is no longer in the config", key.pool);
    };
    match state.pauses.get(&key.pool) {
        Some(Some(until)) => return format!("pool {} is paused until {until}", key.pool),
        Some(None) => return format!("pool {} is paused", key.pool),
        None => {}
    }
    if let Some(gate) = state.breakers.get(&key.pool).and_then(|b| b.gate.as_ref()) {
        return format!(
            "pool {} hires one runner at a time, for they keep ending without a job (the last: {}); \
             the next is tried at {}",
            key.pool, gate.reason, gate.until
        );
    }
    if let Some(gate) = state.refusals.get(&key.pool) {
        return format!(
            "Nomad refused the dispatch: {}; tried again at {} or when the job changes",
            gate.reason, gate.until
        );
    }
    if pool.delivery != Delivery::None {
        let credential = state.credentials.get(&key.scope);
        if let Some(gate) = credential.and_then(|c| c.failed.as_ref()) {
            return format!(
                "no registration token: {}; tried again at {}",
                gate.reason, gate.until
            );
        }
        if credential.is_some_and(|c| c.minting) {
            return "waiting for a registration token".to_owned();
        }
    }
    at_capacity(state, key, pool)
}

fn at_capacity(state: &State, key: &ClassKey, pool: &super::Pool) -> String {
    let runners = &state.runners;
    if let (Some(cap), ScopeKey::Repository(_)) = (pool.max_runners_per_repository, &key.scope)
        && runners.alive_of_scope(&key.pool, &key.scope) >= cap as usize
    {
        return format!(
            "at capacity: the repository has its {cap} runners of pool {} (max_runners_per_repository)",
            key.pool
        );
    }
    if runners.alive_of_pool(&key.pool) >= pool.max_runners as usize {
        return format!(
            "at capacity: pool {} has its {} runners (max_runners)",
            key.pool, pool.max_runners
        );
    }
    if runners.alive() >= state.rules.max as usize {
        return format!("at capacity: all {} runners are in use ([runners] max)", state.rules.max);
    }
    if state.robots_have_theirs(key, pool) {
        return "its jobs are robots', and the repository's robots have the runners that they get \
                while people wait elsewhere (robots_per_repository)"
            .to_owned();
    }
    "its turn comes next".to_owned()
}
