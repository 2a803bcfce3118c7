//! Questions to GitHub about jobs: what became of a class's jobs when runners of it ended
//! unseen, and what one job's state is. Only GitHub ends a job; absence moves nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::Rng;

use super::Fold;
use super::job_events::Source;
use crate::ledger::class::Hold;
use crate::ledger::effect::RunJobs;
use crate::ledger::event::Answer;
use crate::ledger::state::Timer;
use crate::ledger::{
    ClassKey, JobId, JobReport, JobStatus, Request, RunId, RunnerName, Time, backoff,
};

/// GitHub ends jobs that wait "at least 24 h"; past that it is asked hourly.
const OLD: Duration = Duration::from_secs(24 * 3600);
const HOURLY: Duration = Duration::from_secs(3600);
/// How long after an answer a job that its runner left unfinished is asked about again.
const UNFINISHED: Duration = Duration::from_secs(600);

impl<R: Rng> Fold<'_, R> {
    /// A runner of the class ended without a job: before anybody new is hired GitHub says
    /// what became of the jobs.
    pub(super) fn ask_before_hiring(&mut self, key: &ClassKey, ended: Option<&RunnerName>) {
        let class = self.state.classes.entry(key.clone()).or_default();
        class.unaccounted.extend(ended.cloned());
        if !matches!(class.hold, Some(Hold::Asking { .. })) {
            class.hold = Some(Hold::Asking { sent: false });
        }
        self.touch(key);
        self.ask_class(key);
    }

    pub(super) fn is_unaccounted(&self, name: &RunnerName) -> bool {
        let runner = self.state.runners.get(name);
        let class = runner.and_then(|runner| self.state.classes.get(&runner.class));
        class.is_some_and(|class| class.unaccounted.contains(name))
    }

    /// Sends the question of a class that is on hold for one.
    pub(super) fn ask_class(&mut self, key: &ClassKey) {
        let Some(class) = self.state.classes.get(key) else { return };
        if class.hold != Some(Hold::Asking { sent: false }) {
            return;
        }
        let names: Vec<RunnerName> = class.unaccounted.iter().cloned().collect();
        // First the runs of the jobs that these runners were hired for: most likely theirs.
        let causes = names.iter().filter_map(|name| self.state.runners.get(name)?.cause);
        let runs = self.runs_of(causes.chain(class.waiting.iter().copied()));
        if runs.is_empty() {
            self.set_hold(key, None);
            self.account_for(key, names);
            return;
        }
        self.set_hold(key, Some(Hold::Asking { sent: true }));
        self.request(Request::AskJobs { class: key.clone(), runs, names });
    }

    /// These jobs by their runs, in the order of their first mention.
    pub(super) fn runs_of(&self, jobs: impl Iterator<Item = JobId>) -> Vec<RunJobs> {
        let mut order: Vec<RunId> = Vec::new();
        let mut runs: BTreeMap<RunId, RunJobs> = BTreeMap::new();
        for id in jobs {
            let Some(job) = self.state.known_job(id) else { continue };
            let run = job.report.run;
            let entry = runs.entry(run).or_insert_with(|| {
                order.push(run);
                RunJobs { full_name: job.repository_name.clone(), run, jobs: Vec::new() }
            });
            if !entry.jobs.contains(&id) {
                entry.jobs.push(id);
            }
        }
        order.iter().filter_map(|run| runs.remove(run)).collect()
    }

    pub(super) fn jobs_seen(
        &mut self,
        key: ClassKey,
        names: Vec<RunnerName>,
        answer: Answer<Vec<JobReport>>,
    ) {
        let Some(class) = self.state.classes.get_mut(&key) else { return };
        let reports = match answer {
            Ok(reports) => reports,
            Err(failure) => {
                class.hold = Some(Hold::Asking { sent: false });
                class.asks_failed += 1;
                let wait = self.now + backoff(class.asks_failed - 1, self.rng);
                let at = failure.retry_at.map_or(wait, |at| at.max(self.now));
                self.set_timer(at, Timer::Class(key.clone()));
                self.touch(&key);
                return;
            }
        };
        class.asks_failed = 0;
        for report in reports {
            let sibling = self.state.by_run.get(&report.run).and_then(|ids| ids.first());
            let repository = self
                .state
                .known_job(report.id)
                .or_else(|| sibling.and_then(|id| self.state.jobs.get(id)))
                .map(|job| job.repository);
            if let Some(repository) = repository {
                self.fold_report(report, repository, Source::Asked, None);
            }
        }
        let Some(class) = self.state.classes.get(&key) else { return };
        let unseen: Vec<RunnerName> =
            names.into_iter().filter(|name| class.unaccounted.contains(name)).collect();
        let others = class.unaccounted.len() > unseen.len();
        if !unseen.is_empty() && !class.waiting.is_empty() {
            let wait = self.wait_before_replacing(&key);
            let until = self.now + wait;
            self.set_hold(&key, Some(Hold::Until(until)));
            self.set_timer(until, Timer::Class(key.clone()));
            if let Some(class) = self.state.classes.get_mut(&key) {
                class.ended_unseen += 1;
            }
        } else {
            self.set_hold(&key, None);
        }
        self.account_for(&key, unseen);
        if others {
            // Some ended while the question was under way.
            self.set_hold(&key, Some(Hold::Asking { sent: false }));
            self.ask_class(&key);
        }
    }

    fn wait_before_replacing(&mut self, key: &ClassKey) -> Duration {
        let Some(class) = self.state.classes.get(key) else { return Duration::ZERO };
        let received = |id: &JobId| self.state.jobs.get(id).map(|job| job.received_at);
        let youngest: Option<Time> = class.waiting.iter().filter_map(received).max();
        if youngest.is_some_and(|at| self.now.since(at) > OLD) {
            return HOURLY;
        }
        backoff(class.ended_unseen, self.rng)
    }

    /// No job names these: whatever they left at GitHub is cleared away.
    fn account_for(&mut self, key: &ClassKey, names: Vec<RunnerName>) {
        for name in names {
            if let Some(class) = self.state.classes.get_mut(key) {
                class.unaccounted.remove(&name);
            }
            match self.state.runners.get(&name) {
                Some(runner) if runner.nameless => {
                    let reason = runner.reason.clone().unwrap_or_else(|| "ended".to_owned());
                    self.end_runner(&name, &reason);
                }
                _ => self.drive(&name),
            }
        }
    }

    pub(super) fn class_timer(&mut self, key: &ClassKey) {
        let Some(class) = self.state.classes.get(key) else { return };
        match class.hold {
            Some(Hold::Asking { sent: false }) => self.ask_class(key),
            Some(Hold::Until(at)) if at <= self.now => self.set_hold(key, None),
            _ => {}
        }
    }

    pub(super) fn ask_job(&mut self, id: JobId) {
        if let Some(job) = self.state.jobs.get(&id) {
            let request = Request::AskJob { full_name: job.repository_name.clone(), job: id };
            self.request(request);
        }
    }

    pub(super) fn job_seen(&mut self, id: JobId, answer: Answer<Option<JobReport>>) {
        let Some(job) = self.state.jobs.get(&id) else { return };
        let repository = job.repository;
        match answer {
            Ok(Some(report)) => {
                let unfinished = report.status == JobStatus::InProgress;
                self.fold_report(report, repository, Source::Asked, None);
                if unfinished && self.runner_has_ended(id) {
                    self.set_timer(self.now + UNFINISHED, Timer::Job(id));
                }
            }
            // Deleted with its run: it will never be heard of again.
            Ok(None) => {
                let mut report = job.report.clone();
                report.status = JobStatus::Completed;
                report.conclusion = Some("unknown to GitHub".to_owned());
                self.fold_report(report, repository, Source::Asked, None);
            }
            Err(failure) => {
                let wait = self.now + backoff(1, self.rng);
                let at = failure.retry_at.map_or(wait, |at| at.max(wait));
                self.set_timer(at, Timer::Job(id));
            }
        }
    }

    /// Whether a job is at work with a runner that is not there any more.
    fn runner_has_ended(&self, id: JobId) -> bool {
        self.state.jobs.get(&id).is_some_and(|job| {
            let name = job.report.runner_name.as_deref().map(RunnerName::from);
            name.is_some_and(|name| {
                let ours = crate::ledger::runner_name::pool_of(
                    &self.state.rules.name_prefix,
                    name.as_str(),
                );
                ours.is_some() && !self.state.runners.contains_key(&name)
            })
        })
    }
}
