//! Looks at one repository out of turn: where a signed webhook could not be read, and where a job is
//! told of that was queued so long ago that it may be over.
//!
//! What a look shows is folded as a sweep's is, in `observing`. One look a repository is under way,
//! and what comes meanwhile is looked for once more when it is back.

use std::time::Duration;

use rand::Rng;

use super::{Fold, when_to_retry};
use crate::event::Answer;
use crate::observation::Observation;
use crate::state::Timer;
use crate::{Job, JobId, JobStatus, Repository, RepositoryId, Request, Time, Verdict};

/// News of a job that was queued longer ago may be a replay: it is asked about before a runner is
/// hired. The forge's clock counts for one, ours for the other, so an hour is no promise.
pub(super) const OLD_NEWS: Duration = Duration::from_secs(3600);
/// The forge's listings lag behind its webhooks.
const LAG: Duration = Duration::from_secs(20);
/// How often a look that fails is repeated.
const TRIES: u32 = 5;
/// How many jobs are asked for by id where the repository's listing is refused.
const BY_ID_AT_ONCE: usize = 10;

impl<R: Rng> Fold<'_, R> {
    /// The name is that of the newest word, also where the repository is not known yet.
    pub(super) fn look_at(&mut self, id: RepositoryId, full_name: &str) {
        let known = self.state.repositories.get(&id);
        let former = known.map(|known| known.former.as_slice()).unwrap_or_default();
        let pools = &self.state.rules.pools;
        // Whatever its topics: the look tells of them too.
        if !pools.iter().any(|pool| pool.repositories.serves(full_name, former)) {
            return;
        }
        let looking = self.state.looks.entry(id).or_default();
        if looking.under_way {
            looking.again = true;
            return;
        }
        looking.under_way = true;
        looking.again = false;
        self.request(Request::Look { repository: id, full_name: full_name.to_owned() });
    }

    /// The forge has told of it: what is known is changed at once, and looked at, for it may be
    /// gone, or out of sight.
    pub(super) fn repository_changed(&mut self, repository: Repository) {
        let (id, name) = (repository.id, repository.full_name.clone());
        if self.state.repositories.contains_key(&id) {
            self.meet_repository(repository);
        }
        self.look_at(id, &name);
    }

    pub(super) fn look_timer(&mut self, id: RepositoryId, full_name: &str) {
        if self.state.looks.get(&id).is_some_and(|looking| !looking.under_way) {
            self.look_at(id, full_name);
        }
    }

    pub(super) fn looked(
        &mut self,
        id: RepositoryId,
        full_name: String,
        answer: Answer<Observation>,
    ) {
        let Some(looking) = self.state.looks.get_mut(&id) else { return };
        looking.under_way = false;
        let at = match &answer {
            Ok(_) if !looking.again => None,
            Ok(_) => Some(self.now + LAG),
            // The sweeps look on.
            Err(_) if looking.tries >= TRIES => None,
            Err(failure) => {
                looking.tries += 1;
                Some(when_to_retry(failure, looking.tries, self.now, self.rng))
            }
        };
        let fails = looking.tries == 2 && answer.is_err();
        match at {
            Some(at) => self.set_timer(at, Timer::Look(id, full_name)),
            None => drop(self.state.looks.remove(&id)),
        }
        match answer {
            Ok(seen) => self.observed(seen),
            Err(_) if fails => self.ask_unconfirmed(id),
            Err(_) => {}
        }
    }

    /// Whether a job that nobody knew was queued so long ago that the forge is asked first.
    pub(super) fn is_old_news(&self, job: &Job, received_at: Time) -> bool {
        job.report.status == JobStatus::Queued
            && job.report.created_at.is_some_and(|at| received_at.since(at) > OLD_NEWS)
    }

    /// A job that would be served, and is not before the forge has said that it still waits.
    pub(super) fn hold_unconfirmed(&mut self, job: &mut Job) {
        if job.unconfirmed && job.verdict == Verdict::Serve {
            job.verdict = Verdict::AskingWhetherQueued;
            let name = job.repository_name.clone();
            self.look_at(job.repository, &name);
        }
    }

    /// Nobody shows the repository: whoever is in doubt is asked about by id.
    pub(super) fn ask_unconfirmed(&mut self, repository: RepositoryId) {
        let ids = self.state.by_repository.get(&repository).into_iter().flatten();
        let unconfirmed = |id: &&JobId| self.state.jobs.get(id).is_some_and(|job| job.unconfirmed);
        let ids: Vec<JobId> = ids.filter(unconfirmed).take(BY_ID_AT_ONCE).copied().collect();
        for id in ids {
            self.ask_job(id);
        }
    }
}
