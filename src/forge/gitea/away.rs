//! Takes a runner's registration away, and never from under a job. Gitea deletes a runner that is
//! at work without a word, and its job then hangs until a timeout. So the runner is disabled
//! first, looked at again when whatever was given out before is to be seen, and only then deleted.
//!
//! Gitea before 1.26 cannot disable a runner: there a job may be given out between the last look
//! and the deletion, and what is left is to look once more and tell it.

use std::time::Duration;

use tracing::warn;

use super::{Gitea, about_runners, owner};
use crate::forge::Error;
use crate::gitea;
use crate::ledger::effect::Target;
use crate::ledger::event::Deletion;

/// A job that was being given out when the runner was disabled is to be seen by then.
const SETTLES: Duration = Duration::from_secs(2);

/// What a look at a runner shows.
enum Seen {
    Gone,
    AtWork,
    Idle { can_be_disabled: bool },
}

impl Gitea {
    pub async fn delete_runner(&self, target: &Target, id: u64) -> Result<Deletion, Error> {
        self.take_away(target, id).await.map_err(|error| about_runners(&error, target))
    }

    async fn take_away(&self, target: &Target, id: u64) -> Result<Deletion, gitea::Error> {
        let of = owner(target);
        let can_be_disabled = match self.see(target, id).await? {
            Seen::Gone => return Ok(Deletion::NoNewJob),
            Seen::AtWork => return Ok(Deletion::Busy),
            Seen::Idle { can_be_disabled } => can_be_disabled,
        };
        if can_be_disabled {
            match self.client.disable_runner(of, id).await {
                Err(gitea::Error::NotFound { .. }) => return Ok(Deletion::NoNewJob),
                answer => answer?,
            }
            tokio::time::sleep(SETTLES).await;
            match self.see(target, id).await? {
                Seen::Gone => return Ok(Deletion::NoNewJob),
                Seen::AtWork => return Ok(Deletion::Busy),
                Seen::Idle { .. } => {}
            }
        }
        match self.client.delete_runner(of, id).await {
            Ok(()) | Err(gitea::Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        if !can_be_disabled && self.has_job(target, id).await? {
            warn!(
                scope = target.name(),
                runner = id,
                "Gitea gave a job to a runner that was being removed and will not report the job's end; upgrade to Gitea 1.26"
            );
            return Ok(Deletion::Busy);
        }
        Ok(Deletion::NoNewJob)
    }

    async fn see(&self, target: &Target, id: u64) -> Result<Seen, gitea::Error> {
        let runner = match self.client.runner(owner(target), id).await {
            Ok(runner) => runner,
            Err(gitea::Error::NotFound { .. }) => return Ok(Seen::Gone),
            Err(error) => return Err(error),
        };
        // Neither alone is enough: `busy` comes with the first line of a job's log and goes while
        // it is silent, and a job is not listed once it was cancelled.
        if runner.busy || self.has_job(target, id).await? {
            return Ok(Seen::AtWork);
        }
        Ok(Seen::Idle { can_be_disabled: runner.disabled.is_some() })
    }

    async fn has_job(&self, target: &Target, id: u64) -> Result<bool, gitea::Error> {
        let jobs = self.client.all_jobs(owner(target), &["in_progress"]).await?;
        Ok(jobs.iter().any(|job| job.runner_id == Some(id)))
    }
}
