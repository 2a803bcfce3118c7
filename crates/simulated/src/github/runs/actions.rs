//! What happens to runs and jobs: begin, approve, cancel, rerun, expire, complete.
//!
//! Every change of a job's state passes here or through `runners/assignment.rs`, and sends its
//! webhook. Read next: `../runners.rs`.

use rand::Rng;

use super::{Conclusion, Job, JobSpec, RanOn, Run, RunSpec, Status};
use crate::github::happenings::What;
use crate::github::model::{GitHub, Millis};

impl GitHub {
    /// Begins a run with its jobs, and says their ids by [`Run::jobs`].
    pub fn add_run(
        &mut self,
        repository: u64,
        spec: RunSpec,
        jobs: Vec<JobSpec>,
        now: Millis,
    ) -> u64 {
        self.add_user(&spec.actor);
        let id = self.new_id(33_714_470_000);
        let head_sha = self.draw_text(b"0123456789abcdef", 40);
        let number =
            1 + self.runs.values().filter(|run| run.repository == repository).count() as u64;
        let concurrency = spec.concurrency.clone();
        let held = concurrency.is_some_and(|it| self.must_wait(repository, &it));
        let waits = spec.needs_approval || held;
        let (unborn, born) = if waits { (jobs, Vec::new()) } else { (Vec::new(), jobs) };
        self.runs.insert(
            id,
            Run {
                id,
                repository,
                spec,
                number,
                attempt: 1,
                head_sha,
                created_at: now,
                started_at: now,
                updated_at: now,
                jobs: Vec::new(),
                unborn,
                held,
                ended_unborn: None,
            },
        );
        for job in born {
            self.add_job(id, 1, job, now);
        }
        id
    }

    /// Approves a fork's run: its jobs come into being.
    pub fn approve_run(&mut self, run: u64, now: Millis) {
        let Some(found) = self.runs.get_mut(&run) else { return };
        for job in std::mem::take(&mut found.unborn) {
            self.add_job(run, 1, job, now);
        }
    }

    /// Approves the deployment a job waits for: it is queued again under the same id (fixture
    /// `waiting`; CloudSnorkel#382, runs-on#539).
    pub fn approve_job(&mut self, job: u64, now: Millis) {
        let waits = |job: &Job| job.status == Status::Waiting && !job.spec.needs_others;
        if self.jobs.get(&job).is_some_and(waits) {
            self.enqueue(job, now);
        }
    }

    /// Cancels every unfinished job of the run.
    pub fn cancel_run(&mut self, run: u64, now: Millis) {
        self.end_unborn(run);
        let jobs = self.runs.get(&run).map(|run| run.jobs.clone()).unwrap_or_default();
        for job in jobs {
            self.cancel_job(job, now);
        }
    }

    /// Cancels a job. One that no runner has started completes at once, without a runner
    /// (slurmactiond#10); a running one when its runner has heard of it.
    pub fn cancel_job(&mut self, job: u64, now: Millis) {
        let is_gitea = self.is_gitea();
        match self.jobs.get_mut(&job) {
            Some(found) if found.status == Status::InProgress && is_gitea => {
                self.cancel_at_work(job, now);
            }
            Some(job) if job.status == Status::InProgress => job.cancel_requested = true,
            Some(found) if found.status != Status::Completed => {
                self.release(job, now);
                self.complete_job(job, Conclusion::Cancelled, now);
            }
            _ => {}
        }
    }

    /// Runs again: new job ids, the attempt one higher. With `failed_only` the jobs that succeeded
    /// are not run, but get new ids and send a fresh `completed` (ARC#4315).
    pub fn rerun(&mut self, run: u64, failed_only: bool, now: Millis) {
        if self.is_gitea() {
            return self.rerun_under_same_ids(run, failed_only, now);
        }
        let Some(found) = self.runs.get(&run) else { return };
        let attempt = found.attempt;
        let old: Vec<Job> = self.jobs_of(found, attempt).into_iter().cloned().collect();
        if let Some(found) = self.runs.get_mut(&run) {
            found.attempt = attempt + 1;
            found.started_at = now;
            found.updated_at = now;
        }
        for job in old {
            if failed_only && job.conclusion == Some(Conclusion::Success) {
                let id = self.new_job_id();
                let copy = Job { id, attempt: attempt + 1, ..job };
                self.insert_job(copy);
                self.emit_job(id, "completed", now);
            } else {
                self.add_job(run, attempt + 1, job.spec, now);
            }
        }
    }

    fn new_job_id(&mut self) -> u64 {
        self.new_id(100_520_616_000)
    }

    fn insert_job(&mut self, job: Job) {
        if let Some(run) = self.runs.get_mut(&job.run) {
            run.jobs.push(job.id);
        }
        self.jobs.insert(job.id, job);
    }

    pub(in crate::github) fn add_job(
        &mut self,
        run: u64,
        attempt: u32,
        spec: JobSpec,
        now: Millis,
    ) {
        let id = self.new_job_id();
        let waits = spec.needs_environment;
        let skipped = spec.conclusion == Conclusion::Skipped;
        let name = spec.name.clone();
        let job = Job {
            id,
            run,
            attempt: if self.is_gitea() { 0 } else { attempt },
            spec,
            status: if waits { Status::Waiting } else { Status::Queued },
            conclusion: None,
            created_at: now,
            queued_at: now,
            started_at: None,
            completed_at: None,
            runner: None,
            assigned: None,
            cancel_requested: false,
            steps_begun: Vec::new(),
            blank_runner: self.rng.random_bool(0.5),
        };
        self.insert_job(job);
        if self.is_gitea() {
            return self.begin_attempt(id, now);
        }
        if skipped {
            self.complete_job(id, Conclusion::Skipped, now);
        } else if waits {
            // First `queued` with the status `waiting`, then `waiting` (fixture
            // queued.with-deployment): the action alone says nothing.
            self.note(now, What::JobWaiting { job: id, name });
            self.emit_job(id, "queued", now);
            self.emit_job(id, "waiting", now);
        } else {
            self.enqueue(id, now);
        }
    }

    pub(in crate::github) fn enqueue(&mut self, id: u64, now: Millis) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.status = Status::Queued;
        job.queued_at = now;
        let (name, labels, run) = (job.spec.name.clone(), job.spec.labels.clone(), job.run);
        let repository = self.runs.get(&run).map_or(0, |run| run.repository);
        let repository = self.full_name(repository);
        self.queue.insert(id);
        self.note(now, What::JobQueued { job: id, name, repository, labels });
        self.emit_job(id, "queued", now);
    }

    /// The job has ended. Its runner, if any, is let go by the caller.
    pub(in crate::github) fn complete_job(&mut self, id: u64, conclusion: Conclusion, now: Millis) {
        self.queue.remove(&id);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.status == Status::Completed {
            return;
        }
        job.status = Status::Completed;
        job.conclusion = Some(conclusion);
        job.completed_at = Some(now);
        job.assigned = None;
        let what = What::JobCompleted {
            job: id,
            name: job.spec.name.clone(),
            conclusion: conclusion.as_str(),
            runner: job.runner.as_ref().map(|runner| runner.name.clone()),
        };
        let run = job.run;
        if let Some(run) = self.runs.get_mut(&run) {
            run.updated_at = now;
        }
        self.note(now, what);
        self.zombies.remove(&id);
        self.emit_job(id, "completed", now);
        self.give_group_on(run, now);
        if self.is_gitea() {
            self.go_on_with(run, now);
        }
    }

    /// The runner has started the job.
    pub(in crate::github) fn begin_job(&mut self, id: u64, on: RanOn, now: Millis) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.status = Status::InProgress;
        job.started_at = Some(now);
        let what =
            What::JobStarted { job: id, name: job.spec.name.clone(), runner: on.name.clone() };
        job.runner = Some(on);
        let run = job.run;
        if let Some(run) = self.runs.get_mut(&run) {
            run.updated_at = now;
        }
        self.note(now, what);
        self.emit_job(id, "in_progress", now);
    }

    /// Cancels what has been queued too long (docs, "Actions limits": at least 24 h).
    pub(in crate::github) fn expire_jobs(&mut self, now: Millis) {
        let limit = self.knobs.queue_limit;
        let old: Vec<u64> = self
            .queue
            .iter()
            .copied()
            .filter(|id| self.jobs.get(id).is_some_and(|job| job.queued_at + limit <= now))
            .collect();
        for job in old {
            self.complete_job(job, Conclusion::Cancelled, now);
        }
    }
}
