//! Cancels runs of robots that a newer push has made pointless, while none of their jobs has begun. The
//! forge is asked about both runs, the older one is cancelled, looked at again after a minute, and
//! cancelled by force where the first request did nothing. Whether it may be is judged in
//! `crate::superseded`.

use std::time::Duration;

use rand::Rng;

use super::{Fold, when_to_retry};
use crate::event::{Answer, Failure};
use crate::state::Timer;
use crate::superseded::{Branch, Pair, Phase, judge};
use crate::{About, Happened, Job, JobId, Request, RunId};

/// A request that was taken is given so long to show.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// How often a question or a request is tried.
const TRIES: u32 = 5;

impl<R: Rng> Fold<'_, R> {
    /// Where the job stands among the runs of its branch.
    pub(super) fn see_branch(&mut self, id: JobId) {
        let Some(job) = self.state.jobs.get(&id) else { return };
        let pool = job.pool.as_ref().and_then(|pool| self.state.rules.pool(pool));
        if !pool.is_some_and(|pool| pool.cancel_superseded) {
            return self.state.superseded.remove(id);
        }
        if let Some(branch) = self.state.superseded.put(job) {
            self.supersede(&branch);
        }
    }

    fn supersede(&mut self, branch: &Branch) {
        for (older, _) in self.state.superseded.take_pairs(branch) {
            self.look_at_pair(older);
        }
    }

    fn look_at_pair(&mut self, run: RunId) {
        let Some(it) = self.state.superseded.runs.get(&run) else { return };
        let Some(repository) = self.state.repositories.get(&it.repository) else { return };
        let (full_name, newer) = (repository.full_name.clone(), it.newer);
        self.request(Request::LookAtSuperseded { full_name, older: run, newer });
    }

    pub(super) fn superseded_seen(&mut self, run: RunId, answer: Answer<Pair>) {
        let Some(it) = self.state.superseded.runs.get(&run) else { return };
        let force = match it.phase {
            Phase::Looking => false,
            Phase::LookingAgain => true,
            _ => return,
        };
        match answer {
            Err(failure) => self.superseding_failed(run, &failure),
            Ok(pair) => {
                // A webhook may have told since of a job that has begun.
                let begun = self.has_begun(run);
                let pair = Pair { begun: pair.begun || begun, ..pair };
                match judge(&pair, &self.state.rules.robots) {
                    Ok(()) => {
                        self.enter(run, if force { Phase::Forcing } else { Phase::Cancelling });
                        self.cancel(run, force);
                    }
                    Err(kept) if !force && kept.is_of_the_pair() => self.try_another(run),
                    Err(_) => self.enter(run, Phase::Settled),
                }
            }
        }
    }

    fn try_another(&mut self, run: RunId) {
        let Some(job) = self.jobs_of_run(run).next().map(Job::id) else { return };
        if let Some(branch) = self.state.superseded.give_back(run, job) {
            self.supersede(&branch);
        }
    }

    fn cancel(&mut self, run: RunId, force: bool) {
        let Some(it) = self.state.superseded.runs.get(&run) else { return };
        let Some(repository) = self.state.repositories.get(&it.repository) else { return };
        let full_name = repository.full_name.clone();
        self.request(Request::CancelRun { full_name, run, force });
    }

    pub(super) fn run_cancelled(&mut self, run: RunId, answer: Answer<()>) {
        let Some(it) = self.state.superseded.runs.get(&run) else { return };
        let (newer, phase) = (it.newer, it.phase);
        match (answer, phase) {
            (Err(failure), Phase::Cancelling | Phase::Forcing) => {
                self.superseding_failed(run, &failure);
            }
            (Ok(()), Phase::Cancelling) => {
                self.happened_to_run(run, Happened::RunSuperseded { older: run, newer });
                self.enter(run, Phase::Cancelled);
                self.set_timer(self.now + LOOK_AGAIN, Timer::Superseded(run));
            }
            (Ok(()), Phase::Forcing) => {
                self.happened_to_run(run, Happened::RunCancelForced { older: run });
                self.enter(run, Phase::Settled);
            }
            _ => {}
        }
        if self.jobs_of_run(run).next().is_none() {
            self.state.superseded.runs.remove(&run);
        }
    }

    pub(super) fn superseded_timer(&mut self, run: RunId) {
        let Some(it) = self.state.superseded.runs.get(&run) else { return };
        match it.phase {
            Phase::Looking => self.look_at_pair(run),
            Phase::Cancelled => {
                self.enter(run, Phase::LookingAgain);
                self.look_at_pair(run);
            }
            Phase::LookingAgain => self.look_at_pair(run),
            // What failed is looked at once more first: a job may have begun meanwhile.
            Phase::Cancelling => {
                self.enter(run, Phase::Looking);
                self.look_at_pair(run);
            }
            Phase::Forcing => {
                self.enter(run, Phase::LookingAgain);
                self.look_at_pair(run);
            }
            Phase::Settled => {}
        }
    }

    fn superseding_failed(&mut self, run: RunId, failure: &Failure) {
        let Some(it) = self.state.superseded.runs.get_mut(&run) else { return };
        it.tries += 1;
        let (tries, repository, newer) = (it.tries, it.repository, it.newer);
        if tries >= TRIES {
            it.phase = Phase::Settled;
        } else {
            let at = when_to_retry(failure, tries, self.now, self.rng);
            self.set_timer(at, Timer::Superseded(run));
        }
        if self.state.superseded.told.insert(repository) {
            let reason = failure.reason.clone();
            self.happened_to_run(run, Happened::RunNotCancelled { older: run, newer, reason });
        }
    }

    fn enter(&mut self, run: RunId, phase: Phase) {
        if let Some(it) = self.state.superseded.runs.get_mut(&run) {
            it.phase = phase;
        }
    }

    fn jobs_of_run(&self, run: RunId) -> impl Iterator<Item = &Job> {
        let ids = self.state.by_run.get(&run).into_iter().flatten();
        ids.filter_map(|id: &JobId| self.state.jobs.get(id))
    }

    fn has_begun(&self, run: RunId) -> bool {
        self.jobs_of_run(run).any(|job| job.report.status.has_begun())
    }

    /// Told with one of its jobs, whose story it belongs to.
    fn happened_to_run(&mut self, run: RunId, what: Happened) {
        let Some(it) = self.state.superseded.runs.get(&run) else { return };
        let about = self.state.known_job(it.job).map(About::job);
        self.happened(what, about.unwrap_or_default());
    }
}
