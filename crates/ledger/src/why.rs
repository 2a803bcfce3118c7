//! Why the jobs of a class wait, in words for a tired person. One sentence, the first cause
//! that holds; a single job's refusal is in its `Verdict`.

use super::class::Hold;
use super::pool::{CredentialKind, Delivery, Pool};
use super::runner::RunnerState;
use super::state::{Gate, NomadState, State};
use super::{Breaker, ClassKey, Job, Release, Runner, ScopeKey, Time, Verdict};

/// The kinds of reasons, for metrics: a closed set of short words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Word {
    /// As many runners are on the way as jobs wait.
    RunnerOnTheWay,
    PoolPaused,
    Nomad,
    /// A runner ended, and the forge is asked first.
    Asking,
    /// Runners ended without a job.
    RunnersFail,
    DispatchRefused,
    Credential,
    RepositoryCap,
    PoolCap,
    Capacity,
    Robots,
    Starting,
    /// The run is checked against the pool's policy first.
    Policy,
    PoolRemoved,
}

impl Word {
    pub fn as_str(self) -> &'static str {
        match self {
            Word::RunnerOnTheWay => "runner_on_the_way",
            Word::PoolPaused => "pool_paused",
            Word::Nomad => "nomad",
            Word::Asking => "asking",
            Word::RunnersFail => "runners_fail",
            Word::DispatchRefused => "dispatch_refused",
            Word::Credential => "credential",
            Word::RepositoryCap => "repository_cap",
            Word::PoolCap => "pool_cap",
            Word::Capacity => "capacity",
            Word::Robots => "robots",
            Word::Starting => "starting",
            Word::Policy => "policy",
            Word::PoolRemoved => "pool_removed",
        }
    }
}

/// Of a reason: its kind, and the sentence.
type Why = (Word, String);

/// Why most of the class's jobs wait, in one word; `None` where nothing of the class waits.
pub fn class_word(state: &State, key: &ClassKey, now: Time) -> Option<Word> {
    let waiting = state.classes.get(key)?.waiting.len();
    Some(match waiting {
        0 => return None,
        _ if state.runners.counts(key).sent() >= waiting => Word::RunnerOnTheWay,
        _ => what_keeps_it(state, key, now).0,
    })
}

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
    let (_, why) = what_keeps_it(state, key, now);
    Some(if sent == 0 {
        why
    } else {
        format!("{sent} of {waiting} have a runner on the way; {why}")
    })
}

/// The same of one job of the class: where it is held for itself, others have what is on the way.
pub fn job_waits(state: &State, key: &ClassKey, job: &Job, now: Time) -> Option<String> {
    let class = state.classes.get(key)?;
    let supplied = state.runners.counts(key).sent() >= class.waiting.len();
    let held = job_is_held(job, now).filter(|_| !supplied);
    match held {
        Some(held) => Some(closed_for_all(state, key).map_or(held, |(_, why)| why)),
        None => class_waits(state, key, now),
    }
}

/// Where there is no room: how many repositories or organizations are served before this class's.
pub fn turn(state: &State, key: &ClassKey, now: Time) -> Option<String> {
    let (word, _) = what_keeps_it(state, key, now);
    if !matches!(word, Word::PoolCap | Word::Capacity | Word::Starting)
        || !state.hungry.contains(key)
    {
        return None;
    }
    // Where only the pool is full, others wait for other room.
    let waits_too = |other: &&ClassKey| word != Word::PoolCap || other.pool == key.pool;
    let mut scopes: Vec<_> = state.hungry.iter().filter(waits_too).map(ClassKey::breaker).collect();
    scopes.dedup();
    let all = scopes.len();
    let after = state.turn.as_ref().map(ClassKey::breaker);
    let next = after.map_or(0, |after| scopes.partition_point(|scope| *scope <= after));
    let mine = scopes.iter().position(|scope| *scope == key.breaker())?;
    let before = (mine + all - next) % all;
    Some(match (all, before) {
        (1, _) => return None,
        (_, 0) => format!("{} is next of the {all} that wait for room", state.name_of(&key.scope)),
        _ => format!(
            "{all} repositories or organizations take turns when there is room; {before} of them \
             before {}",
            state.name_of(&key.scope)
        ),
    })
}

/// Why a job waits that no class has yet: its run is not known.
pub fn verdict_waits(state: &State, job: &Job, now: Time) -> Option<String> {
    let told = job.verdict.reason();
    if !matches!(job.verdict, Verdict::AskingRun(_))
        || state.run_questions.is_asking(job.report.run)
    {
        return told;
    }
    let (Some(key), Some(pool)) =
        (state.class_of(job), job.pool.as_ref().and_then(|name| state.rules.pool(name)))
    else {
        return told;
    };
    if let Some(gate) =
        state.run_questions.held.get(&job.repository).filter(|gate| gate.until > now)
    {
        return Some(format!(
            "cannot check the run against the pool's policy, next try at {}: {}",
            gate.until, gate.reason
        ));
    }
    Some(format!(
        "the run is checked against the pool's policy when a runner can be launched; {}",
        what_keeps(state, &key, pool, now).1
    ))
}

fn supplied(state: &State, key: &ClassKey) -> String {
    let runners = state.classes[key].runners.iter().filter_map(|name| state.runners.get(name));
    let supply = || runners.clone().filter(|runner| runner.is_supply());
    let reason = |state: fn(&RunnerState) -> bool| {
        supply().filter(|runner| state(&runner.state)).find_map(|runner| runner.reason.clone())
    };
    if let Some(reason) = reason(|state| matches!(state, RunnerState::Dispatching(_))) {
        return format!("a runner is on the way, but {reason}");
    }
    match reason(|state| *state == RunnerState::Dispatched) {
        Some(reason) => format!("a runner is dispatched, but {reason}"),
        None if supply().all(|runner| runner.offline.is_some()) => {
            let seen = supply().filter_map(|runner| runner.offline).max().unwrap_or(Time(0));
            format!(
                "a runner is registered, but {} listed it offline at {seen}",
                state.rules.forge.name
            )
        }
        None => "a runner is on the way".to_owned(),
    }
}

/// The first cause that holds. A time is named only where nothing happens before it: one that has
/// passed is no reason any more, and while somebody tries, that is said instead.
fn what_keeps_it(state: &State, key: &ClassKey, now: Time) -> Why {
    let Some(pool) = state.rules.pool(&key.pool) else {
        return (Word::PoolRemoved, format!("pool {} was removed from the config", key.pool));
    };
    what_keeps(state, key, pool, now)
}

fn what_keeps(state: &State, key: &ClassKey, pool: &Pool, now: Time) -> Why {
    if let Some(why) = closed_for_all(state, key) {
        return why;
    }
    type Cause = fn(&State, &ClassKey, &Pool, Time) -> Option<String>;
    let causes: [(Word, Cause); 5] = [
        (Word::Asking, asked),
        (Word::RunnersFail, ended_in_vain),
        (Word::DispatchRefused, refused),
        (Word::Credential, not_deposited),
        (Word::Credential, without_credential),
    ];
    causes
        .iter()
        .find_map(|(word, cause)| Some((*word, cause(state, key, pool, now)?)))
        .unwrap_or_else(|| at_capacity(state, key, pool))
}

/// Why the last launches for the class failed, whichever jobs they were for.
pub(crate) fn keeps_from_launching(state: &State, key: &ClassKey, now: Time) -> Option<String> {
    let pool = state.rules.pool(&key.pool)?;
    scope_failed(state, key, state.breaker(&key.pool, Some(&key.scope)), now)
        .or_else(|| refused(state, key, pool, now))
        .or_else(|| not_deposited(state, key, pool, now))
        .or_else(|| {
            // Not while one is merely asked for.
            let failed = state.credentials.get(&key.scope).is_some_and(|it| it.failed.is_some())
                || state.minting.contains_key(&key.breaker());
            without_credential(state, key, pool, now).filter(|_| failed)
        })
}

/// Before whatever names a time: what keeps the whole pool keeps to no other.
fn closed_for_all(state: &State, key: &ClassKey) -> Option<Why> {
    let paused = |why| Some((Word::PoolPaused, why));
    match state.pauses.get(&key.pool) {
        Some(Some(until)) => return paused(format!("pool {} is paused until {until}", key.pool)),
        Some(None) => return paused(format!("pool {} is paused", key.pool)),
        None => {}
    }
    let place = state.rules.place_of(state.rules.pool(&key.pool)?);
    let part = place.unlike(&state.rules.nomad);
    let why = match state.nomad.get(&place) {
        None => Some(format!("waiting for Nomad's first listing{part} since the start")),
        Some(NomadState::Unlisted(reason) | NomadState::Away(Gate { reason, .. })) => {
            Some(format!("Nomad{part} {reason}"))
        }
        Some(NomadState::Listed) => None,
    };
    Some((Word::Nomad, why?))
}

/// A runner of the class ended, and the forge is asked first.
fn asked(state: &State, key: &ClassKey, _: &Pool, _: Time) -> Option<String> {
    let class = state.classes.get(key)?;
    let forge = state.rules.forge.name;
    match (class.hold.as_ref()?, &class.ask_failure) {
        (Hold::Asking { .. }, None) => Some(format!(
            "a runner ended, and no job of it is known yet; asking {forge} before another is launched"
        )),
        (Hold::Asking { .. }, Some(failure)) => Some(format!(
            "a runner ended, and {forge} does not say which job it had, retrying: {failure}"
        )),
    }
}

/// Runners that ended without a job: of the class's jobs, of its scope, of the pool.
fn ended_in_vain(state: &State, key: &ClassKey, _: &Pool, now: Time) -> Option<String> {
    let class = state.classes.get(key)?;
    if state.runners.counts(key).sent() >= class.wanted() {
        let held = class.held.first().and_then(|id| state.jobs.get(id));
        return held.and_then(|job| job_is_held(job, now));
    }
    let scope = state.breaker(&key.pool, Some(&key.scope));
    scope_failed(state, key, scope, now).or_else(|| {
        let gate = state.breaker(&key.pool, None)?.gate.as_ref()?;
        // Before the time only scopes that have not failed are tried.
        let waits = scope.is_some() || gate.probe.is_some();
        let when = when(gate, now).filter(|_| waits)?;
        Some(format!(
            "circuit breaker of pool {} open, one runner at a time is launched: runners of several \
             repositories or organizations ended without a job, last: {}; {when}",
            key.pool, gate.reason,
        ))
    })
}

fn scope_failed(
    state: &State,
    key: &ClassKey,
    breaker: Option<&Breaker>,
    now: Time,
) -> Option<String> {
    let breaker = breaker?;
    let gate = breaker.gate.as_ref().filter(|gate| breaker.is_open() || gate.until > now)?;
    let (scope, pool) = (state.name_of(&key.scope), &key.pool);
    let whose = match breaker.is_open() {
        true => format!(
            "circuit breaker of {scope} in pool {pool} open, one runner at a time is launched"
        ),
        false => format!("runners of {scope} in pool {pool}"),
    };
    Some(format!(
        "{whose}: {} ended in a row without a job, last: {}; {}",
        breaker.ends,
        gate.reason,
        when(gate, now)?,
    ))
}

/// Why nobody is launched for a job of which the others of its class say nothing.
pub fn job_is_held(job: &Job, now: Time) -> Option<String> {
    let vain = job.in_vain.as_ref().filter(|vain| vain.until > now)?;
    Some(format!(
        "runners launched for this job ended without a job ({} in a row, last: {}); other jobs go \
         first, and the next is launched at {}",
        vain.ends, vain.last, vain.until
    ))
}

fn refused(state: &State, key: &ClassKey, _: &Pool, now: Time) -> Option<String> {
    let gate = state.refusals.get(&key.pool)?;
    let when = match &gate.probe {
        None => format!("{}, or when the job changes", when(gate, now)?),
        Some(_) => when(gate, now)?,
    };
    Some(format!("Nomad refused the dispatch: {}; {when}", gate.reason))
}

fn not_deposited(state: &State, key: &ClassKey, _: &Pool, now: Time) -> Option<String> {
    let gate = state.deposits.refused.get(&key.pool)?;
    Some(format!("credential not written: {}; {}", gate.reason, when(gate, now)?))
}

/// One that lives long enough is good whatever became of the question for the next.
fn without_credential(state: &State, key: &ClassKey, pool: &Pool, now: Time) -> Option<String> {
    if pool.delivery == Delivery::Claim {
        return None;
    }
    if pool.credential == CredentialKind::Jit {
        let gate = state.minting.get(&key.breaker())?;
        return Some(format!("no JIT configuration: {}; {}", gate.reason, when(gate, now)?));
    }
    let credential = state.credentials.get(&key.scope)?;
    let lives = credential.ends.is_some_and(|ends| ends >= now + pool.credential_life());
    if pool.delivery == Delivery::None || lives {
        return None;
    }
    match (&credential.failed, credential.minting) {
        (Some(gate), true) => {
            Some(format!("no registration token: {}; requesting another", gate.reason))
        }
        (Some(gate), false) => {
            Some(format!("no registration token: {}; {}", gate.reason, when(gate, now)?))
        }
        (None, true) => Some("waiting for a registration token".to_owned()),
        (None, false) => None,
    }
}

/// When the next try is. `None`: nothing but the caps keeps it from being made now.
fn when(gate: &Gate, now: Time) -> Option<String> {
    match &gate.probe {
        Some(name) => Some(format!("runner {name} is trying now")),
        None if gate.until > now => Some(format!("next try at {}", gate.until)),
        None => None,
    }
}

fn at_capacity(state: &State, key: &ClassKey, pool: &Pool) -> Why {
    let (word, why) = full(state, key, pool);
    let gives_way = Release::GivesWay.to_string();
    let goes = |runner: &Runner| {
        matches!(runner.state, RunnerState::Withdrawing(_))
            && runner.reason.as_deref() == Some(&gives_way)
    };
    match matches!(word, Word::PoolCap | Word::Capacity) && state.runners.values().any(goes) {
        true => (word, format!("{why}; a warm runner is being released for the jobs that wait")),
        false => (word, why),
    }
}

fn full(state: &State, key: &ClassKey, pool: &Pool) -> Why {
    let runners = &state.runners;
    if let (Some(cap), ScopeKey::Repository(_)) = (pool.max_runners_per_repository, &key.scope)
        && runners.alive_of_scope(&key.pool, &key.scope) >= cap as usize
    {
        let why = format!(
            "at capacity: the repository has {cap} runners of pool {} (max_runners_per_repository)",
            key.pool
        );
        return (Word::RepositoryCap, why);
    }
    if runners.alive_of_pool(&key.pool) >= pool.max_runners as usize {
        let why = format!(
            "at capacity: pool {} has {} runners (max_runners)",
            key.pool, pool.max_runners
        );
        return (Word::PoolCap, why);
    }
    if runners.alive() >= state.rules.max as usize {
        let why = format!("at capacity: {} runners are alive ([runners] max)", state.rules.max);
        return (Word::Capacity, why);
    }
    if state.only_robots_wait(key, pool) {
        let why = "bot jobs: the repository's bots have robots_per_repository runners while other jobs \
                   wait";
        return (Word::Robots, why.to_owned());
    }
    // Whoever could be launched has been, in the step that made room.
    (Word::Starting, "there is room, and a runner is about to be launched".to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::state::CredentialState;
    use crate::step::testing::{pool, report, repository, rules};
    use crate::{DeliveryId, Event, JobStatus, PoolName, RepositoryId, RunnerName, step};
    use rand::SeedableRng;

    const NOW: Time = Time(1_000_000);
    const LATER: Duration = Duration::from_secs(60);

    fn key() -> ClassKey {
        ClassKey {
            pool: PoolName::from("x64"),
            scope: ScopeKey::Repository(RepositoryId(1)),
            run: None,
        }
    }

    /// One job waits, and nothing keeps it from a runner.
    fn state() -> State {
        let mut state = State::new(rules(20, vec![pool("x64", &["linux"])]));
        let webhook = crate::event::Webhook {
            delivery: DeliveryId::from("one"),
            received_at: NOW,
            repository: repository(1, "octo/app"),
            report: Some(report(7, JobStatus::Queued)),
            past: None,
        };
        let mut rng = rand::rngs::StdRng::seed_from_u64(1);
        let _ = step::step(&mut state, Event::Webhook(Box::new(webhook)), NOW, &mut rng);
        let pool = state.rules.pools[0].clone();
        state.nomad.insert(state.rules.place_of(&pool), NomadState::Listed);
        let ends = Some(NOW + pool.credential_life());
        let credential = CredentialState { ends, ..CredentialState::default() };
        state.credentials.insert(key().scope, credential);
        state
    }

    fn gate(until: Time, probe: Option<&str>) -> Gate {
        let probe = probe.map(RunnerName::from);
        Gate { reason: "no such job".to_owned(), tries: 1, until, probe }
    }

    /// The breakers of the pool and of the scope.
    fn close(state: &mut State, until: Time) {
        for of in key().breakers() {
            let gate = Some(gate(until, None));
            state.breakers.insert(of, Breaker { ends: 3, gate, ..Breaker::default() });
        }
    }

    fn waits(state: &State) -> String {
        class_waits(state, &key(), NOW).unwrap()
    }

    #[test]
    fn a_paused_pool_names_no_time_but_its_own() {
        let mut state = state();
        close(&mut state, NOW + LATER);
        assert!(waits(&state).ends_with(&format!("next try at {}", NOW + LATER)));
        state.pauses.insert(key().pool, None);
        assert_eq!(waits(&state), "pool x64 is paused");
    }

    #[test]
    fn who_is_before_a_class_is_told_where_room_is_what_it_waits_for() {
        let mut state = state();
        assert_eq!(turn(&state, &key(), NOW), None, "nobody else waits");
        let of = |repository| ClassKey {
            scope: ScopeKey::Repository(RepositoryId(repository)),
            ..key()
        };
        for repository in [1, 2, 3, 4] {
            state.hungry.insert(of(repository));
        }
        state.rules.max = 0;
        let told = |state: &State| turn(state, &key(), NOW);
        state.turn = Some(of(3));
        assert_eq!(
            told(&state).unwrap(),
            "4 repositories or organizations take turns when there is room; 1 of them before octo/app"
        );
        state.turn = Some(of(1));
        assert!(told(&state).unwrap().ends_with("3 of them before octo/app"));
        state.turn = Some(of(4));
        assert_eq!(told(&state).unwrap(), "octo/app is next of the 4 that wait for room");
        state.pauses.insert(key().pool, None);
        assert_eq!(told(&state), None, "it does not wait for room");
    }

    #[test]
    fn a_time_that_has_passed_is_no_reason() {
        let mut state = state();
        for until in [NOW, Time(1)] {
            state.refusals.insert(key().pool, gate(until, None));
            close(&mut state, until);
            assert_eq!(waits(&state), "there is room, and a runner is about to be launched");
        }
        // What does keep it is told instead.
        state.rules.max = 0;
        assert!(waits(&state).starts_with("at capacity"), "{}", waits(&state));
    }

    #[test]
    fn while_one_tries_for_all_it_is_named_and_no_time_is() {
        let mut state = state();
        state.refusals.insert(key().pool, gate(Time(1), Some("roustabout-x64-1")));
        assert_eq!(
            waits(&state),
            "Nomad refused the dispatch: no such job; runner roustabout-x64-1 is trying now"
        );
        state.refusals.insert(key().pool, gate(NOW + LATER, None));
        assert!(waits(&state).ends_with(", or when the job changes"), "{}", waits(&state));
    }

    #[test]
    fn a_token_that_lives_long_enough_is_no_reason_whatever_became_of_the_next_one() {
        let mut state = state();
        let credential = state.credentials.get_mut(&key().scope).unwrap();
        credential.failed = Some(gate(NOW + LATER, None));
        assert!(!waits(&state).contains("token"), "{}", waits(&state));
        let credential = state.credentials.get_mut(&key().scope).unwrap();
        credential.ends = Some(NOW);
        assert!(waits(&state).contains("no such job; next try at "), "{}", waits(&state));
        state.credentials.get_mut(&key().scope).unwrap().minting = true;
        assert!(waits(&state).ends_with("; requesting another"), "{}", waits(&state));
    }
}
