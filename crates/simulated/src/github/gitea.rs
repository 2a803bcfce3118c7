//! Where a Gitea differs from GitHub, as tried with 1.26.1: a runner fetches its job and has begun
//! it by that, a rerun queues the same ids again, DELETE takes a runner from under its job, and a
//! job's end takes away the registration of whoever was at it.
//!
//! Read next: `rest/gitea.rs` for its calls, `json/gitea.rs` for what it leaves out.

use rand::Rng;
use rand::seq::IndexedRandom;

use super::happenings::What;
use super::kind::Kind;
use super::model::{GitHub, Millis, SECOND};
use super::runners::{Deletion, Given};
use super::runs::{Conclusion, RanOn, Status};
use super::tokens::Scope;

/// A job that was being given out when its runner was disabled is given out all the same.
const DISABLED_WITHIN: Millis = 1_500;
/// How long a job's log is silent now and then, so that its runner does not seem busy.
const SILENCE: Millis = 20 * SECOND;

impl GitHub {
    pub(super) fn is_gitea(&self) -> bool {
        self.knobs.kind.is_gitea()
    }

    /// Whether the runner would be given a job if it asked.
    #[must_use]
    pub fn would_give(&self, runner: u64, now: Millis) -> bool {
        self.is_gitea()
            && self.runner(runner).is_some_and(|one| one.job.is_none() && !one.is_disabled(now))
            && self.queue.iter().any(|job| self.covers(runner, *job))
    }

    /// The runner asks: the job it is given is at work from here on, and its attempt counts up.
    pub(super) fn fetch(&mut self, runner: u64, now: Millis) {
        if !self.would_give(runner, now) {
            return;
        }
        let fitting: Vec<u64> =
            self.queue.iter().copied().filter(|job| self.covers(runner, *job)).collect();
        let Some(job) = fitting.choose(&mut self.rng).copied() else { return };
        let lag = self.draw_busy_lag();
        let Some(found) = self.runners.get_mut(&runner) else { return };
        found.job = Some(Given { job, at: now, lag, picked_up: true });
        let on = RanOn { id: runner, name: found.name.clone(), group: found.group };
        self.queue.remove(&job);
        if let Some(found) = self.jobs.get_mut(&job) {
            found.assigned = Some(runner);
            found.attempt += 1;
        }
        self.begin_job(job, on, now);
    }

    /// `busy` comes with the first line of a job's log, and goes while it is silent.
    pub(super) fn seems_busy(given: &Given, now: Millis) -> bool {
        let silent = (now / SILENCE + given.job.cast_signed()) % 3 == 0;
        given.at + given.lag <= now && !silent
    }

    /// It is given no more jobs; what is under way already comes through. False where there is
    /// none, or where this Gitea cannot.
    pub fn disable_runner(&mut self, scope: Scope, id: u64, now: Millis) -> bool {
        if self.knobs.kind != (Kind::Gitea { disables: true }) {
            return false;
        }
        let takes = self.rng.random_range(0..=DISABLED_WITHIN);
        match self.runners.get_mut(&id).filter(|runner| runner.scope == scope) {
            Some(runner) => {
                runner.disabled_from.get_or_insert(now + takes);
                true
            }
            None => false,
        }
    }

    /// Whether it is at work or not. Its job hangs until the zombie time-out.
    pub(super) fn delete_without_a_look(&mut self, scope: Scope, id: u64, now: Millis) -> Deletion {
        let Some(runner) = self.runners.get(&id).filter(|runner| runner.scope == scope).cloned()
        else {
            return Deletion::Unknown;
        };
        if let Some(given) = runner.job {
            self.zombies.insert(given.job, now);
            if let Some(job) = self.jobs.get_mut(&given.job) {
                job.assigned = None;
            }
        }
        self.runners.remove(&id);
        self.note(now, What::RunnerRemoved { id, name: runner.name, why: "deleted" });
        Deletion::Deleted
    }

    /// Jobs whose runner was deleted fail.
    pub(super) fn fail_zombies(&mut self, now: Millis) {
        let old = |since: &Millis| *since + self.knobs.lost_after <= now;
        let failed: Vec<u64> =
            self.zombies.iter().filter(|(_, since)| old(since)).map(|(job, _)| *job).collect();
        for job in failed {
            self.complete_job(job, Conclusion::Failure, now);
        }
    }

    /// A job at work is cancelled: it is over at once, and its runner, which is not told, is no
    /// longer registered.
    pub(super) fn cancel_at_work(&mut self, job: u64, now: Millis) {
        let runner = self.jobs.get(&job).and_then(|job| job.assigned);
        if let Some(found) = runner.and_then(|id| self.runners.get_mut(&id)) {
            found.job = None;
            let (id, ephemeral) = (found.id, found.ephemeral);
            if ephemeral {
                self.drop_runner(id, "its job was cancelled", now);
            }
        }
        self.complete_job(job, Conclusion::Cancelled, now);
    }

    /// Runs again under the ids that the jobs have. The attempts say nothing of it yet.
    pub(super) fn rerun_under_same_ids(&mut self, run: u64, failed_only: bool, now: Millis) {
        let Some(found) = self.runs.get_mut(&run) else { return };
        found.started_at = now;
        found.updated_at = now;
        let ids = found.jobs.clone();
        let mut again = Vec::new();
        for id in ids {
            let Some(job) = self.jobs.get_mut(&id) else { continue };
            if failed_only && job.conclusion == Some(Conclusion::Success) {
                continue;
            }
            job.status = Status::Waiting;
            job.conclusion = None;
            job.started_at = None;
            job.completed_at = None;
            job.runner = None;
            job.cancel_requested = false;
            again.push(id);
        }
        for id in again {
            self.begin_attempt(id, now);
        }
    }

    /// A job's first word: it waits for a runner, for other jobs, or is skipped.
    pub(super) fn begin_attempt(&mut self, id: u64, now: Millis) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.spec.conclusion == Conclusion::Skipped {
            return self.complete_job(id, Conclusion::Skipped, now);
        }
        if !job.spec.needs_others {
            return self.enqueue(id, now);
        }
        job.status = Status::Waiting;
        let (run, name) = (job.run, job.spec.name.clone());
        self.note(now, What::JobWaiting { job: id, name });
        self.emit_job(id, "waiting", now);
        self.go_on_with(run, now);
    }

    /// Jobs that `needs` others are queued, or skipped, once all before them have ended.
    pub(super) fn go_on_with(&mut self, run: u64, now: Millis) {
        let ids = self.runs.get(&run).map(|run| run.jobs.clone()).unwrap_or_default();
        for (index, id) in ids.iter().enumerate() {
            let waits = self
                .jobs
                .get(id)
                .is_some_and(|job| job.spec.needs_others && job.status == Status::Waiting);
            let needed = || ids[..index].iter().filter_map(|id| self.jobs.get(id));
            if !waits || needed().any(|job| job.status != Status::Completed) {
                continue;
            }
            if needed().all(|job| job.conclusion == Some(Conclusion::Success)) {
                self.enqueue(*id, now);
            } else {
                self.complete_job(*id, Conclusion::Skipped, now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::MINUTE;
    use super::super::model::tests::World;
    use super::super::runs::JobSpec;
    use super::*;
    use crate::protocol::{Beat, Poll, Registered};

    fn gitea(disables: bool) -> World {
        let mut world = World::new();
        world.gh.knobs.kind = Kind::Gitea { disables };
        world
    }

    fn runner(world: &mut World, now: Millis) -> Registered {
        let mut asked = world.registration("roustabout-x64-1", &["x64"], now);
        asked.url = "http://github.test".to_owned();
        world.gh.register(&asked, now).unwrap()
    }

    #[test]
    fn a_runner_that_asks_is_at_work_and_a_rerun_queues_the_same_id() {
        let mut world = gitea(true);
        let first = runner(&mut world, 0);
        let job = world.job("build", &["x64"], 0);
        assert_eq!(world.gh.job(job).unwrap().attempt, 0);
        assert!(matches!(world.poll(&first, 1), Poll::Job { job: given } if given.id == job));
        let at_work = world.gh.job(job).unwrap();
        assert_eq!((at_work.status, at_work.attempt), (Status::InProgress, 1));
        world.gh.finished(first.id, &first.secret, job, Conclusion::Success, 2);
        assert!(world.gh.leftovers().is_empty());
        let run = world.gh.job(job).unwrap().run;
        world.gh.rerun(run, false, 3);
        let again = world.gh.job(job).unwrap();
        assert_eq!((again.status, again.attempt), (Status::Queued, 1));
        assert!(again.runner.is_none() && again.conclusion.is_none());
    }

    #[test]
    fn a_disabled_runner_is_given_nothing_once_that_is_through() {
        let mut world = gitea(true);
        let idle = runner(&mut world, 0);
        assert!(world.gh.disable_runner(world.scope, idle.id, 0));
        world.job("build", &["x64"], 1);
        assert_eq!(world.poll(&idle, DISABLED_WITHIN), Poll::Wait);
        let mut old = gitea(false);
        let idle = runner(&mut old, 0);
        assert!(!old.gh.disable_runner(old.scope, idle.id, 0));
    }

    #[test]
    fn a_runner_deleted_at_work_leaves_its_job_hanging_until_the_timeout() {
        let mut world = gitea(true);
        let busy = runner(&mut world, 0);
        let job = world.job("build", &["x64"], 0);
        world.poll(&busy, 0);
        assert_eq!(world.gh.delete_runner(world.scope, busy.id, 1), Deletion::Deleted);
        assert!(!world.gh.finished(busy.id, &busy.secret, job, Conclusion::Success, 2));
        world.gh.tick(9 * MINUTE);
        assert_eq!(world.gh.job(job).unwrap().status, Status::InProgress);
        world.gh.tick(11 * MINUTE);
        assert_eq!(world.gh.job(job).unwrap().conclusion, Some(Conclusion::Failure));
    }

    #[test]
    fn a_cancel_takes_the_registration_and_tells_nobody() {
        let mut world = gitea(true);
        let busy = runner(&mut world, 0);
        let job = world.job("build", &["x64"], 0);
        world.poll(&busy, 0);
        world.gh.cancel_job(job, 1);
        assert_eq!(world.gh.job(job).unwrap().conclusion, Some(Conclusion::Cancelled));
        assert!(world.gh.runner(busy.id).is_none());
        assert_eq!(world.gh.beat(busy.id, &busy.secret, job, 2), Beat::NotYours);
    }

    #[test]
    fn a_job_that_needs_others_waits_for_them_and_is_skipped_where_one_fails() {
        for (ends, status) in
            [(Conclusion::Success, Status::Queued), (Conclusion::Failure, Status::Completed)]
        {
            let mut world = gitea(true);
            let one = runner(&mut world, 0);
            let after = JobSpec::new("after", &["x64"]).needing_others();
            let jobs = world.jobs(vec![JobSpec::new("first", &["x64"]), after], 0);
            assert_eq!(world.gh.job(jobs[1]).unwrap().status, Status::Waiting);
            world.poll(&one, 0);
            world.gh.finished(one.id, &one.secret, jobs[0], ends, 1);
            assert_eq!(world.gh.job(jobs[1]).unwrap().status, status);
        }
    }

    #[test]
    fn the_registration_token_is_always_the_same() {
        use super::super::tokens::Purpose::Register;
        let mut world = gitea(true);
        let first = world.gh.mint_runner_token(world.scope, Register, 0);
        assert_eq!(world.gh.mint_runner_token(world.scope, Register, 100 * MINUTE), first);
    }
}
