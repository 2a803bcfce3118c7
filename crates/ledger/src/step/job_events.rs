//! Folds what GitHub says of jobs and repositories, by webhook or in answer to a question.
//!
//! `in_progress` and `completed` are final; between `queued` and `waiting` nothing decides,
//! so GitHub is asked where they disagree. Which runners are hired is `hiring`'s part.

use std::time::Duration;

use rand::Rng;

use super::{ASK_AFTER_END, Fold};
use crate::event::Webhook;
use crate::job::{Job, JobReport, JobStatus, Verdict};
use crate::matching::{self, Candidate};
use crate::policy::{self, Judgement, Known};
use crate::state::Timer;
use crate::{
    About, DeliveryId, Details, Happened, JobId, Record, Repository, RepositoryId, RunnerName,
    Time, work,
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
        self.effects.records.push(Record::Folded { delivery: delivery.clone(), received_at });
        // The door's clock may have been set since, or was wrong in an earlier life.
        let received_at = received_at.min(self.now);
        let Some(report) = report else { return };
        let id = repository.id;
        self.meet_repository(repository);
        self.fold_report(report, id, Source::Webhook(delivery, received_at), past.map(|job| *job));
    }

    /// Keeps the newest word on a repository; where it changes who may be served, its open
    /// jobs are judged again.
    pub(super) fn meet_repository(&mut self, repository: Repository) {
        let id = repository.id;
        let known = self.state.repositories.get(&id);
        let mut repository = repository.renamed_from(known);
        self.drop_taken_names(&mut repository);
        let known = self.state.repositories.get(&id);
        if known == Some(&repository) {
            return;
        }
        let renamed = known.is_none_or(|known| known.full_name != repository.full_name);
        let picked_otherwise = known.is_some_and(|known| known.topics != repository.topics);
        self.effects.records.push(Record::Repository(Box::new(repository.clone())));
        self.state.repositories.insert(id, repository);
        self.state.floors.outdated = true;
        if renamed {
            self.name_changed(id);
        }
        let jobs = self.state.by_repository.get(&id).cloned().unwrap_or_default();
        for job in jobs {
            self.judge_again(job);
        }
        if picked_otherwise {
            self.judge_unserved_of(id);
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
        let mut job = match known {
            Some(job) if self.may_be_rerun(&job, &report) => return self.seen_again(job, report),
            Some(job) if self.is_of_ended_attempt(&job, &report, &source) => {
                return self.ask_job(id);
            }
            Some(job) if self.may_be_queued_again(&job, &report) => {
                return self.doubt(job, report);
            }
            Some(job) if is_late(&job, &report) => return self.late_report(job, report),
            Some(job) => merge(job, report),
            None => self.new_job(report, repository, &source),
        };
        job.repository = repository;
        match &source {
            Source::Asked => job.unconfirmed = false,
            Source::Webhook(_, at) if before.is_none() => {
                job.unconfirmed = self.is_old_news(&job, *at);
            }
            Source::Webhook(..) => {}
        }
        self.take_in(job, before, was_demand, &source);
    }

    /// A job with its newest report: judged, put where it belongs, and its runner told of it.
    pub(super) fn take_in(
        &mut self,
        mut job: Job,
        before: Option<JobStatus>,
        was_demand: bool,
        source: &Source,
    ) {
        let (id, repository) = (job.id(), job.repository);
        let disagrees =
            before.is_some_and(|b| b != job.report.status && b.rank() == job.report.status.rank());
        job.robot = self.is_a_robots(&job.report);
        if let Some(known) = self.state.repositories.get(&repository) {
            job.repository_name.clone_from(&known.full_name);
        }
        self.announce(&job, before, source);
        if job.report.status.rank() == 0 {
            self.judge(&mut job);
        } else if before.is_none() {
            self.match_only(&mut job);
        }
        if job.report.status.rank() > 0 {
            job.in_vain = None;
        }
        if job.report.status == JobStatus::Completed {
            job.ended_at = Some(self.now);
        }
        let report = job.report.clone();
        self.place(job);
        self.runner_named(&report, was_demand);
        if before != Some(JobStatus::InProgress) && self.runner_has_ended(id) {
            // Its end may never be heard of.
            self.set_timer(self.now + ASK_AFTER_END, Timer::Job(id));
        }
        if disagrees && matches!(source, Source::Webhook(..)) {
            self.ask_job(id);
            self.set_timer(self.now + ASK_AGAIN, Timer::Job(id));
        }
    }

    fn is_a_robots(&self, report: &JobReport) -> bool {
        let robots = &self.state.rules.robots;
        let actor = report.actor.as_deref();
        actor.is_some_and(|actor| robots.iter().any(|robot| robot.eq_ignore_ascii_case(actor)))
    }

    /// Too late to move the job, not too late to say who ran it, and when.
    pub(super) fn late_report(&mut self, mut job: Job, report: JobReport) {
        if report.status.rank() == 0 {
            return;
        }
        let before = job.clone();
        if job.report.runner_name.is_none() {
            job.report.runner_name.clone_from(&report.runner_name);
        }
        if job.report.run_attempt == report.run_attempt {
            job.report.details = Details::or(job.report.details, report.details.clone());
        }
        if job.vanished && report.status == JobStatus::Completed {
            job.vanished = false;
            job.report.conclusion.clone_from(&report.conclusion);
        }
        if job != before {
            self.place(job.clone());
        }
        let status = job.report.status;
        self.runner_named(&JobReport { status, ..report }, false);
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
            unconfirmed: false,
            robot: false,
            fork: None,
            cause: None,
            ended_attempt: None,
            in_vain: None,
            cause_of: None,
            vanished: false,
            ended_at: None,
        }
    }

    fn announce(&mut self, job: &Job, before: Option<JobStatus>, source: &Source) {
        if before == Some(job.report.status) {
            return;
        }
        let what = Happened::JobStatus {
            title: job.report.name.clone(),
            status: job.report.status,
            conclusion: job.report.conclusion.clone(),
        };
        let about = About {
            runner: job.report.runner_name.as_deref().map(RunnerName::from),
            pool: None,
            delivery: match source {
                Source::Webhook(delivery, _) => Some(delivery.clone()),
                Source::Asked => None,
            },
            ..About::job(job)
        };
        self.happened(what, about);
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
        if let Some(facts) = self.state.run_questions.known(run) {
            job.fork = Some(facts.is_fork);
            job.cause = Some(facts.cause.clone());
        }
        job.verdict = match policy::judge(pool, repository, Known::of(job)) {
            Judgement::Allowed => Verdict::Serve,
            Judgement::Refused(why) => Verdict::Refused(why),
            Judgement::AskRun => {
                let key = self.state.class_key(pool, repository, run);
                self.state.run_questions.want(run, (key.clone(), job.repository));
                self.touch(&key);
                match &job.verdict {
                    asking @ Verdict::AskingRun(_) => asking.clone(),
                    _ => Verdict::AskingRun(None),
                }
            }
        };
        self.hold_unconfirmed(job);
        if let Verdict::Refused(why) = &job.verdict
            && job.verdict != before
        {
            self.happened(Happened::JobRefused { why: why.clone() }, About::job(job));
        }
    }

    fn match_only(&mut self, job: &mut Job) {
        let repository = self.state.repositories.get(&job.repository);
        let candidate =
            repository.map_or(Candidate::named(&job.repository_name), |known| known.candidate());
        let found = matching::pool_for(
            &self.state.rules.pools,
            candidate,
            &job.report.labels,
            job.report.run,
        );
        let asking = matches!(job.verdict, Verdict::AskingRun(_));
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

    /// Judges an open job again: rules, repository or what is known of its run have changed.
    pub(super) fn judge_again(&mut self, id: JobId) {
        if let Some(job) = self.state.jobs.get(&id).cloned() {
            self.judge_and_place(job);
        }
    }

    pub(super) fn judge_and_place(&mut self, mut job: Job) {
        job.robot = self.is_a_robots(&job.report);
        if let Some(repository) = self.state.repositories.get(&job.repository) {
            job.repository_name.clone_from(&repository.full_name);
        }
        if job.report.status.rank() == 0 {
            self.judge(&mut job);
        }
        self.place(job);
    }

    /// Puts a job where it belongs now: in memory and in its class's demand, or out of both.
    pub(super) fn place(&mut self, mut job: Job) {
        work::count(1);
        let id = job.id();
        job.cause_of = job.cause_of.filter(|name| self.state.runners.contains_key(name));
        if let Some(key) = self.state.enlisted.remove(&id) {
            // As it stood there.
            let before = self.state.jobs.get(&id).unwrap_or(&job);
            if let Some(class) = self.state.classes.get_mut(&key) {
                class.strike(before);
            }
            self.touch(&key);
        }
        self.jobs.insert(id);
        self.see_unserved(&job);
        let open = job.report.status != JobStatus::Completed
            && !matches!(job.verdict, Verdict::Unserved(_));
        if !open {
            self.state.superseded.remove(id);
            self.state.remove_job(id);
            self.state.remember_ended(job);
            return;
        }
        if job.is_demand()
            && let Some(key) = self.state.class_of(&job)
        {
            self.state.classes.entry(key.clone()).or_default().enlist(&job, self.now);
            if let Some(vain) = job.in_vain.as_ref().filter(|vain| vain.until > self.now) {
                self.state.set_timer(vain.until, Timer::Held(id));
            }
            self.touch(&key);
            self.state.enlisted.insert(id, key);
        }
        self.state.insert_job(job);
        self.see_branch(id);
    }
}

/// Whether a report cannot move the job any more. `queued` and `waiting` never undo a start,
/// and nothing undoes an end.
fn is_late(job: &Job, report: &JobReport) -> bool {
    let status = job.report.status;
    report.status.rank() < status.rank() || status == JobStatus::Completed
}

/// The newer report over the older job; what the newer one leaves out stays known.
pub(super) fn merge(mut job: Job, report: JobReport) -> Job {
    let old = std::mem::replace(&mut job.report, report);
    let new = &mut job.report;
    if new.labels.is_empty() {
        new.labels = old.labels;
    }
    new.workflow = new.workflow.take().or(old.workflow);
    new.head_branch = new.head_branch.take().or(old.head_branch);
    new.url = new.url.take().or(old.url);
    new.created_at = new.created_at.or(old.created_at);
    // Whoever cancels it has not caused it.
    new.actor = old.actor.or(new.actor.take());
    new.runner_name = new.runner_name.take().or(old.runner_name);
    new.details = Details::or(new.details.take(), old.details);
    job
}
