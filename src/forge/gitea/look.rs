//! Looks at repositories: what waits and runs in them. Gitea lists the open jobs of everything
//! that an owner has in one answer, so all looks of one sweep share it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::{Gitea, about, run_details};
use crate::forge::{Error, Look, owner_of};
use crate::gitea::{self, Owner, WorkflowJob};
use crate::ledger::{Details, JobReport, Repository, RunDetails, Time};

/// Everything that has not ended.
pub(super) const OPEN: [&str; 3] = ["queued", "waiting", "in_progress"];

/// How many looks the repository's own data is believed for; they are in every webhook too.
const BELIEVED: u32 = 30;

#[derive(Default)]
pub struct LookMemory {
    repository: Option<Repository>,
    /// How often it was looked at; now and then visibility and name are asked for anew.
    looks: u32,
}

/// What the looks of one sweep share: the open jobs of each owner, asked for once.
#[derive(Default)]
pub struct Round {
    owners: Mutex<BTreeMap<String, Arc<OnceCell<Option<OpenJobs>>>>>,
}

/// All open jobs of an owner, with who caused their runs and what only runs say.
struct OpenJobs {
    jobs: Vec<WorkflowJob>,
    runs: BTreeMap<u64, (Option<String>, RunDetails)>,
    began: Time,
}

impl Round {
    fn cell(&self, owner: &str) -> Arc<OnceCell<Option<OpenJobs>>> {
        // A map of cells is whole whatever panicked beside it.
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        owners.entry(owner.to_lowercase()).or_default().clone()
    }
}

impl Gitea {
    pub async fn look(
        &self,
        full_name: &str,
        memory: &mut LookMemory,
        round: &Round,
    ) -> Result<Look, Error> {
        let repository = match &memory.repository {
            Some(known) if !memory.looks.is_multiple_of(BELIEVED) && self.is_current(known) => {
                known.clone()
            }
            _ => self.repository(full_name).await?,
        };
        memory.looks += 1;
        memory.repository = Some(repository.clone());
        // By today's name, for jobs are listed by that.
        let name = repository.full_name.as_str();
        let cell = round.cell(owner_of(name));
        let shared = cell.get_or_try_init(|| self.open_jobs_of(owner_of(name))).await?;
        let own;
        let open = match shared {
            Some(shared) => shared,
            None => {
                let answer = self.open_jobs(Owner::Repository(name)).await;
                own = answer.map_err(|error| about(&error, "read:repository", name))?;
                &own
            }
        };
        let here = open.jobs.iter().filter(|job| {
            let named = job.repository.as_deref();
            named.is_some_and(|named| named.eq_ignore_ascii_case(name))
        });
        let report = |job: &WorkflowJob| {
            let (actor, run) = open.runs.get(&job.run_id).cloned().unwrap_or_default();
            let report = self.report(job.clone());
            let details = report.details.map_or_else(Details::default, |details| *details);
            JobReport { actor, details: Details { run, ..details }.kept(), ..report }
        };
        let reports = here.map(report).collect();
        let unseen = BTreeSet::new();
        Ok(Look { repository, reports, began: open.began, unseen, cut: false })
    }

    /// Under a former name nothing would be found in the list, and each open job be asked for.
    fn is_current(&self, repository: &Repository) -> bool {
        self.known.is_still_called(repository.id.0, &repository.full_name)
    }

    /// `None` where they cannot be had in one: another account's.
    async fn open_jobs_of(&self, owner: &str) -> Result<Option<OpenJobs>, Error> {
        let of = match () {
            () if self.is_me(owner).await? => Owner::Me,
            () if self.may_be_organization(owner).await? => Owner::Organization(owner),
            () => return Ok(None),
        };
        match self.open_jobs(of).await {
            Ok(open) => Ok(Some(open)),
            // Who works on a repository need not be of its organization.
            Err(gitea::Error::Forbidden { .. } | gitea::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(about(&error, "read:repository", owner)),
        }
    }

    async fn is_me(&self, owner: &str) -> Result<bool, Error> {
        if let Some(login) = self.known.login() {
            return Ok(login.eq_ignore_ascii_case(owner));
        }
        match self.client.user().await {
            Ok(login) => {
                self.known.login_is(&login);
                Ok(login.eq_ignore_ascii_case(owner))
            }
            // Serving needs no read:user.
            Err(gitea::Error::Forbidden { .. }) => Ok(false),
            Err(error) => Err(about(&error, "read:user", owner)),
        }
    }

    async fn open_jobs(&self, of: Owner<'_>) -> Result<OpenJobs, gitea::Error> {
        let began = Time::from(self.client.clock().now());
        let jobs = self.client.jobs(of, &OPEN).await?;
        let runs = match jobs.is_empty() {
            true => Vec::new(),
            false => self.client.runs(of, &OPEN).await?,
        };
        let runs = runs.into_iter().map(|run| {
            (run.id, (run.actor.as_deref().map(strangers_text::harmless), run_details(&run)))
        });
        Ok(OpenJobs { jobs, runs: runs.collect(), began })
    }
}
