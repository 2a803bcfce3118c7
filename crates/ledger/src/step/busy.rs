//! Who has which job: GitHub's word that a runner took one, whatever we knew of the runner.
//! From then on it is followed to its end and never stopped.

use rand::Rng;

use super::Fold;
use crate::runner::{RunnerState, Sending, Took};
use crate::{Gone, Happened, JobId, JobReport, JobStatus, RunnerName, backoff, runner_name};

impl<R: Rng> Fold<'_, R> {
    /// A report that names a runner: if it is ours it is busy, whatever pool or policy says.
    /// One that names nobody of ours takes away demand only; but where the class has runners
    /// that carry no name nobody can tell, so it takes one of these too.
    pub(super) fn runner_named(&mut self, report: &JobReport, was_demand: bool) {
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
        if named.is_some_and(|name| self.is_of_our_form(&name)) {
            // Where the job had left demand before, this is no news of the pool.
            if was_demand {
                self.runner_was_ours(report.id);
            }
            return;
        }
        let cancelled_in_queue = done && report.runner_name.is_none();
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

    /// The runner has ended already, and took a job all the same: its pool works.
    fn runner_was_ours(&mut self, id: JobId) {
        let key = self.state.known_job(id).and_then(|job| self.state.class_of(job));
        if let Some(key) = key {
            self.works(&key);
            self.touch(&key);
        }
    }

    pub(super) fn is_of_our_form(&self, name: &RunnerName) -> bool {
        runner_name::pool_of(&self.state.rules.name_prefix, name.as_str()).is_some()
    }

    fn finish_nameless(&mut self, job: JobId, done: bool) {
        let took = |r: &&crate::Runner| {
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
        let (class, cause) = (runner.class.clone(), runner.cause);
        let ended = runner.has_ended();
        let takes = runner.took.is_none();
        let news = runner.took.is_none_or(|took| took.job.is_none() || took.done != done);
        let took = match runner.took {
            Some(Took { job: Some(earlier), done: was_done }) => {
                Took { job: Some(earlier), done: was_done || done }
            }
            _ => Took { job, done },
        };
        let done_at = took.done.then_some(self.now);
        let pause = matches!(runner.state, RunnerState::Withdrawing(_))
            .then(|| self.now + backoff(runner.steps_back, self.rng));
        self.change(name, |runner| {
            if pause.is_some() {
                runner.not_before = pause;
                runner.steps_back += 1;
            }
            runner.took = Some(took);
            runner.done_at = runner.done_at.or(done_at);
            runner.unwanted = false;
            runner.state = match &runner.state {
                // It was refused or never sent, as far as we knew: it must be in Nomad.
                RunnerState::Wanted => RunnerState::Dispatching(Sending::LookingUp),
                RunnerState::Withdrawing(_) => RunnerState::Dispatched,
                other => other.clone(),
            };
        });
        if let Some(entry) = self.state.classes.get_mut(&class) {
            entry.unaccounted.remove(name);
        }
        if takes {
            self.works(&class);
            // Whatever it took, the data of the job that it was hired for did not end it.
            if let Some(cause) = cause {
                self.clear_hold(cause);
            }
        }
        if news {
            let what = if done { Happened::RunnerFinished } else { Happened::RunnerBusy };
            self.happened_to(name, what);
        }
        match (ended, done) {
            (true, true) => self.end_runner(name, Gone::JobDone),
            (true, false) => self.clear_later(name),
            (false, _) => {
                self.start_clocks(name);
                self.drive(name);
            }
        }
    }
}
