//! Folds what GitHub says of jobs and repositories, by webhook or in answer to a question.
//!
//! `in_progress` and `completed` are final; between `queued` and `waiting` nothing decides,
//! so GitHub is asked where they disagree. Which runners are hired is `hiring`'s part.

use std::time::Duration;

use rand::Rng;

use super::Fold;
use crate::ledger::event::{Answer, Webhook};
use crate::ledger::job::{Job, JobReport, JobStatus, Verdict};
use crate::ledger::policy::{self, Judgement};
use crate::ledger::runner::{RunnerState, Sending, Took};
use crate::ledger::state::{ForkAnswer, Timer};
use crate::ledger::{
    DeliveryId, JobId, Note, Record, Repository, RepositoryId, Request, RunId, RunnerName, Time,
    backoff, matching,
};

/// GitHub's own state lags by up to about 20 s after an approval (runs-on#429).
const ASK_AGAIN: Duration = Duration::from_secs(20);

/// Where a report came from.
pub(super) enum Source {
    Webhook(DeliveryId, Time),
    /// An answer to a question of ours: it settles what webhooks leave open.
    Asked,
}

impl<R: Rng> Fold<'_, R> {
    pub(super) fn webhook(&mut self, webhook: Webhook) {
        let Webhook { delivery, received_at, repository, report, past } = webhook;
        self.effects.records.push(Record::Folded(delivery.clone()));
        let Some(report) = report else { return };
        let id = repository.id;
        self.meet_repository(repository);
        self.fold_report(report, id, Source::Webhook(delivery, received_at), past.map(|job| *job));
    }

    /// Keeps the newest word on a repository; where it changes who may be served, its open
    /// jobs are judged again.
    fn meet_repository(&mut self, repository: Repository) {
        let id = repository.id;
        let known = self.state.repositories.get(&id);
        if known == Some(&repository) {
            return;
        }
        self.effects.records.push(Record::Repository(Box::new(repository.clone())));
        if self.state.repositories.insert(id, repository).is_some() {
            let jobs = self.state.by_repository.get(&id).cloned().unwrap_or_default();
            for job in jobs {
                self.judge_again(job);
            }
        }
    }

    pub(super) fn fold_report(
        &mut self,
        report: JobReport,
        repository: RepositoryId,
        source: Source,
        past: Option<Job>,
    ) {
        let id = report.id;
        let known = self.state.known_job(id).cloned().or(past);
        let before = known.as_ref().map(|job| job.report.status);
        let was_demand = self.state.jobs.get(&id).is_some_and(Job::is_demand);
        if let Some(before) = before
            && (report.status.rank() < before.rank()
                || report.status == JobStatus::Completed && before == JobStatus::Completed)
        {
            // Too late to move the job, not too late to say who ran it.
            self.runner_named(&report, false);
            return;
        }
        let disagrees =
            before.is_some_and(|b| b != report.status && b.rank() == report.status.rank());
        let mut job = match known {
            Some(job) => merge(job, report),
            None => self.new_job(report, repository, &source),
        };
        job.repository = repository;
        if let Some(known) = self.state.repositories.get(&repository) {
            job.repository_name.clone_from(&known.full_name);
        }
        self.announce(&job, before, &source);
        if job.report.status.rank() == 0 {
            self.judge(&mut job);
        } else if before.is_none() {
            self.match_only(&mut job);
        }
        if job.report.status == JobStatus::Completed {
            job.ended_at = Some(self.now);
        }
        let report = job.report.clone();
        self.place(job);
        self.runner_named(&report, was_demand);
        if disagrees && matches!(source, Source::Webhook(..)) {
            self.ask_job(id);
            self.set_timer(self.now + ASK_AGAIN, Timer::Job(id));
        }
    }

    fn new_job(&self, report: JobReport, repository: RepositoryId, source: &Source) -> Job {
        let (delivery, received_at) = match source {
            Source::Webhook(delivery, at) => (Some(delivery.clone()), *at),
            Source::Asked => (None, self.now),
        };
        Job {
            report,
            repository,
            repository_name: String::new(),
            delivery,
            received_at,
            pool: None,
            verdict: Verdict::Serve,
            fork: None,
            cause_of: None,
            ended_at: None,
        }
    }

    fn announce(&mut self, job: &Job, before: Option<JobStatus>, source: &Source) {
        if before == Some(job.report.status) {
            return;
        }
        let mut message = format!("job {}: {}", job.report.status.as_str(), job.report.name);
        if let Some(conclusion) = &job.report.conclusion {
            message = format!("{message} ({conclusion})");
        }
        self.note(Note {
            message,
            job: Some(job.id()),
            run: Some(job.report.run),
            repository: Some(job.repository_name.clone()),
            runner: job.report.runner_name.as_deref().map(RunnerName::from),
            delivery: match source {
                Source::Webhook(delivery, _) => Some(delivery.clone()),
                Source::Asked => None,
            },
            ..Note::default()
        });
    }

    /// Finds the pool of a waiting job and lets its policy speak.
    fn judge(&mut self, job: &mut Job) {
        let run = job.report.run;
        let before = job.verdict.clone();
        self.match_only(job);
        let Some(pool) = job.pool.as_ref().and_then(|name| self.state.rules.pool(name)) else {
            return;
        };
        let Some(repository) = self.state.repositories.get(&job.repository) else { return };
        if let Some(ForkAnswer::Known(fork)) = self.state.forks.get(&run) {
            job.fork = Some(*fork);
        }
        job.verdict = match policy::judge(pool, repository, job.fork) {
            Judgement::Allowed => Verdict::Serve,
            Judgement::Refused(why) => Verdict::Refused(why),
            Judgement::AskFork => {
                let full_name = repository.full_name.clone();
                if !self.state.forks.contains_key(&run) {
                    self.state.forks.insert(run, ForkAnswer::Asking);
                    self.request(Request::AskFork { repository: job.repository, full_name, run });
                }
                match &job.verdict {
                    asking @ Verdict::AskingFork(_) => asking.clone(),
                    _ => Verdict::AskingFork(None),
                }
            }
        };
        if let Verdict::Refused(why) = &job.verdict
            && job.verdict != before
        {
            let message = format!("job refused: {why}");
            self.note_job(job, message);
        }
    }

    fn match_only(&mut self, job: &mut Job) {
        let found = matching::pool_for(
            &self.state.rules.pools,
            &job.repository_name,
            &job.report.labels,
            job.report.run,
        );
        let asking = matches!(job.verdict, Verdict::AskingFork(_));
        match found {
            Ok(pool) => {
                job.pool = Some(pool.name.clone());
                if !asking {
                    job.verdict = Verdict::Serve;
                }
            }
            Err(why) => {
                job.pool = None;
                job.verdict = Verdict::Unserved(why.to_string());
            }
        }
    }

    fn note_job(&mut self, job: &Job, message: String) {
        self.note(Note {
            message,
            job: Some(job.id()),
            run: Some(job.report.run),
            repository: Some(job.repository_name.clone()),
            pool: job.pool.clone(),
            ..Note::default()
        });
    }

    /// Judges an open job again: rules, repository or the answer about its fork have changed.
    pub(super) fn judge_again(&mut self, id: JobId) {
        let Some(mut job) = self.state.jobs.get(&id).cloned() else { return };
        if let Some(repository) = self.state.repositories.get(&job.repository) {
            job.repository_name.clone_from(&repository.full_name);
        }
        if job.report.status.rank() == 0 {
            self.judge(&mut job);
        }
        self.place(job);
    }

    /// Puts a job where it belongs now: in memory and in its class's demand, or out of both.
    fn place(&mut self, job: Job) {
        let id = job.id();
        if let Some(key) = self.state.enlisted.remove(&id) {
            if let Some(class) = self.state.classes.get_mut(&key) {
                class.waiting.remove(&id);
            }
            self.touch(&key);
        }
        self.jobs.insert(id);
        let open = job.report.status != JobStatus::Completed
            && !matches!(job.verdict, Verdict::Unserved(_));
        if !open {
            self.state.remove_job(id);
            self.state.remember_ended(job);
            return;
        }
        if job.is_demand()
            && let Some(key) = self.state.class_of(&job)
        {
            self.state.classes.entry(key.clone()).or_default().waiting.insert(id);
            self.touch(&key);
            self.state.enlisted.insert(id, key);
        }
        self.state.insert_job(job);
    }

    /// A report that names a runner: if it is ours it is busy, whatever pool or policy says.
    /// One that names nobody of ours takes away demand only; but where the class has runners
    /// that carry no name nobody can tell, so it takes one of these too.
    fn runner_named(&mut self, report: &JobReport, was_demand: bool) {
        if report.status.rank() == 0 {
            return;
        }
        let done = report.status == JobStatus::Completed;
        let named = report.runner_name.as_deref().map(RunnerName::from);
        if let Some(name) = &named
            && self.state.runners.contains_key(name)
        {
            self.runner_took(&name.clone(), Some(report.id), done);
            return;
        }
        let cancelled_in_queue = done && named.is_none();
        if !was_demand || cancelled_in_queue {
            self.finish_nameless(report.id, done);
            return;
        }
        let Some(class) = self.state.known_job(report.id).and_then(|job| self.state.class_of(job))
        else {
            return;
        };
        let nameless = self.state.classes.get(&class).and_then(|class| {
            let runners = class.runners.iter().filter_map(|name| self.state.runners.get(name));
            runners.filter(|r| r.nameless && r.is_supply()).max_by_key(|r| r.advance())
        });
        if let Some(name) = nameless.map(|runner| runner.name.clone()) {
            self.runner_took(&name, Some(report.id), done);
        }
    }

    fn finish_nameless(&mut self, job: JobId, done: bool) {
        let took = |r: &&crate::ledger::Runner| {
            r.nameless && r.took.is_some_and(|t| t.job == Some(job) && !t.done)
        };
        let name = self.state.runners.values().find(took).map(|r| r.name.clone());
        if let (true, Some(name)) = (done, name) {
            self.runner_took(&name, Some(job), true);
        }
    }

    /// GitHub's word that a runner of ours has, or had, a job. From here on it is never
    /// stopped; the class's pools work, so its backoff starts over.
    pub(super) fn runner_took(&mut self, name: &RunnerName, job: Option<JobId>, done: bool) {
        let Some(runner) = self.state.runners.get(name) else { return };
        let class = runner.class.clone();
        let ended = runner.state == RunnerState::Clearing;
        let news = runner.took.is_none_or(|took| took.job.is_none() || took.done != done);
        let took = match runner.took {
            Some(Took { job: Some(earlier), done: was_done }) => {
                Took { job: Some(earlier), done: was_done || done }
            }
            _ => Took { job, done },
        };
        self.change(name, |runner| {
            runner.took = Some(took);
            runner.unwanted = false;
            runner.state = match &runner.state {
                // It was refused or never sent, as far as we knew: it must be in Nomad.
                RunnerState::Wanted => RunnerState::Dispatching(Sending::LookingUp),
                RunnerState::Withdrawing(_) => RunnerState::Dispatched,
                other => other.clone(),
            };
        });
        if let Some(entry) = self.state.classes.get_mut(&class) {
            entry.ended_unseen = 0;
            entry.unaccounted.remove(name);
            if matches!(entry.hold, Some(crate::ledger::class::Hold::Until(_))) {
                entry.hold = None;
            }
        }
        if news {
            let message = if done { "runner finished its job" } else { "runner took a job" };
            self.note_runner(false, name, message.to_owned());
        }
        if ended {
            self.end_runner(name, "its job is known, and its child has ended");
        } else {
            self.drive(name);
        }
    }

    pub(super) fn fork_known(&mut self, run: RunId, answer: Answer<bool>) {
        let jobs = self.state.by_run.get(&run).cloned().unwrap_or_default();
        if jobs.is_empty() {
            self.state.forks.remove(&run);
            return;
        }
        match answer {
            Ok(fork) => {
                self.state.forks.insert(run, ForkAnswer::Known(fork));
                for id in jobs {
                    self.judge_again(id);
                }
            }
            Err(failure) => {
                let tries = match self.state.forks.get(&run) {
                    Some(ForkAnswer::Failed { tries }) => tries + 1,
                    _ => 1,
                };
                self.state.forks.insert(run, ForkAnswer::Failed { tries });
                let wait = self.now + backoff(tries - 1, self.rng);
                let at = failure.retry_at.map_or(wait, |at| at.max(self.now));
                self.set_timer(at, Timer::Fork(run));
                for id in jobs {
                    let Some(mut job) = self.state.jobs.get(&id).cloned() else { continue };
                    if matches!(job.verdict, Verdict::AskingFork(_)) {
                        job.verdict = Verdict::AskingFork(Some(failure.reason.clone()));
                        self.note_job(
                            &job,
                            format!("cannot tell whether it is a fork: {}", failure.reason),
                        );
                        self.place(job);
                    }
                }
            }
        }
    }

    pub(super) fn ask_fork_again(&mut self, run: RunId) {
        let Some(ForkAnswer::Failed { .. }) = self.state.forks.get(&run) else { return };
        let Some(job) = self
            .state
            .by_run
            .get(&run)
            .and_then(|ids| ids.first())
            .and_then(|id| self.state.jobs.get(id))
        else {
            return;
        };
        let request = Request::AskFork {
            repository: job.repository,
            full_name: job.repository_name.clone(),
            run,
        };
        self.request(request);
    }
}

/// The newer report over the older job; what the newer one leaves out stays known.
fn merge(mut job: Job, report: JobReport) -> Job {
    let old = std::mem::replace(&mut job.report, report);
    let new = &mut job.report;
    if new.labels.is_empty() {
        new.labels = old.labels;
    }
    new.workflow = new.workflow.take().or(old.workflow);
    new.head_branch = new.head_branch.take().or(old.head_branch);
    new.url = new.url.take().or(old.url);
    new.created_at = new.created_at.or(old.created_at);
    new.runner_name = new.runner_name.take().or(old.runner_name);
    job
}
