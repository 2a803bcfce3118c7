//! What the status page lists: the jobs that have waited longest and those that run, beside what
//! `status` says. As many as a page or a terminal shows, with how many there are.

use std::collections::{BTreeMap, BinaryHeap};

use super::views::{self, StatusView};
use crate::ledger::{Job, JobId, JobStatus, Runner, RunnerName, State, Time};

#[derive(Debug)]
pub struct Overview {
    pub now: Time,
    pub status: StatusView,
    /// For a runner, or for an answer about their policy; those that have waited longest.
    pub waiting: Few,
    /// On a runner; the newest.
    pub running: Few,
    /// What GitHub holds back: an approval, or a concurrency group.
    pub held: Few,
    /// How many are not gone.
    pub runners: usize,
}

/// Some jobs of all that there are.
#[derive(Debug, Default)]
pub struct Few {
    pub jobs: Vec<OpenJob>,
    pub total: usize,
}

#[derive(Debug)]
pub struct OpenJob {
    pub id: JobId,
    pub name: String,
    pub repository: String,
    pub branch: Option<String>,
    pub pool: Option<String>,
    /// When it was received.
    pub since: Time,
    /// When it began, where that was told.
    pub began: Option<Time>,
    pub reason: Option<String>,
    /// Which took it, or was launched for it.
    pub runner: Option<String>,
    /// And how far that is.
    pub runner_state: Option<&'static str>,
    pub placed: bool,
}

/// Of each list at most `limit`.
pub fn overview(state: &State, now: Time, degraded: Vec<String>, limit: usize) -> Overview {
    let [mut waiting, mut running, mut held] = [const { First::new() }; 3];
    let status = views::status_and_each_job(state, now, degraded, |job| {
        if job.pool.is_none() {
            return;
        }
        let received = job.received_at.0;
        match job.report.status {
            JobStatus::Queued if job.is_demand() || job.awaits_verdict() => {
                waiting.see(job, received, limit);
            }
            JobStatus::InProgress => running.see(job, -received, limit),
            JobStatus::Waiting => held.see(job, received, limit),
            _ => {}
        }
    });
    let for_whom = state.runners.values().filter(|runner| runner.is_supply());
    let runners: BTreeMap<JobId, &Runner> =
        for_whom.filter_map(|runner| Some((runner.cause?, runner))).collect();
    let mut waiting = waiting.in_order(state);
    let ids: Vec<JobId> = waiting.jobs.iter().map(|job| job.id).collect();
    let mut reasons = views::reasons(state, &ids, now);
    for job in &mut waiting.jobs {
        job.reason = reasons.remove(&job.id);
        job.runs_on(runners.get(&job.id).copied());
    }
    let mut running = running.in_order(state);
    for job in &mut running.jobs {
        let name = job.runner.as_deref().map(RunnerName::from);
        job.runs_on(name.and_then(|name| state.runners.get(&name)));
    }
    let (held, runners) = (held.in_order(state), state.runners.values().count());
    Overview { now, status, waiting, running, held, runners }
}

impl OpenJob {
    fn runs_on(&mut self, runner: Option<&Runner>) {
        let Some(runner) = runner else { return };
        self.runner = Some(runner.name.0.clone());
        self.runner_state = Some(runner.phase());
        self.placed = runner.placed_at.is_some();
    }
}

/// Those that come first, of any number that are seen.
struct First {
    total: usize,
    /// The last of them on top.
    kept: BinaryHeap<(i64, JobId)>,
}

impl First {
    const fn new() -> Self {
        Self { total: 0, kept: BinaryHeap::new() }
    }

    fn see(&mut self, job: &Job, order: i64, limit: usize) {
        self.total += 1;
        let key = (order, job.id());
        if self.kept.len() < limit {
            self.kept.push(key);
        } else if let Some(mut last) = self.kept.peek_mut().filter(|last| key < **last) {
            *last = key;
        }
    }

    fn in_order(self, state: &State) -> Few {
        let ids = self.kept.into_sorted_vec();
        let jobs = ids.iter().filter_map(|(_, id)| state.jobs.get(id));
        Few { jobs: jobs.map(open_job).collect(), total: self.total }
    }
}

fn open_job(job: &Job) -> OpenJob {
    let report = &job.report;
    OpenJob {
        id: job.id(),
        name: report.name.clone(),
        repository: job.repository_name.clone(),
        branch: report.head_branch.clone(),
        pool: job.pool.as_ref().map(|pool| pool.0.clone()),
        since: job.received_at,
        began: report.details.as_ref().and_then(|details| details.started_at),
        reason: job.verdict.reason(),
        runner: report.runner_name.clone(),
        runner_state: None,
        placed: false,
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::ledger::event::Webhook;
    use crate::ledger::step::testing::{pool, report, repository, rules};
    use crate::ledger::{DeliveryId, Event, step};

    #[test]
    fn the_longest_waiting_come_first_and_all_are_counted() {
        let mut state = State::new(rules(2, vec![pool("x64", &["linux"])]));
        let mut rng = StdRng::seed_from_u64(1);
        let mut tell = |job: u64, status, now| {
            let webhook = Event::Webhook(Box::new(Webhook {
                delivery: DeliveryId::from(format!("{job}-{status:?}").as_str()),
                received_at: now,
                repository: repository(1, "octo/app"),
                report: Some(report(job, status)),
                past: None,
            }));
            let _ = step(&mut state, webhook, now, &mut rng);
        };
        for job in 0..7 {
            tell(100 - job, JobStatus::Queued, Time(1_000 + job.cast_signed()));
        }
        tell(7, JobStatus::InProgress, Time(2_000));
        let seen = overview(&state, Time(61_000), Vec::new(), 3);
        let ids = |few: &Few| few.jobs.iter().map(|job| job.id.0).collect::<Vec<_>>();
        assert_eq!((ids(&seen.waiting), seen.waiting.total), (vec![100, 99, 98], 7));
        assert_eq!((ids(&seen.running), seen.running.total), (vec![7], 1));
        assert_eq!(seen.held.total, 0);
        assert!(seen.waiting.jobs.iter().all(|job| job.reason.is_some()), "and why");
        assert_eq!(seen.status.pools[0].waiting, 7);
    }
}
