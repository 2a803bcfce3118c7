//! Questions to GitHub about jobs: what became of a class's jobs when runners of it ended
//! unseen, and what one job's state is. Only GitHub ends a job; absence moves nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::Rng;

use super::job_events::Source;
use super::{ASK_AFTER_END, Fold, when_to_retry};
use crate::class::Hold;
use crate::effect::{Registration, RunJobs};
use crate::event::{Answer, Failure, JobsOfRuns};
use crate::state::Timer;
use crate::{
    ClassKey, Gone, Happened, JobId, JobReport, JobStatus, RepositoryId, Request, RunId, Runner,
    RunnerName, ScopeKey, Time, work,
};

/// A job that GitHub does not know so long after its first news is gone.
const KNOWN_BY_THEN: Duration = Duration::from_secs(600);
/// How long after an answer a job that its runner left unfinished is asked about again.
const UNFINISHED: Duration = Duration::from_secs(600);
/// How many runs and how many jobs one question is about, at most. Of the rest nobody knows more
/// than before; the next sweep tells.
const RUNS_A_QUESTION: usize = 30;
const JOBS_A_QUESTION: usize = 256;
/// How many jobs that an answer lacks are asked for by id at once; the next sweep tells the rest.
const BY_ID_AT_ONCE: usize = 10;

impl<R: Rng> Fold<'_, R> {
    /// A runner of the class ended without a job: before anybody new is hired GitHub says
    /// what became of the jobs.
    pub(super) fn ask_before_hiring(&mut self, key: &ClassKey, ended: Option<&RunnerName>) {
        let class = self.state.classes.entry(key.clone()).or_default();
        if let Some(name) = ended {
            class.unaccounted.insert(name.clone());
        }
        if !matches!(class.hold, Some(Hold::Asking { .. })) {
            class.hold = Some(Hold::Asking { sent: false });
        }
        self.touch(key);
        self.asks.insert(key.clone());
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
        let (is_warm, idle) = (self.is_warm(key), runs.is_empty());
        let ended = names.iter().filter_map(|name| self.state.runners.get(name));
        // An idle one may have ended because the forge removed it, or done a job of which no news
        // has come: either way nothing of it is left there.
        let registrations = ended.filter(|it| it.is_jit() || (is_warm && idle && !it.nameless));
        let registrations: Vec<_> = registrations
            .filter_map(|runner| {
                let (target, id) = (self.target_of(runner), runner.github_id?);
                Some(Registration { runner: runner.name.clone(), target, id })
            })
            .collect();
        if idle && (registrations.is_empty() || !is_warm) {
            if is_warm && !names.is_empty() {
                self.ended_without_job(key, &names);
            }
            self.set_hold(key, None);
            self.account_for(key, names);
            return;
        }
        let asked = runs.iter().flat_map(|run| run.jobs.iter().copied()).collect();
        if let Some(class) = self.state.classes.get_mut(key) {
            class.asked = asked;
        }
        self.set_hold(key, Some(Hold::Asking { sent: true }));
        self.request(Request::AskJobs { class: key.clone(), runs, names, registrations });
    }

    /// These jobs by their runs, in the order of their first mention; no more of either than one
    /// question is about.
    pub(super) fn runs_of(&self, jobs: impl Iterator<Item = JobId>) -> Vec<RunJobs> {
        let mut order: Vec<RunId> = Vec::new();
        let mut runs: BTreeMap<RunId, RunJobs> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for id in jobs.take(JOBS_A_QUESTION) {
            work::count(1);
            let Some(job) = self.state.known_job(id) else { continue };
            let run = job.report.run;
            if runs.len() == RUNS_A_QUESTION && !runs.contains_key(&run) {
                break;
            }
            let entry = runs.entry(run).or_insert_with(|| {
                order.push(run);
                RunJobs { full_name: job.repository_name.clone(), run, jobs: Vec::new() }
            });
            if seen.insert(id) {
                entry.jobs.push(id);
            }
        }
        order.iter().filter_map(|run| runs.remove(run)).collect()
    }

    pub(super) fn jobs_seen(
        &mut self,
        key: ClassKey,
        names: Vec<RunnerName>,
        answer: Answer<JobsOfRuns>,
    ) {
        let JobsOfRuns { reports, looked_at, removed } = match answer {
            Ok(found) => found,
            Err(failure) => return self.ask_class_later(&key, &failure),
        };
        let class = self.state.classes.get_mut(&key);
        let mut missing = class.map(|class| std::mem::take(&mut class.asked)).unwrap_or_default();
        for report in reports {
            missing.remove(&report.id);
            if let Some(repository) = self.repository_of(&report, &key.scope) {
                self.fold_report(report, repository, Source::Asked, None);
            }
        }
        let Some(class) = self.state.classes.get_mut(&key) else { return };
        class.asks_failed = 0;
        class.ask_failure = None;
        // Absence moves nothing, and of a run that was not looked at it says nothing: a job that
        // should have been seen and was not is asked for by id, the others still wait.
        missing.retain(|id| class.waiting.contains(id));
        let state = &self.state;
        missing.retain(|id| {
            state.known_job(*id).is_some_and(|job| looked_at.contains(&job.report.run))
        });
        let Some(class) = self.state.classes.get_mut(&key) else { return };
        let unseen: Vec<RunnerName> =
            names.into_iter().filter(|name| class.unaccounted.contains(name)).collect();
        let others = class.unaccounted.len() > unseen.len();
        // The forge ended these, and they had started: no fault of their pool's.
        let (removed, unseen): (Vec<_>, Vec<_>) =
            unseen.into_iter().partition(|name| removed.contains(name));
        let waits = !class.waiting.is_empty();
        if !unseen.is_empty() && (waits || self.is_warm(&key)) {
            self.ended_without_job(&key, &unseen);
        }
        self.set_hold(&key, None);
        self.account_for(&key, unseen);
        self.were_removed(&key, removed);
        for id in missing.into_iter().take(BY_ID_AT_ONCE) {
            self.ask_job(id);
        }
        if others {
            // Some ended while the question was under way.
            self.set_hold(&key, Some(Hold::Asking { sent: false }));
            self.asks.insert(key);
        }
    }

    fn ended_without_job(&mut self, key: &ClassKey, names: &[RunnerName]) {
        for name in names {
            let how = self.state.runners.get(name).and_then(|runner| runner.reason.clone());
            let how = how.unwrap_or_else(|| "its child has ended".to_owned());
            self.happened_to(name, Happened::RunnerEndedWithoutJob { how });
        }
        self.ended_in_vain(key, names);
    }

    /// The repository of a job that GitHub was asked about: its own, that of another job of its
    /// run, or the one that the question was about.
    pub(super) fn repository_of(
        &self,
        report: &JobReport,
        scope: &ScopeKey,
    ) -> Option<RepositoryId> {
        let sibling = self.state.by_run.get(&report.run).and_then(|ids| ids.first());
        let known = self
            .state
            .known_job(report.id)
            .or_else(|| sibling.and_then(|id| self.state.jobs.get(id)))
            .map(|job| job.repository);
        known.or(match scope {
            ScopeKey::Repository(id) => Some(*id),
            ScopeKey::Organization(_) => None,
        })
    }

    fn ask_class_later(&mut self, key: &ClassKey, failure: &Failure) {
        let Some(class) = self.state.classes.get_mut(key) else { return };
        class.hold = Some(Hold::Asking { sent: false });
        let at = when_to_retry(failure, class.asks_failed, self.now, self.rng);
        class.asks_failed += 1;
        class.ask_failure = Some(failure.reason.clone());
        self.set_timer(at, Timer::Class(key.clone()));
        self.touch(key);
    }

    /// When the last of them was sent to Nomad.
    pub(super) fn last_sent(&self, names: &[RunnerName]) -> Option<Time> {
        let runners = names.iter().filter_map(|name| self.state.runners.get(name));
        runners.map(|runner| runner.first_sent_at.unwrap_or(runner.hired_at)).max()
    }

    /// No job names these: whatever they left at GitHub is cleared away.
    fn account_for(&mut self, key: &ClassKey, names: Vec<RunnerName>) {
        for name in names {
            if let Some(class) = self.state.classes.get_mut(key) {
                class.unaccounted.remove(&name);
            }
            match self.state.runners.get(&name) {
                Some(runner) if runner.nameless => {
                    let how = runner.reason.clone().unwrap_or_else(|| "ended".to_owned());
                    self.end_runner(&name, Gone::ChildEnded { how });
                }
                // One on its way out goes on by itself.
                Some(runner) if runner.has_ended() => self.drive(&name),
                _ => {}
            }
        }
    }

    /// Nothing is left of these at the forge.
    fn were_removed(&mut self, key: &ClassKey, names: Vec<RunnerName>) {
        for name in names {
            if let Some(class) = self.state.classes.get_mut(key) {
                class.unaccounted.remove(&name);
            }
            if self.state.runners.get(&name).is_some_and(Runner::has_ended) {
                let forge = self.state.rules.forge.name.to_owned();
                self.end_runner(&name, Gone::Removed { forge });
            } else {
                self.drive(&name);
            }
        }
    }

    pub(super) fn class_timer(&mut self, key: &ClassKey) {
        let Some(class) = self.state.classes.get(key) else { return };
        if class.hold == Some(Hold::Asking { sent: false }) {
            self.asks.insert(key.clone());
        }
    }

    pub(super) fn ask_job(&mut self, id: JobId) {
        if let Some(job) = self.state.jobs.get(&id) {
            let at_work = job.report.status == JobStatus::InProgress;
            let full_name = job.repository_name.clone();
            let request = Request::AskJob { full_name, job: id, at_work };
            self.request(request);
        } else {
            self.ask_about_rerun(id);
        }
    }

    pub(super) fn job_seen(&mut self, id: JobId, answer: Answer<Option<JobReport>>) {
        let Some(job) = self.state.jobs.get(&id).cloned() else {
            return self.rerun_seen(id, answer);
        };
        let repository = job.repository;
        let doubted = self.state.reruns.remove(&id).is_some();
        match answer {
            Ok(Some(report)) if doubted && self.may_be_queued_again(&job, &report) => {
                self.queued_again(job, report);
            }
            Ok(Some(report)) => {
                let unfinished = report.status == JobStatus::InProgress;
                self.fold_report(report, repository, Source::Asked, None);
                if unfinished && self.runner_has_ended(id) {
                    self.set_timer(self.now + UNFINISHED, Timer::Job(id));
                }
            }
            // GitHub's answers lag, and news of a job can be faster than the job itself. That it
            // looks old is no proof: this machine's clock may be wrong.
            Ok(None) if self.now.since(job.received_at) < KNOWN_BY_THEN => {
                self.set_timer(self.now + ASK_AFTER_END, Timer::Job(id));
            }
            // Deleted with its run: it will never be heard of again.
            Ok(None) => {
                let mut report = job.report.clone();
                report.status = JobStatus::Completed;
                report.conclusion = Some(format!("unknown to {}", self.state.rules.forge.name));
                if let Some(job) = self.state.jobs.get_mut(&id) {
                    job.vanished = true;
                }
                self.fold_report(report, repository, Source::Asked, None);
            }
            Err(failure) => {
                let at = when_to_retry(&failure, 1, self.now, self.rng);
                self.set_timer(at, Timer::Job(id));
            }
        }
    }

    /// Whether a job is at work with a runner that is not there any more.
    pub(super) fn runner_has_ended(&self, id: JobId) -> bool {
        let Some(job) = self.state.jobs.get(&id) else { return false };
        let name = job.report.runner_name.as_deref().map(RunnerName::from);
        job.report.status == JobStatus::InProgress
            && name.is_some_and(|name| {
                self.is_of_our_form(&name) && !self.state.runners.contains_key(&name)
            })
    }
}
