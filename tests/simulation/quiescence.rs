//! What must hold when all is done: nothing is left, and each job ran exactly once.

use std::collections::BTreeSet;

use ledger::matching::Candidate;
use ledger::state::NomadState;
use ledger::{JobId, RunId, State, matching, runner_name};
use rand::Rng as _;
use roustabout::store::Reader;
use simulated::github::model::{HOUR, MINUTE};
use simulated::github::{Conclusion, Status, What};
use simulated::nomad;

use crate::life::{Memory, Seen};
use crate::runners::OWN;
use crate::troubles::Trouble;
use crate::world::World;

impl World {
    pub fn is_quiet(&self) -> bool {
        let Some(daemon) = &self.daemon else { return false };
        daemon.seen.is_quiet
            && daemon.dying.is_none()
            && self.github.next_delivery().is_none()
            && self.left_at_github().is_empty()
            && self.nomad.lock().leftovers().is_empty()
            && self.variables_left().is_empty()
            && self.entries_left().is_empty()
    }

    /// What of the ledger's memory is looked at between two folds.
    pub fn summary(&mut self, state: &State) -> Seen {
        let (folds, written) =
            self.daemon.as_ref().map_or((0, 0), |daemon| (daemon.seen.folds, daemon.seen.written));
        let memory = self.rng.random_bool(0.1).then(|| Memory {
            jobs: state.jobs.values().cloned().collect(),
            runners: state.runners.values().cloned().collect(),
        });
        let nearly_over = |since| self.now > since + crate::world::PATIENCE - 10 * MINUTE;
        let unrest = match self.calm_since.is_some_and(nearly_over) {
            true => {
                let jobs = state.jobs.values().map(|job| format!("\nknown job {job:?}"));
                let runners = state.runners.values().map(|it| format!("\nknown runner {it:?}"));
                let classes = state.classes.iter().map(|(key, it)| format!("\n{key:?}: {it:?}"));
                jobs.chain(runners).chain(classes).collect()
            }
            false => Vec::new(),
        };
        Seen {
            jobs: state.jobs.keys().copied().collect(),
            runners: state
                .runners
                .values()
                .map(|it| {
                    // Where children are not all adopted yet nobody is launched, nor followed.
                    let place = state.nomad.get(&state.rules.place_of_runner(it));
                    let is_followed = !matches!(place, None | Some(NomadState::Unlisted(_)));
                    (it.name.clone(), it.child.clone(), it.is_supply() && is_followed)
                })
                .collect(),
            folds: folds + 1,
            written,
            memory,
            is_quiet: state.jobs.is_empty() && state.runners.is_empty() && state.classes.is_empty(),
            left: vec![
                ("hungry", state.hungry.len()),
                ("enlisted", state.enlisted.len()),
                ("by_repository", state.by_repository.len()),
                ("by_run", state.by_run.len()),
                ("forks", state.run_questions.len()),
                ("outdated", state.outdated.len()),
                ("deposits", state.deposits.owed.len()),
            ],
            unrest,
        }
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
        left.extend(self.nomad.lock().leftovers());
        left.extend(self.variables_left());
        left.extend(self.entries_left());
        match &self.daemon {
            Some(daemon) => left.extend(daemon.seen.unrest.iter().cloned()),
            None => left.push("the daemon is off".to_owned()),
        }
        left.join("; ")
    }

    pub fn judge_the_end(&mut self) -> Result<(), String> {
        self.check_promises();
        self.check_requests_per_job();
        self.watching.verdict()?;
        self.each_job_ran_once()?;
        self.memory_is_empty()?;
        match self.weather.is_fair() {
            true => self.each_was_minted_one().and_then(|()| self.nobody_was_hired_in_vain()),
            false => Ok(()),
        }
    }

    fn each_job_ran_once(&self) -> Result<(), String> {
        // Once for each time that it was queued: a rerun at Gitea queues the same job again.
        let mut queued: BTreeSet<u64> = BTreeSet::new();
        let reader = Reader::open(&self.database()).unwrap();
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
            // GitHub gives up what nobody has begun for a day, and the daemon may be off for most of it.
            let gave_up = job.completed_at.is_some_and(|at| at >= job.queued_at + 24 * HOUR)
                && self.weather.has(Trouble::OffForHours)
                && job.conclusion == Some(Conclusion::Cancelled);
            let as_it_should = skipped || gave_up || job.conclusion == Some(job.spec.conclusion);
            if !as_it_should && !self.watching.is_excused(id) {
                let conclusion = job.conclusion.map(Conclusion::as_str);
                return Err(format!("job {id} ended with {conclusion:?}, and nobody wanted that"));
            }
            // Who is served by nobody is not asked about.
            let row = reader.job(JobId(id)).unwrap().filter(|row| row.pool.is_some());
            if row.is_some_and(|row| row.report.status.rank() != 2) {
                return Err(format!("job {id} is over, and its row says otherwise"));
            }
        }
        Ok(())
    }

    fn memory_is_empty(&mut self) -> Result<(), String> {
        let rows = self.rows();
        let open_jobs = self.open_jobs();
        let Some(daemon) = &self.daemon else { return Ok(()) };
        let open_jobs = open_jobs.iter().filter(|job| job.pool.is_some()).count();
        let left = daemon.seen.left.iter().copied().chain([
            ("open jobs", open_jobs),
            ("open runners", rows.runners.len()),
            ("the inbox", rows.inbox.len()),
        ]);
        match left.into_iter().find(|(_, count)| *count > 0) {
            Some((what, count)) => Err(format!("{count} left in {what}")),
            None => Ok(()),
        }
    }

    /// In fair weather there is a runner for each job that needed one, and not one more; but for
    /// jobs that a runner of another pool took, since its labels cover theirs, and for runners that
    /// a listing shows as busy before the news of their job: somebody is hired in their place.
    fn nobody_was_hired_in_vain(&self) -> Result<(), String> {
        let nomad = self.nomad.lock();
        let dispatched =
            |one: &&nomad::Happening| matches!(one.what, nomad::What::Dispatched { .. });
        let hired = nomad.events().iter().filter(dispatched).count();
        let (mut ran, mut taken) = (0, 0);
        for job in self.github.jobs() {
            let Some(runner) = &job.runner else { continue };
            let pools = &self.rules.pools;
            let pool = matching::pool_for(
                pools,
                Candidate::named("octo/app"),
                &job.spec.labels,
                RunId(job.run),
            );
            let meant = pool.ok().map(|pool| pool.name.as_str());
            ran += 1;
            taken += usize::from(runner_name::pool_of("roustabout", &runner.name) != meant);
        }
        if hired >= ran && self.setting.plays_warm.is_some() {
            return Ok(());
        }
        if hired >= ran && hired <= ran + taken + self.watching.listings {
            return Ok(());
        }
        Err(format!("{hired} runners hired, {ran} jobs ran"))
    }
}
