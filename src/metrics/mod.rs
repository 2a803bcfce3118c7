//! What is counted and timed while the daemon runs, for `/metrics`. Counting is all it does: nothing is
//! decided by it, and no label is a text that strangers choose.
//!
//! What can be asked for at any time (runners, waiting jobs) is not kept here; `admin::metrics` puts
//! both together. Read next: `exposition`.

mod exposition;
mod histogram;
mod operation;
mod process;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use exposition::{Exposition, Format, Kind};
pub use histogram::Histogram;
pub use process::write as write_process;

use crate::ledger::{Gone, Happened, Happening, Job, JobStatus, PoolName, Time};

/// Of requests and of commits: 0.25 ms to 10 s.
pub const QUICK: &[f64] = &[
    0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Of jobs: a second to six hours.
const SLOW: &[f64] = &[
    0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0,
    7200.0, 21600.0,
];

/// Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Mutex<Counted>>);

#[derive(Debug, Default)]
struct Counted {
    webhooks: Option<Histogram>,
    /// By pool, and how far the job has come.
    waits: BTreeMap<(PoolName, &'static str), Histogram>,
    /// By pool and conclusion.
    durations: BTreeMap<(PoolName, &'static str), Histogram>,
    /// By pool, and how the runners ended.
    ended: BTreeMap<(PoolName, &'static str), u64>,
    /// By pool and outcome.
    dispatches: BTreeMap<(PoolName, &'static str), u64>,
    /// By whom, operation and status.
    requests: BTreeMap<(Peer, String, String), u64>,
}

/// Whom a request went to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// GitHub, or a Gitea in its place.
    Forge,
    Nomad,
    Vault,
}

impl Metrics {
    /// A request to the public door was answered after this time.
    pub fn webhook(&self, took: Duration) {
        self.lock().webhooks.get_or_insert_with(|| Histogram::of(QUICK)).observe(took);
    }

    /// A request went out, and to whom; `None`: there was no answer.
    pub fn request(&self, method: &str, path: &str, status: Option<u16>) -> Peer {
        let (peer, operation) = operation::of(method, path);
        let status = status.map_or_else(|| "error".to_owned(), |status| status.to_string());
        *self.lock().requests.entry((peer, operation, status)).or_default() += 1;
        peer
    }

    /// Something happened; `job` is the one it is about, where it is known.
    pub fn happened(&self, happening: &Happening, job: Option<&Job>, now: Time) {
        let pool = happening.about.pool.as_ref().or(job.and_then(|job| job.pool.as_ref()));
        let Some(pool) = pool else { return };
        if let Some((phase, job)) = phase(&happening.what).zip(job) {
            self.waited(pool, phase, job, now);
        }
        match &happening.what {
            Happened::JobStatus { status: JobStatus::Completed, conclusion, .. } => {
                self.ended(pool, job, conclusion.as_deref());
            }
            Happened::RunnerGone { how } => {
                *self.lock().ended.entry((pool.clone(), end(how))).or_default() += 1;
            }
            Happened::RunnerDispatched { .. } => self.dispatch(pool, "dispatched"),
            Happened::DispatchRefused { .. } => self.dispatch(pool, "refused"),
            Happened::DispatchUnknown { .. } => self.dispatch(pool, "unknown"),
            _ => {}
        }
    }

    fn waited(&self, pool: &PoolName, phase: &'static str, job: &Job, now: Time) {
        // Of a job that was never said to be queued at a time, nothing can be said.
        let Some(since) = job.report.created_at else { return };
        let began = job.report.details.as_ref().and_then(|details| details.started_at);
        let at = began.filter(|_| phase == "running").unwrap_or(now);
        let mut counted = self.lock();
        let waits = counted.waits.entry((pool.clone(), phase));
        waits.or_insert_with(|| Histogram::of(SLOW)).observe(at.since(since));
    }

    fn ended(&self, pool: &PoolName, job: Option<&Job>, conclusion: Option<&str>) {
        let details = job.and_then(|job| job.report.details.as_ref());
        let Some((began, ended)) =
            details.and_then(|details| details.started_at.zip(details.completed_at))
        else {
            return;
        };
        let mut counted = self.lock();
        let durations = counted.durations.entry((pool.clone(), known_conclusion(conclusion)));
        durations.or_insert_with(|| Histogram::of(SLOW)).observe(ended.since(began));
    }

    fn dispatch(&self, pool: &PoolName, outcome: &'static str) {
        *self.lock().dispatches.entry((pool.clone(), outcome)).or_default() += 1;
    }

    /// Everything that is counted here.
    pub fn write(&self, to: &mut Exposition) {
        let counted = self.lock();
        to.family(
            "roustabout_webhook_duration_seconds",
            Kind::Histogram,
            "Time to answer a request at the public door.",
        );
        counted.webhooks.iter().for_each(|times| to.histogram(&[], times));
        to.family(
            "roustabout_job_wait_seconds",
            Kind::Histogram,
            "Time since the forge queued a job, when it reached this phase.",
        );
        for ((pool, phase), times) in &counted.waits {
            to.histogram(&[("pool", pool.as_str()), ("phase", phase)], times);
        }
        to.family(
            "roustabout_job_duration_seconds",
            Kind::Histogram,
            "Time from a job's start to its end, as the forge says.",
        );
        for ((pool, conclusion), times) in &counted.durations {
            to.histogram(&[("pool", pool.as_str()), ("conclusion", conclusion)], times);
        }
        to.family("roustabout_runners_ended", Kind::Counter, "Runners that ended, by how.");
        for ((pool, end), count) in &counted.ended {
            to.counter(&[("pool", pool.as_str()), ("end", end)], *count);
        }
        to.family("roustabout_dispatches", Kind::Counter, "Dispatches to Nomad, by outcome.");
        for ((pool, outcome), count) in &counted.dispatches {
            to.counter(&[("pool", pool.as_str()), ("outcome", outcome)], *count);
        }
        let requests = [
            (Peer::Forge, "roustabout_github_requests", "Requests to GitHub, or to Gitea."),
            (Peer::Nomad, "roustabout_nomad_requests", "Requests to Nomad."),
            (Peer::Vault, "roustabout_vault_requests", "Requests to Vault."),
        ];
        for (peer, name, help) in requests {
            to.family(name, Kind::Counter, help);
            let its = counted.requests.iter().filter(|((to, ..), _)| *to == peer);
            for ((_, operation, status), count) in its {
                to.counter(&[("operation", operation), ("status", status)], *count);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        // A count has no state that a panic could leave half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far a job has come by what happened.
fn phase(what: &Happened) -> Option<&'static str> {
    Some(match what {
        Happened::JobStatus { status: JobStatus::Queued, .. } => "received",
        Happened::JobStatus { status: JobStatus::InProgress, .. } => "running",
        Happened::RunnerDispatched { .. } => "dispatched",
        Happened::RunnerPlaced => "placed",
        Happened::RunnerRegistered => "registered",
        _ => return None,
    })
}

/// A closed set: what the forge may say in future is `other`.
fn known_conclusion(conclusion: Option<&str>) -> &'static str {
    const KNOWN: [&str; 8] = [
        "success",
        "failure",
        "cancelled",
        "skipped",
        "timed_out",
        "neutral",
        "action_required",
        "startup_failure",
    ];
    let known = KNOWN.into_iter().find(|known| Some(*known) == conclusion);
    known.unwrap_or("other")
}

fn end(how: &Gone) -> &'static str {
    match how {
        Gone::JobDone => "job_done",
        Gone::ChildEnded { .. } if how.is_usual() => "job_done",
        Gone::ChildEnded { .. } => "child_failed",
        Gone::EndedAtWork => "ended_at_work",
        Gone::ClearedAway => "cleared_away",
        Gone::NothingLeft { .. } | Gone::UnknownToBoth { .. } => "unknown",
        Gone::Released
        | Gone::ReleasedBeforePlacement
        | Gone::NotNeeded
        | Gone::NotNeededBeforeDispatch => "released",
        Gone::NeverDispatched | Gone::NeverDispatchedPoolRemoved => "never_dispatched",
        Gone::OutcomeUnknown => "outcome_unknown",
        Gone::Removed { .. } => "removed_by_forge",
        Gone::NotSent { .. } | Gone::TooLarge { .. } => "dispatch_refused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::About;
    use crate::ledger::step::testing;

    fn written(metrics: &Metrics) -> String {
        let mut to = Exposition::new(Format::Prometheus);
        metrics.write(&mut to);
        to.finish()
    }

    #[test]
    fn a_job_is_timed_from_when_the_forge_queued_it() {
        let metrics = Metrics::default();
        let mut report = testing::report(7, JobStatus::Queued);
        report.created_at = Some(Time(1_000));
        let job = Job { pool: Some(PoolName::from("x64")), ..testing::job(report) };
        let about = About { job: Some(job.id()), ..About::default() };
        let placed = Happened::RunnerPlaced.about(about);
        metrics.happened(&placed, Some(&job), Time(46_000));
        metrics.happened(&placed, None, Time(46_000));
        let text = written(&metrics);
        let line = |le: &str, count: u32| {
            format!(
                "roustabout_job_wait_seconds_bucket{{pool=\"x64\",phase=\"placed\",le=\"{le}\"}} {count}\n"
            )
        };
        assert!(text.contains(&line("30", 0)), "{text}");
        assert!(text.contains(&line("60", 1)), "{text}");
        assert!(text.contains("_sum{pool=\"x64\",phase=\"placed\"} 45\n"), "{text}");
    }

    #[test]
    fn what_a_forge_may_say_in_future_is_no_new_label() {
        assert_eq!(known_conclusion(Some("timed_out")), "timed_out");
        assert_eq!(known_conclusion(Some("a\nlabel of strangers")), "other");
        assert_eq!(known_conclusion(None), "other");
    }
}
