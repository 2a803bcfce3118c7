//! The questions of the ledger, asked of GitHub: which client, in which order, and what a
//! failure means in words. Wire types of `github` become the ledger's here.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::health::Health;
use crate::config::Settings;
use crate::credential::Token;
use crate::github::{self, Client, DeleteOutcome, Error, Operation, RunnersOf, permission_for};
use crate::ledger::effect::{RunJobs, Target};
use crate::ledger::event::{Answer, AtForge, Deletion, Failure};
use crate::ledger::{JobId, JobReport, JobStatus, RepositoryId, RunId, RunnerName, Time};

/// Requests in flight at once: far under GitHub's limit of 100.
const AT_ONCE: usize = 8;
/// How many runs one question about a class asks for, at most; the rest still waits, as far
/// as anybody knows.
const RUNS_A_QUESTION: usize = 30;

/// One client a credential, and who is whose.
#[derive(Clone)]
pub struct Forges {
    clients: Arc<Vec<(Client, String)>>,
    settings: Arc<Settings>,
    places: Arc<Semaphore>,
}

impl Forges {
    pub fn new(settings: Arc<Settings>) -> Result<Self, github::BuildError> {
        let credentials = &settings.github.credentials;
        let clients = credentials
            .iter()
            .map(|credential| {
                let client =
                    Client::new(settings.github.api_url.clone(), credential.token.clone())?;
                Ok((client, credential.owners.join(", ")))
            })
            .collect::<Result<Vec<_>, github::BuildError>>()?;
        Ok(Self { clients: Arc::new(clients), settings, places: Arc::new(Semaphore::new(AT_ONCE)) })
    }

    /// All clients, each with the owners it is for.
    pub fn clients(&self) -> impl Iterator<Item = (&Client, &str)> {
        self.clients.iter().map(|(client, owners)| (client, owners.as_str()))
    }

    pub fn client(&self, owner: &str) -> Answer<&Client> {
        self.credential(owner).map(|(client, _)| client).ok_or_else(|| Failure {
            reason: format!("no [[github.credentials]] has {owner} among its owners"),
            retry_at: None,
        })
    }

    fn credential(&self, owner: &str) -> Option<&(Client, String)> {
        let (index, _) = self.settings.github.credential_for(owner)?;
        self.clients.get(index)
    }
}

/// Asks on behalf of the ledger, and tells `Health` who is away.
#[derive(Clone)]
pub struct Forge {
    forges: Forges,
    health: Health,
}

impl Forge {
    pub fn new(forges: Forges, health: Health) -> Self {
        Self { forges, health }
    }

    /// A token that lives at least `life`, by this machine's clock.
    pub async fn mint(&self, target: &Target, life: Duration) -> Answer<Token> {
        let client = self.forges.client(target.owner())?;
        let of = runners_of(target);
        let token =
            self.ask(Operation::Runners(of), target.name(), client.registration_token(of)).await?;
        // GitHub's clock counts for its tokens, ours for how long we wait.
        let skew = client
            .server_clock()
            .map_or(0, |(server, local)| local.as_millisecond() - server.as_millisecond());
        let ends = Time(token.expires_at.as_millisecond() + skew);
        let now = Time::from(jiff::Timestamp::now());
        if ends < now + life {
            return Err(Failure {
                reason: format!(
                    "GitHub's registration token ends at {ends}, sooner than placement_timeout and \
                     boot_timeout together ({} s) need; make them shorter",
                    life.as_secs()
                ),
                retry_at: None,
            });
        }
        Ok(Token { secret: token.token, ends })
    }

    /// Whether the run's head is a fork; a head that is gone is one.
    pub async fn is_fork(
        &self,
        repository: RepositoryId,
        full_name: &str,
        run: RunId,
    ) -> Answer<bool> {
        let client = self.client_of(full_name)?;
        let run = self.ask(Operation::Runs, full_name, client.run(full_name, run.0)).await?;
        Ok(run.head_repository.is_none_or(|head| head.id != repository.0))
    }

    pub async fn job(&self, full_name: &str, job: JobId) -> Answer<Option<JobReport>> {
        let client = self.client_of(full_name)?;
        let places = self.forges.places.acquire().await;
        let answer = client.job(full_name, job.0).await;
        drop(places);
        match answer {
            // GitHub says the same of what the token may not see. Only where the repository is in
            // sight is the job gone.
            Err(Error::NotFound { .. }) => {
                self.ask(Operation::Repository, full_name, client.repository(full_name)).await?;
                Ok(None)
            }
            other => self.judge(Operation::Runs, full_name, other).map(report),
        }
    }

    /// What became of the jobs of these runs; stops early once all of `names` are found.
    pub async fn jobs(&self, runs: &[RunJobs], names: &[RunnerName]) -> Answer<Vec<JobReport>> {
        let mut reports: Vec<JobReport> = Vec::new();
        for asked in runs.iter().take(RUNS_A_QUESTION) {
            let client = self.client_of(&asked.full_name)?;
            let listing = client.jobs_of_run(&asked.full_name, asked.run.0);
            let listed = match self.ask(Operation::Runs, &asked.full_name, listing).await {
                Ok(listed) => listed,
                Err(failure) if reports.is_empty() => return Err(failure),
                // What is known so far counts; the rest waits, as far as anybody knows.
                Err(_) => break,
            };
            let before = reports.len();
            reports.extend(listed.into_iter().filter_map(report));
            // Absence from a listing moves nothing: who is missing is asked for by id.
            for id in &asked.jobs {
                if !reports[before..].iter().any(|report| report.id == *id)
                    && let Some(report) = self.job(&asked.full_name, *id).await?
                {
                    reports.push(report);
                }
            }
            let found = |name: &RunnerName| {
                reports.iter().any(|r| r.runner_name.as_deref() == Some(name.as_str()))
            };
            if !names.is_empty() && names.iter().all(found) {
                break;
            }
        }
        Ok(reports)
    }

    /// The name among the scope's runners, else among the running jobs of `repositories`, else
    /// among all jobs of `runs`.
    pub async fn find(
        &self,
        name: &RunnerName,
        target: &Target,
        repositories: &[String],
        runs: &[RunJobs],
    ) -> Answer<AtForge> {
        let client = self.forges.client(target.owner())?;
        let of = runners_of(target);
        let listed = self
            .ask(Operation::Runners(of), target.name(), client.runners(of, Some(name.as_str())))
            .await?;
        if let Some(runner) = listed.into_iter().find(|runner| runner.name == name.as_str()) {
            return Ok(AtForge::Registered { id: runner.id, busy: runner.busy });
        }
        for repository in repositories {
            if let Some(report) = self.running_job(repository, name).await? {
                return Ok(AtForge::Named(Box::new(report)));
            }
        }
        // Run by run, for here a failure must not pass for an answer: somebody would be hired.
        for run in runs.iter().take(RUNS_A_QUESTION) {
            let jobs = self.jobs(std::slice::from_ref(run), std::slice::from_ref(name)).await?;
            let mut jobs = jobs.into_iter();
            if let Some(job) = jobs.find(|job| job.runner_name.as_deref() == Some(name.as_str())) {
                return Ok(AtForge::Named(Box::new(job)));
            }
        }
        Ok(AtForge::Nowhere)
    }

    async fn running_job(&self, repository: &str, name: &RunnerName) -> Answer<Option<JobReport>> {
        let client = self.client_of(repository)?;
        let runs = self
            .ask(Operation::Runs, repository, client.runs(repository, "in_progress", None))
            .await?;
        let github::Conditional::Fresh { value: runs, .. } = runs else { return Ok(None) };
        for run in runs {
            let jobs = self
                .ask(Operation::Runs, repository, client.jobs_of_run(repository, run.id))
                .await?;
            let named =
                jobs.into_iter().find(|job| job.runner_name.as_deref() == Some(name.as_str()));
            if let Some(report) = named.and_then(report) {
                return Ok(Some(report));
            }
        }
        Ok(None)
    }

    pub async fn delete(&self, target: &Target, id: u64) -> Answer<Deletion> {
        let client = self.forges.client(target.owner())?;
        let of = runners_of(target);
        let outcome =
            self.ask(Operation::Runners(of), target.name(), client.delete_runner(of, id)).await?;
        Ok(match outcome {
            DeleteOutcome::Deleted | DeleteOutcome::NotFound => Deletion::NoNewJob,
            DeleteOutcome::Busy => Deletion::Busy,
        })
    }

    fn client_of(&self, full_name: &str) -> Answer<&Client> {
        self.forges.client(full_name.split_once('/').map_or(full_name, |(owner, _)| owner))
    }

    async fn ask<T>(
        &self,
        operation: Operation<'_>,
        on: &str,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Answer<T> {
        // Never closed, so there is always a permit to come.
        let place = self.forges.places.acquire().await;
        let answer = call.await;
        drop(place);
        self.judge(operation, on, answer)
    }

    fn judge<T>(&self, operation: Operation<'_>, on: &str, answer: Result<T, Error>) -> Answer<T> {
        let trouble = match &answer {
            Err(
                error @ (Error::Unavailable { .. }
                | Error::RateLimited { .. }
                | Error::HeldBack { .. }
                | Error::Unauthorized { .. }),
            ) => Some(error.to_string()),
            _ => None,
        };
        let owner = on.split_once('/').map_or(on, |(owner, _)| owner);
        let owners = self.forges.credential(owner).map_or(owner, |(_, owners)| owners.as_str());
        let trouble = trouble.map(|error| format!("{error} (credential for {owners})"));
        self.health.report("github", owners, trouble);
        answer.map_err(|error| failure(&error, operation, on))
    }
}

/// What went wrong, in words that say what to mend.
pub fn failure(error: &Error, operation: Operation<'_>, on: &str) -> Failure {
    let needs = permission_for(operation);
    let reason = match error {
        Error::Unauthorized { .. } => {
            format!("{error}; give roustabout a token for {on} that has {needs}")
        }
        Error::Forbidden { .. } => format!("{error}; the token for {on} lacks {needs}"),
        Error::NotFound { .. } => {
            format!("{error}; does {on} exist, and has its token {needs}?")
        }
        _ => error.to_string(),
    };
    let retry_at = match error {
        Error::HeldBack { until, .. } | Error::RateLimited { until, .. } => {
            Some(Time::from(*until))
        }
        _ => None,
    };
    Failure { reason, retry_at }
}

pub fn runners_of(target: &Target) -> RunnersOf<'_> {
    match target {
        Target::Repository(name) => RunnersOf::Repository(name),
        Target::Organization(login) => RunnersOf::Organization(login),
    }
}

/// `None` for a status that we do not know: it moves nothing.
pub fn report(job: github::WorkflowJob) -> Option<JobReport> {
    let status = match job.status {
        github::JobStatus::Queued => JobStatus::Queued,
        github::JobStatus::Waiting => JobStatus::Waiting,
        github::JobStatus::InProgress => JobStatus::InProgress,
        github::JobStatus::Completed => JobStatus::Completed,
        github::JobStatus::Other(_) => return None,
    };
    Some(JobReport {
        id: JobId(job.id),
        run: RunId(job.run_id),
        run_attempt: job.run_attempt.into(),
        name: job.name,
        workflow: job.workflow_name,
        head_branch: job.head_branch,
        labels: job.labels,
        status,
        conclusion: job.conclusion,
        runner_name: job.runner_name,
        url: job.html_url,
        created_at: job.created_at.map(Time::from),
        actor: None,
    })
}
