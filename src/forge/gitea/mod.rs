//! Gitea behind the seam: which calls answer a question, and what an answer means. Wire types of
//! `crate::gitea` become the ledger's here.
//!
//! `look` is the sweep's question, `away` takes a runner away, `people` is what people are told,
//! `known` what need not be asked again.

mod away;
mod hooks;
mod known;
mod look;
mod people;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use transport::Server;

use self::known::Known;
pub use self::look::{LookMemory, Round};
use super::{Error, Kind, Listed, owner_of};
use crate::credential::Token;
use crate::gitea::{self, BuildError, Client, Owner};
use crate::ledger::effect::Target;
use crate::ledger::event::RunFacts;
use crate::ledger::observation::Registered;
use crate::ledger::{
    Details, JobId, JobReport, JobStatus, Repository, RepositoryId, RunCause, RunDetails, RunId,
    RunnerName, Step, Time, Topics, Visibility,
};
use strangers_text::harmless_up_to;

/// A registration token has no end, but somebody may reset it: it is asked for anew so long after
/// the last runner that it was minted for could have used it.
const BELIEVED: Duration = Duration::from_secs(3600);

/// Which runners were busy in the last listing.
#[derive(Default)]
pub struct ListMemory {
    busy: BTreeSet<u64>,
}

#[derive(Clone)]
pub struct Gitea {
    client: Client,
    known: Arc<Known>,
}

impl Gitea {
    pub fn new(api: Server, token: &SecretString) -> Result<Self, BuildError> {
        Ok(Self::by(Client::new(api, token)?))
    }

    pub fn by(client: Client) -> Self {
        Self { client, known: Arc::default() }
    }

    pub async fn probe(&self) -> Result<(), Error> {
        self.client.version().await.map(drop).map_err(|error| bare(&error))
    }

    pub async fn mint(&self, target: &Target, life: Duration) -> Result<Token, Error> {
        let secret = self.client.registration_token(owner(target)).await;
        let secret = secret.map_err(|error| about_runners(&error, target))?;
        let now = Time::from(self.client.clock().now());
        Ok(Token { secret, ends: now + life + BELIEVED })
    }

    /// Only a pull request's head can be a fork. Where it cannot be told which pull request it is
    /// (`pull_request_target` runs on the base's ref), the stricter holds.
    pub async fn run_facts(
        &self,
        repository: RepositoryId,
        full_name: &str,
        run: RunId,
    ) -> Result<RunFacts, Error> {
        let asked = self.client.run(full_name, run.0).await;
        let run = asked.map_err(|error| about(&error, "read:repository", full_name))?;
        let is_fork = self.is_fork(repository, full_name, &run).await?;
        let cause = RunCause { event: Some(run.event.clone()), actor: run.actor.clone() };
        let cause = cause.cleaned(harmless_up_to);
        Ok(RunFacts { is_fork, cause, run: run_details(&run) })
    }

    async fn is_fork(
        &self,
        repository: RepositoryId,
        full_name: &str,
        run: &gitea::Run,
    ) -> Result<bool, Error> {
        if !run.event.starts_with("pull_request") {
            return Ok(false);
        }
        let Some(number) = run.pull_request() else { return Ok(true) };
        let pull = self.client.pull_request(full_name, number).await;
        let pull = pull.map_err(|error| about(&error, "read:repository", full_name))?;
        let Some(head) = pull.head else { return Ok(true) };
        // Without a branch it was pushed for review, as anybody can who may read (AGit).
        let pushed_for_review = head.label.is_empty();
        Ok(pushed_for_review || head.repo.is_none_or(|head| head.id != repository.0))
    }

    pub async fn job(&self, full_name: &str, job: JobId) -> Result<Option<JobReport>, Error> {
        match self.client.job(full_name, job.0).await {
            // Gitea says the same of what the token may not see. Only where the repository is in
            // sight is the job gone.
            Err(gitea::Error::NotFound { .. }) => {
                self.repository(full_name).await?;
                Ok(None)
            }
            Err(error) => Err(about(&error, "read:repository", full_name)),
            Ok(job) => {
                // Gitea sends on from a former name.
                let now = job.repository.as_deref();
                if now.is_some_and(|now| !now.eq_ignore_ascii_case(full_name)) {
                    self.known.is_former(full_name);
                }
                Ok(Some(self.report(job)))
            }
        }
    }

    pub async fn jobs_of_run(&self, full_name: &str, run: RunId) -> Result<Vec<JobReport>, Error> {
        let jobs = match self.client.jobs_of_run(full_name, run.0).await {
            // Deleted, where the repository is in sight: of its jobs none is left.
            Err(gitea::Error::NotFound { .. }) => {
                self.repository(full_name).await?;
                return Ok(Vec::new());
            }
            jobs => jobs.map_err(|error| about(&error, "read:repository", full_name))?,
        };
        Ok(jobs.into_iter().map(|job| self.report(job)).collect())
    }

    pub async fn running_job(
        &self,
        full_name: &str,
        name: &RunnerName,
    ) -> Result<Option<JobReport>, Error> {
        let jobs = self.client.all_jobs(Owner::Repository(full_name), &["in_progress"]).await;
        let jobs = jobs.map_err(|error| about(&error, "read:repository", full_name))?;
        let mut jobs = jobs.into_iter().map(|job| self.report(job));
        Ok(jobs.find(|job| job.runner_name.as_deref() == Some(name.as_str())))
    }

    pub async fn runner(
        &self,
        target: &Target,
        name: &RunnerName,
    ) -> Result<Option<Registered>, Error> {
        let listed = self.registered(target).await?;
        Ok(listed.into_iter().find(|runner| runner.name == name.as_str()))
    }

    /// A runner is told to be busy here once it was in the last listing too. News of its job is
    /// in by then, and says which one it has: a runner that is busy with nobody knows what would
    /// be replaced, for the job that it has would still seem to wait.
    pub async fn runners(
        &self,
        target: &Target,
        memory: &mut ListMemory,
    ) -> Result<Vec<Registered>, Error> {
        let listed = self.registered(target).await?;
        let busy = listed.iter().filter(|runner| runner.busy).map(|runner| runner.id).collect();
        let before = std::mem::replace(&mut memory.busy, busy);
        let told = |runner: Registered| Registered {
            busy: runner.busy && before.contains(&runner.id),
            ..runner
        };
        Ok(listed.into_iter().map(told).collect())
    }

    async fn registered(&self, target: &Target) -> Result<Vec<Registered>, Error> {
        let listed = self.client.runners(owner(target)).await;
        let listed = listed.map_err(|error| about_runners(&error, target))?;
        let listed = listed.into_iter().map(|runner| {
            self.known.runner_is_called(runner.id, &runner.name);
            Registered { id: runner.id, name: runner.name, busy: runner.busy, online: true }
        });
        Ok(listed.collect())
    }

    pub async fn repository(&self, full_name: &str) -> Result<Repository, Error> {
        let found = self.client.repository(full_name).await;
        let found = found.map_err(|error| about(&error, "read:repository", full_name))?;
        self.known.repository_is_called(found.id, &found.full_name);
        let owned_by_organization = self.may_be_organization(owner_of(&found.full_name)).await?;
        Ok(repository(found, owned_by_organization))
    }

    pub async fn repositories(&self) -> Result<Vec<Listed>, Error> {
        let found = self.client.my_repositories().await.map_err(|error| {
            with_mend(&error, "give its token read:user and read:repository".to_owned())
        })?;
        let mut listed = Vec::new();
        for repository in found {
            let owner = owner_of(&repository.full_name);
            let owned_by_organization = self.may_be_organization(owner).await?;
            listed.push(Listed {
                owned_by_organization,
                public: is_public(&repository),
                archived: repository.archived,
                full_name: repository.full_name,
                topics: repository.topics.map(Topics::from_outside),
            });
        }
        Ok(listed)
    }

    /// Whether it is an organization, or may be one as far as the token lets us see.
    async fn may_be_organization(&self, owner: &str) -> Result<bool, Error> {
        if let Some(known) = self.known.is_organization(owner) {
            return Ok(known);
        }
        match self.client.is_organization(owner).await {
            Ok(is) => {
                self.known.organization_is(owner, is);
                Ok(is)
            }
            Err(gitea::Error::Forbidden { .. }) => Ok(true),
            Err(error) => Err(bare(&error)),
        }
    }

    /// A status that we do not know is a job that cannot run yet. The name of a runner that is not
    /// registered any more is left out by Gitea, and known where it was seen before.
    fn report(&self, job: gitea::WorkflowJob) -> JobReport {
        let status = match job.status {
            gitea::JobStatus::Queued => JobStatus::Queued,
            gitea::JobStatus::Waiting | gitea::JobStatus::Other(_) => JobStatus::Waiting,
            gitea::JobStatus::InProgress => JobStatus::InProgress,
            gitea::JobStatus::Completed => JobStatus::Completed,
        };
        if let (Some(id), Some(name)) = (job.runner_id, &job.runner_name) {
            self.known.runner_is_called(id, name);
        }
        let called = || self.known.name_of_runner(job.runner_id?);
        let said = JobReport {
            id: JobId(job.id),
            run: RunId(job.run_id),
            run_attempt: job.run_attempt,
            name: job.name,
            workflow: None,
            head_branch: job.head_branch,
            labels: job.labels,
            status,
            conclusion: job.conclusion,
            runner_name: job.runner_name.or_else(called),
            url: job.html_url,
            created_at: job.created_at.map(Time::from),
            actor: None,
            details: Details {
                started_at: job.started_at.map(Time::from),
                completed_at: job.completed_at.map(Time::from),
                head_sha: job.head_sha,
                runner_id: job.runner_id,
                steps: job.steps.into_iter().map(step).collect(),
                ..Details::default()
            }
            .kept(),
        };
        JobReport::from_outside(said, harmless_up_to)
    }
}

fn step(step: gitea::Step) -> Step {
    Step {
        name: step.name,
        conclusion: step.conclusion,
        started_at: step.started_at.map(Time::from),
        completed_at: step.completed_at.map(Time::from),
    }
}

/// The path says after an `@` which ref ran.
fn run_details(run: &gitea::Run) -> RunDetails {
    let path = run.path.split_once('@').map_or(run.path.as_str(), |(path, _)| path);
    let (event, workflow_path) = (Some(run.event.clone()), Some(path.to_owned()));
    RunDetails { number: run.run_number, event, workflow_path }.cleaned(harmless_up_to)
}

fn owner(target: &Target) -> Owner<'_> {
    match target {
        Target::Repository(name) => Owner::Repository(name),
        Target::Organization(login) => Owner::Organization(login),
    }
}

fn is_public(wire: &gitea::Repository) -> bool {
    !wire.private && !wire.internal
}

fn repository(wire: gitea::Repository, owned_by_organization: bool) -> Repository {
    let public = is_public(&wire);
    Repository {
        former: Vec::new(),
        id: RepositoryId(wire.id),
        full_name: wire.full_name,
        html_url: wire.html_url,
        visibility: if public { Visibility::Public } else { Visibility::Private },
        // A count of forks says nothing: code can be pushed for review without one, and a fork
        // that was deleted is not counted. It costs one call a run, and no rate limit.
        forkable: true,
        owned_by_organization,
        topics: wire.topics.map(Topics::from_outside),
    }
}

fn about_runners(error: &gitea::Error, target: &Target) -> Error {
    let scope = match target {
        Target::Repository(_) => "write:repository (its user must own the repository)",
        Target::Organization(_) => "write:organization (its user must own the organization)",
    };
    about(error, scope, target.name())
}

/// With the scope that the token for `on` needs, where it may be that.
fn about(error: &gitea::Error, scope: &str, on: &str) -> Error {
    let mend = match error {
        gitea::Error::Unauthorized { .. } => {
            Some(format!("give roustabout a token for {on} that has {scope}"))
        }
        gitea::Error::Forbidden { .. } => Some(format!("the token for {on} lacks {scope}")),
        gitea::Error::NotFound { .. } => {
            Some(format!("does {on} exist, and does its token have {scope}?"))
        }
        gitea::Error::Unknown { .. } => Some("roustabout needs Gitea 1.25 or newer".to_owned()),
        _ => None,
    };
    Error { mend, ..bare(error) }
}

fn with_mend(error: &gitea::Error, mend: String) -> Error {
    let error = bare(error);
    let mend = error.refuses().then_some(mend);
    Error { mend, ..error }
}

fn bare(error: &gitea::Error) -> Error {
    let kind = match error {
        gitea::Error::Unauthorized { .. } => Kind::Unauthorized,
        gitea::Error::Forbidden { .. } => Kind::Forbidden,
        gitea::Error::NotFound { .. } => Kind::NotFound,
        gitea::Error::Unavailable { .. } => Kind::Away,
        gitea::Error::Unknown { .. } | gitea::Error::Protocol { .. } => Kind::Other,
    };
    Error { kind, what: error.to_string(), mend: None, retry_after: None }
}
