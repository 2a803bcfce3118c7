//! Where a job's end is not final: a rerun queues it again under its own id, or the forge did not
//! know it and now does. A late `queued` looks the same, so the forge is asked, and only its answer
//! opens the job again.

use rand::Rng;

use super::job_events::Source;
use super::{Fold, when_to_retry};
use crate::event::Answer;
use crate::job::{Job, JobReport, JobStatus, Verdict};
use crate::state::Timer;
use crate::{About, Details, Happened, JobId, Request};

impl<R: Rng> Fold<'_, R> {
    /// Whether this may be news of a new attempt of a job that has ended.
    pub(super) fn may_be_rerun(&self, past: &Job, report: &JobReport) -> bool {
        self.state.may_open_again(past)
            && past.report.status == JobStatus::Completed
            && match report.status {
                // The attempt counts up when a runner takes the job, so this says nothing yet.
                JobStatus::Queued | JobStatus::Waiting => true,
                JobStatus::InProgress => {
                    past.vanished || report.run_attempt > past.report.run_attempt
                }
                JobStatus::Completed => false,
            }
    }

    /// Whether a webhook may tell of the attempt that ended before the one that is open. The end
    /// of one that was never given out looks the same, so the forge decides.
    pub(super) fn is_of_ended_attempt(
        &self,
        job: &Job,
        report: &JobReport,
        source: &Source,
    ) -> bool {
        matches!(source, Source::Webhook(..))
            && job.report.status != JobStatus::Completed
            && report.status.rank() > 0
            && job.ended_attempt.is_some_and(|ended| report.run_attempt <= ended)
    }

    pub(super) fn seen_again(&mut self, past: Job, report: JobReport) {
        let id = past.id();
        // Its webhook may have been faster than the listing.
        if self.state.jobs.contains_key(&id) || !self.may_be_rerun(&past, &report) {
            return;
        }
        self.doubt(past, report);
    }

    /// Asks, for what is asked now knows of what was told by now. Without the mark that this leaves
    /// an answer may be older.
    pub(super) fn doubt(&mut self, job: Job, report: JobReport) {
        let id = job.id();
        if self.state.reruns.insert(id, (job, report)).is_none() {
            self.ask_about_rerun(id);
        }
    }

    /// Whether a job at work is told to be queued: late, or the end of this attempt and the rerun
    /// after it were never heard of.
    pub(super) fn may_be_queued_again(&self, job: &Job, report: &JobReport) -> bool {
        !self.state.rules.forge.ends_are_final
            && job.report.status == JobStatus::InProgress
            && report.status.rank() == 0
    }

    /// It was at work, and is queued: that attempt is over, and with it its runner's job.
    pub(super) fn queued_again(&mut self, job: Job, report: JobReport) {
        let ended = JobReport { status: JobStatus::Completed, ..job.report.clone() };
        self.runner_named(&ended, false);
        self.begin_again(job, report);
    }

    pub(super) fn ask_about_rerun(&mut self, id: JobId) {
        if let Some((past, _)) = self.state.reruns.get(&id) {
            let full_name = past.repository_name.clone();
            let request = Request::AskJob { full_name, job: id, at_work: false };
            self.request(request);
        }
    }

    /// The answer about a job that has ended and was told of again.
    pub(super) fn rerun_seen(&mut self, id: JobId, answer: Answer<Option<JobReport>>) {
        let Some((past, told)) = self.state.reruns.remove(&id) else { return };
        match answer {
            Ok(Some(report)) if report.status != JobStatus::Completed => {
                self.begin_again(past, report);
            }
            // It was late.
            Ok(_) => self.late_report(past, told),
            Err(failure) => {
                self.state.reruns.insert(id, (past, told));
                let at = when_to_retry(&failure, 1, self.now, self.rng);
                self.set_timer(at, Timer::Job(id));
            }
        }
    }

    fn begin_again(&mut self, past: Job, report: JobReport) {
        // Who was launched for it may be there still, for another job.
        let cause_of = past.cause_of.clone().filter(|name| {
            let runner = self.state.runners.get(name);
            runner.is_some_and(|runner| runner.is_supply() && runner.cause == Some(report.id))
        });
        let job = Job {
            ended_attempt: match past.vanished {
                true => past.ended_attempt,
                false => Some(past.report.run_attempt),
            },
            report: JobReport {
                workflow: report.workflow.or(past.report.workflow),
                actor: report.actor.or(past.report.actor),
                details: Details::or(
                    report.details,
                    past.report.details.and_then(|details| details.of_every_attempt()),
                ),
                ..report
            },
            received_at: self.now,
            pool: None,
            verdict: Verdict::Serve,
            unconfirmed: false,
            cause_of,
            vanished: false,
            ended_at: None,
            ..past
        };
        let what = match past.vanished {
            true => Happened::JobFoundAgain { forge: self.state.rules.forge.name.to_owned() },
            false => Happened::JobQueuedAgain,
        };
        self.happened(what, About::job(&job));
        self.take_in(job, None, false, &Source::Asked);
    }
}
