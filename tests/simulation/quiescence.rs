//! What must hold when all is done: nothing is left, and each job ran exactly once.

use std::collections::BTreeSet;

use roustabout::ledger::{JobId, RunId, matching, runner_name};
use simulated::github::{Conclusion, Status, What};
use simulated::nomad;

use crate::runners::OWN;
use crate::world::World;

impl World {
    pub fn is_quiet(&self) -> bool {
        let Some(daemon) = &self.daemon else { return false };
        let state = &daemon.state;
        state.jobs.is_empty()
            && state.runners.is_empty()
            && state.classes.is_empty()
            && self.github.next_delivery().is_none()
            && self.left_at_github().is_empty()
            && self.nomad.leftovers().is_empty()
            && self.disk.deliveries.values().all(Option::is_none)
    }

    /// Runners whose jobs take no name cannot be told from others: what their machines leave
    /// behind is GitHub's to clear, within a day.
    fn left_at_github(&self) -> Vec<String> {
        let own = format!("runner {OWN}");
        self.github.leftovers().into_iter().filter(|left| !left.starts_with(&own)).collect()
    }

    /// What is still there, in words.
    pub fn unrest(&self) -> String {
        let mut left = self.left_at_github();
        left.extend(self.nomad.leftovers());
        if let Some(daemon) = &self.daemon {
            let state = &daemon.state;
            left.extend(state.jobs.values().map(|job| format!("\nknown job {job:?}")));
            left.extend(state.runners.values().map(|runner| format!("\nknown runner {runner:?}")));
            left.extend(state.classes.iter().map(|(key, class)| format!("\n{key:?}: {class:?}")));
        } else {
            left.push("the daemon is off".to_owned());
        }
        let inbox = self.disk.deliveries.iter().filter(|(_, row)| row.is_some());
        left.extend(inbox.map(|(id, _)| format!("delivery {id} is not folded")));
        left.join("; ")
    }

    pub fn judge_the_end(&mut self) -> Result<(), String> {
        self.check_promises();
        self.watching.verdict()?;
        self.each_job_ran_once()?;
        self.memory_is_empty()?;
        if self.weather.is_fair() { self.nobody_was_hired_in_vain() } else { Ok(()) }
    }

    fn each_job_ran_once(&self) -> Result<(), String> {
        // Once for each time that it was queued: a rerun at Gitea queues the same job again.
        let mut queued: BTreeSet<u64> = BTreeSet::new();
        for happening in self.github.events() {
            match happening.what {
                What::JobQueued { job, .. } => {
                    queued.insert(job);
                }
                What::JobStarted { job, .. } if !queued.remove(&job) => {
                    return Err(format!("job {job} ran twice"));
                }
                _ => {}
            }
        }
        for job in self.github.jobs() {
            let id = job.id;
            if job.status != Status::Completed {
                return Err(format!("job {id} is {:?}", job.status));
            }
            let skipped = job.spec.needs_others && job.conclusion == Some(Conclusion::Skipped);
            let as_it_should = skipped || job.conclusion == Some(job.spec.conclusion);
            if !as_it_should && !self.watching.is_excused(id) {
                let conclusion = job.conclusion.map(Conclusion::as_str);
                return Err(format!("job {id} ended with {conclusion:?}, and nobody wanted that"));
            }
            // Who is served by nobody is not asked about.
            let row = self.disk.jobs.get(&JobId(id)).filter(|row| row.pool.is_some());
            if row.is_some_and(|row| row.report.status.rank() != 2) {
                return Err(format!("job {id} is over, and its row says otherwise"));
            }
        }
        Ok(())
    }

    fn memory_is_empty(&self) -> Result<(), String> {
        let Some(daemon) = &self.daemon else { return Ok(()) };
        let state = &daemon.state;
        let jobs = self.disk.jobs.values().filter(|job| job.pool.is_some());
        let open_jobs = jobs.filter(|job| job.ended_at.is_none());
        let left = [
            ("hungry", state.hungry.len()),
            ("enlisted", state.enlisted.len()),
            ("by_repository", state.by_repository.len()),
            ("by_run", state.by_run.len()),
            ("forks", state.forks.len()),
            ("outdated", state.outdated.len()),
            ("open jobs", open_jobs.count()),
            (
                "open runners",
                self.disk.runners.values().filter(|one| one.ended_at.is_none()).count(),
            ),
        ];
        match left.into_iter().find(|(_, count)| *count > 0) {
            Some((what, count)) => Err(format!("{count} left in {what}")),
            None => Ok(()),
        }
    }

    /// In fair weather there is a runner for each job that needed one, and not one more; but for
    /// jobs that a runner of another pool took, since its labels cover theirs, and for runners that
    /// a listing shows as busy before the news of their job: somebody is hired in their place.
    fn nobody_was_hired_in_vain(&self) -> Result<(), String> {
        let hired = self
            .nomad
            .events()
            .iter()
            .filter(|one| matches!(one.what, nomad::What::Dispatched { .. }));
        let (mut ran, mut taken) = (0, 0);
        for job in self.github.jobs() {
            let Some(runner) = &job.runner else { continue };
            let pools = &self.rules.pools;
            let pool = matching::pool_for(pools, "octo/app", &job.spec.labels, RunId(job.run));
            let meant = pool.ok().map(|pool| pool.name.as_str());
            ran += 1;
            taken += usize::from(runner_name::pool_of("roustabout", &runner.name) != meant);
        }
        let hired = hired.count();
        if hired >= ran && hired <= ran + taken + self.watching.listings {
            return Ok(());
        }
        Err(format!("{hired} runners hired, {ran} jobs ran"))
    }
}
