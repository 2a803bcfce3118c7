//! The ledger as people ask for it: pools with demand and supply, capacity, who waits longest.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::Known;
use crate::ledger::{Breaker, Job, JobId, PoolName, ScopeKey, State, Time, why};

#[derive(Debug, Serialize)]
pub struct StatusView {
    /// When it was so.
    pub at: Time,
    pub capacity: Capacity,
    pub pools: Vec<PoolView>,
    /// The job that has waited longest, for a runner or for an answer about its policy.
    pub oldest_waiting: Option<Oldest>,
    /// Jobs that wait although no pool has them.
    pub unserved: UnservedView,
    /// `"who: why"`, for each part that is in trouble.
    pub degraded: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct Capacity {
    pub alive: usize,
    pub max: u32,
}

/// The table of `status` has the same words.
#[derive(Debug, Serialize)]
pub struct PoolView {
    pub name: String,
    pub nomad_job: String,
    pub labels: Vec<String>,
    /// Jobs that wait: for a runner, or for an answer that says whether they get one.
    pub waiting: usize,
    /// Of these, the jobs that wait for a runner.
    pub demand: usize,
    /// Runners that are launched, or about to be, and not yet busy.
    pub supply: usize,
    pub busy: usize,
    /// What takes up room.
    pub alive: usize,
    pub max_runners: u32,
    /// No runner is launched for it,
    pub paused: bool,
    /// and until when, if that was said.
    pub paused_until: Option<String>,
    /// Why jobs wait, one line for each reason, the most frequent first.
    pub waiting_for: Vec<String>,
    /// How many wait for each kind of reason, in short words.
    pub waiting_by_reason: BTreeMap<&'static str, usize>,
    /// Seconds, of the job that has waited longest.
    pub oldest_waiting: Option<u64>,
    /// How many are in each state.
    pub runners: BTreeMap<&'static str, usize>,
    /// Runners of several scopes ended without a job, and one at a time is launched.
    pub breaker_open: bool,
    /// How many idle runners `[[pools.warm]]` asks for now,
    pub warm_asked: usize,
    /// and how many are registered, with no job that waits for them.
    pub warm_idle: usize,
}

#[derive(Debug, Serialize)]
pub struct Oldest {
    pub job: JobId,
    pub repository: String,
    /// Seconds since the forge queued it.
    pub waits: u64,
    pub reason: Option<String>,
}

/// Lines of one pool: each repository can have its own.
const MOST_REASONS: usize = 20;

pub fn status(state: &State, now: Time, degraded: Vec<String>) -> StatusView {
    status_and_each_job(state, now, degraded, |_| {})
}

/// There may be many open jobs, and webhooks wait meanwhile: each is looked at once, and handed out.
pub fn status_and_each_job<'a>(
    state: &'a State,
    now: Time,
    mut degraded: Vec<String>,
    mut each: impl FnMut(&'a Job),
) -> StatusView {
    let config = state.former_names().into_iter().map(|(_, what)| format!("config: {what}"));
    degraded.extend(config);
    degraded.extend(state.not_warmed().into_iter().map(|what| format!("config: {what}")));
    degraded.extend(state.short_of_warm(now).into_iter().map(|what| format!("warm: {what}")));
    let mut waiting: BTreeMap<&PoolName, Waiting> = BTreeMap::new();
    for (key, class) in state.classes.iter().filter(|(_, class)| !class.waiting.is_empty()) {
        let pool = waiting.entry(&key.pool).or_default();
        pool.demand += class.waiting.len();
        if let Some(word) = why::class_word(state, key, now) {
            *pool.words.entry(word.as_str()).or_default() += class.waiting.len();
        }
        if let Some(why) = why::class_waits(state, key, now) {
            *pool.reasons.entry(why).or_default() += class.waiting.len();
        }
    }
    let mut oldest: Option<&Job> = None;
    for job in state.jobs.values() {
        each(job);
        // Those that are demand were counted in their classes.
        let (demand, asks) = (job.is_demand(), job.awaits_verdict());
        let Some(pool) = job.pool.as_ref().filter(|_| demand || asks) else { continue };
        if oldest.is_none_or(|oldest| job.queued_at() < oldest.queued_at()) {
            oldest = Some(job);
        }
        let pool = waiting.entry(pool).or_default();
        pool.oldest =
            Some(pool.oldest.map_or(job.queued_at(), |oldest| oldest.min(job.queued_at())));
        if !asks {
            continue;
        }
        pool.asking += 1;
        *pool.words.entry(why::Word::Policy.as_str()).or_default() += 1;
        if let Some(why) = why::verdict_waits(state, job, now) {
            *pool.reasons.entry(why).or_default() += 1;
        }
    }
    let pools = state.rules.pools.iter().map(|pool| {
        let runners = || state.runners.values().filter(|r| r.class.pool == pool.name);
        let mut waits = waiting.remove(&pool.name).unwrap_or_default();
        let pause = state.pauses.get(&pool.name);
        let warm = state.warm_supply(&pool.name);
        PoolView {
            name: pool.name.0.clone(),
            nomad_job: pool.nomad_job.clone(),
            labels: pool.labels.clone(),
            waiting: waits.demand + waits.asking,
            demand: waits.demand,
            supply: runners().filter(|r| r.is_supply()).count(),
            busy: runners().filter(|r| r.phase() == "busy").count(),
            alive: runners().filter(|r| r.is_alive()).count(),
            max_runners: pool.max_runners,
            paused: pause.is_some(),
            paused_until: pause.and_then(|until| until.map(|at| at.to_string())),
            waiting_by_reason: std::mem::take(&mut waits.words),
            oldest_waiting: waits.oldest.map(|since| now.since(since).as_secs()),
            runners: runners().fold(BTreeMap::new(), |mut states, runner| {
                *states.entry(runner.phase()).or_default() += 1;
                states
            }),
            breaker_open: state.breaker(&pool.name, None).is_some_and(Breaker::is_open),
            warm_asked: warm.asked,
            warm_idle: warm.idle,
            waiting_for: waits.lines(),
        }
    });
    StatusView {
        at: now,
        capacity: Capacity { alive: state.runners.alive(), max: state.rules.max },
        pools: pools.collect(),
        oldest_waiting: oldest.map(|job| told(state, job, now)),
        unserved: unserved(state, now),
        degraded,
    }
}

#[derive(Debug, Serialize)]
pub struct UnservedView {
    pub jobs: usize,
    /// There may be more than `jobs` says.
    pub more: bool,
    pub newest: Option<NewestUnserved>,
}

#[derive(Debug, Serialize)]
pub struct NewestUnserved {
    pub job: JobId,
    pub repository: String,
    pub reason: String,
}

fn unserved(state: &State, now: Time) -> UnservedView {
    let unserved = &state.unserved;
    UnservedView {
        jobs: unserved.jobs(now).count(),
        more: unserved.may_be_more(),
        newest: unserved.jobs(now).max_by_key(|(id, job)| (job.since, *id)).map(|(id, job)| {
            NewestUnserved {
                job: id,
                repository: job.repository.clone(),
                reason: job.reason.clone(),
            }
        }),
    }
}

/// Of one pool.
#[derive(Default)]
struct Waiting {
    demand: usize,
    asking: usize,
    /// And how many jobs wait for each.
    reasons: BTreeMap<String, usize>,
    words: BTreeMap<&'static str, usize>,
    oldest: Option<Time>,
}

impl Waiting {
    fn lines(self) -> Vec<String> {
        let mut reasons: Vec<_> = self.reasons.into_iter().collect();
        // Stable: those of as many jobs stay in the order of their words.
        reasons.sort_by_key(|(_, jobs)| std::cmp::Reverse(*jobs));
        let more = reasons.len().saturating_sub(MOST_REASONS);
        let mut lines: Vec<String> =
            reasons.into_iter().take(MOST_REASONS).map(|(why, _)| why).collect();
        if more > 0 {
            lines.push(format!("and {more} more reasons"));
        }
        lines
    }
}

fn told(state: &State, job: &Job, now: Time) -> Oldest {
    Oldest {
        job: job.id(),
        repository: job.repository_name.clone(),
        waits: now.since(job.queued_at()).as_secs(),
        reason: match job.awaits_verdict() {
            true => why::verdict_waits(state, job, now),
            false => state.class_of(job).and_then(|key| why::job_waits(state, &key, job, now)),
        },
    }
}

/// Why each of these jobs that is demand waits. A class is looked at once, however many of them it has.
pub fn reasons(state: &State, jobs: &[JobId], now: Time) -> BTreeMap<JobId, String> {
    let mut of_class = BTreeMap::new();
    let reason = |id: &JobId| {
        let job = state.jobs.get(id)?;
        if job.awaits_verdict() {
            return Some((*id, why::verdict_waits(state, job, now)?));
        }
        let key = state.class_of(job)?;
        if !state.classes.get(&key)?.waiting.contains(id) {
            return None;
        }
        if job.is_held(now) {
            return Some((*id, why::job_waits(state, &key, job, now)?));
        }
        let why = of_class.entry(key).or_insert_with_key(|key| why::class_waits(state, key, now));
        Some((*id, why.clone()?))
    };
    jobs.iter().filter_map(reason).collect()
}

/// Whose turn it is before the job's, where it waits for room.
pub fn turn(state: &State, job: JobId, now: Time) -> Option<String> {
    let job = state.jobs.get(&job).filter(|job| job.is_demand() && !job.is_held(now))?;
    why::turn(state, &state.class_of(job)?, now)
}

/// How long a repository is looked at often after a job of it ended.
pub const LATELY: Duration = Duration::from_secs(24 * 3600);

/// What the sweeps need to know. A job may come and go between two of them.
pub fn known(state: &State, now: Time) -> Known {
    let ended = state.lately_ended();
    let ended = ended.filter(|job| job.ended_at.is_some_and(|at| now.since(at) < LATELY));
    let ended = ended.map(|job| &job.repository);
    let jobs = state.by_repository.keys().chain(ended);
    let jobs = jobs.filter_map(|id| state.repositories.get(id));
    let runners = state.runners.values().filter_map(|runner| match runner.class.scope {
        ScopeKey::Repository(id) => state.repositories.get(&id),
        ScopeKey::Organization(_) => None,
    });
    Known {
        repositories: jobs.chain(runners).map(|repository| repository.full_name.clone()).collect(),
        children: state.runners.values().filter_map(|runner| runner.child.clone()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::ledger::event::Webhook;
    use crate::ledger::step::testing::{pool, report, repository, rules};
    use crate::ledger::{DeliveryId, Event, JobStatus, step};

    /// However short it was: the sweeps look once a minute.
    #[test]
    fn the_repository_of_a_job_that_came_and_went_is_known_for_a_day() {
        let mut state = State::new(rules(20, vec![pool("x64", &["linux"])]));
        let mut rng = StdRng::seed_from_u64(1);
        let now = Time(1_000_000);
        for (id, status) in [("one", JobStatus::Queued), ("two", JobStatus::Completed)] {
            let webhook = Event::Webhook(Box::new(Webhook {
                delivery: DeliveryId::from(id),
                received_at: now,
                repository: repository(1, "octo/app"),
                report: Some(report(7, status)),
                past: None,
            }));
            let _ = step(&mut state, webhook, now, &mut rng);
        }
        assert!(state.by_repository.is_empty(), "nothing is open");
        assert!(known(&state, now).repositories.contains("octo/app"));
        assert!(known(&state, now + LATELY).repositories.is_empty());
    }

    #[test]
    fn a_job_has_waited_since_the_forge_queued_it_however_late_it_was_found() {
        let mut state = State::new(rules(20, vec![pool("x64", &["linux"])]));
        let mut rng = StdRng::seed_from_u64(1);
        let found = Time(1_000_000);
        let mut report = report(7, JobStatus::Queued);
        report.created_at = Some(Time(400_000));
        let webhook = Event::Webhook(Box::new(Webhook {
            delivery: DeliveryId::from("late"),
            received_at: found,
            repository: repository(1, "octo/app"),
            report: Some(report),
            past: None,
        }));
        let _ = step(&mut state, webhook, found, &mut rng);
        let view = status(&state, found, Vec::new());
        assert_eq!(view.oldest_waiting.map(|oldest| oldest.waits), Some(600));
        assert_eq!(view.pools[0].oldest_waiting, Some(600));
    }
}
