//! Who gets which job: any idle runner whose labels cover it, and which of the waiting jobs: drawn.
//!
//! Nothing binds a runner to the job it was hired for (CloudSnorkel#906, ARC#4315), and the order is
//! undocumented (github/docs#26207). Read next: `../runs/actions.rs`.

use rand::seq::{IndexedRandom, SliceRandom};

use super::Given;
use crate::github::happenings::What;
use crate::github::model::{GitHub, Millis};
use crate::github::tokens::Scope;

impl GitHub {
    /// Gives waiting jobs to idle runners, as many as fit.
    pub fn assign(&mut self, now: Millis) {
        // At Gitea a runner comes and takes it.
        if self.queue.is_empty() || self.is_gitea() {
            return;
        }
        let offline_after = self.knobs.offline_after;
        let mut idle: Vec<u64> = self
            .runners
            .values()
            .filter(|runner| runner.registered && runner.job.is_none())
            .filter(|runner| runner.last_seen.is_some_and(|seen| now < seen + offline_after))
            .map(|runner| runner.id)
            .collect();
        if self.knobs.runner_deprecated {
            idle.clear();
        }
        idle.shuffle(&mut self.rng);
        for runner in idle {
            let fitting: Vec<u64> =
                self.queue.iter().copied().filter(|job| self.covers(runner, *job)).collect();
            let first = self.knobs.first_job.filter(|first| fitting.contains(first));
            let drawn = || fitting.choose(&mut self.rng).copied();
            let Some(job) = first.or_else(drawn) else { continue };
            self.give(runner, job, now);
        }
    }

    fn give(&mut self, runner: u64, job: u64, now: Millis) {
        let lag = self.draw_busy_lag();
        let Some(found) = self.runners.get_mut(&runner) else { return };
        found.job = Some(Given { job, at: now, lag, picked_up: false });
        let runner_name = found.name.clone();
        self.queue.remove(&job);
        let Some(found) = self.jobs.get_mut(&job) else { return };
        found.assigned = Some(runner);
        let name = found.spec.name.clone();
        self.note(now, What::JobAssigned { job, name, runner: runner_name });
    }

    /// The job goes back to the queue from a runner that has not picked it up.
    pub(in crate::github) fn take_back(&mut self, job: u64, now: Millis) {
        let Some(runner) = self.release(job, now) else { return };
        let Some(name) = self.jobs.get(&job).map(|job| job.spec.name.clone()) else { return };
        self.queue.insert(job);
        self.note(now, What::JobRequeued { job, name, runner });
    }

    /// Parts a job from the runner that was given it and has not started it; says that one's name.
    /// A runner whose registration was deleted meanwhile is gone with that.
    pub(in crate::github) fn release(&mut self, job: u64, now: Millis) -> Option<String> {
        let id = self.jobs.get_mut(&job)?.assigned.take()?;
        let runner = self.runners.get_mut(&id)?;
        runner.job = None;
        let (registered, name) = (runner.registered, runner.name.clone());
        if !registered {
            self.drop_runner(id, "deleted", now);
        }
        Some(name)
    }

    /// A runner fits a job of its scope if it has all the job's labels, whatever their case (docs,
    /// "Using self-hosted runners in a workflow"). A job without labels never fits.
    pub(in crate::github) fn covers(&self, runner: u64, job: u64) -> bool {
        let (Some(runner), Some(job)) = (self.runners.get(&runner), self.jobs.get(&job)) else {
            return false;
        };
        let Some(repository) =
            self.runs.get(&job.run).and_then(|run| self.repositories.get(&run.repository))
        else {
            return false;
        };
        let in_scope = match runner.scope {
            Scope::Repository(id) => id == repository.id,
            Scope::Organization(id) => {
                id == repository.owner
                    && (self.is_gitea() || self.group_serves(id, runner.group, repository.id))
            }
        };
        in_scope
            && !job.spec.labels.is_empty()
            && job
                .spec
                .labels
                .iter()
                .all(|wanted| runner.labels.iter().any(|label| label.eq_ignore_ascii_case(wanted)))
    }
}
