//! GitHub behind the seam: which calls answer a question, and what an answer means. Wire types
//! of `crate::github` become the ledger's here.
//!
//! `look` is the sweep's question, `logs` what a hook failed to deliver, `people` what is told
//! to people.

mod asks;
mod changes;
mod groups;
mod hooks;
mod logs;
mod look;
mod mend;
mod people;
mod superseded;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use clock::Clock;
use transport::{Server, Transport};
use url::Url;

pub use self::asks::Asks;
use self::changes::Changes;
use self::groups::{Groups, THE_ONE_OF_A_REPOSITORY};
pub use self::groups::{obstacles, policy_obstacle};
pub use self::logs::LogMemory;
pub use self::look::LookMemory;
pub use self::mend::mend;
use super::{Error, Kind, Listed};
use crate::config::{By, Credential};
use crate::credential::{Jit, Token};
use crate::github::{
    self, App, BuildError, Client, DeleteOutcome, Grant, JitConfig, JitRunner, Operation, Pages,
    Purpose, RunnersOf,
};
use crate::ledger::effect::Target;
use crate::ledger::event::{Deletion, RunFacts};
use crate::ledger::observation::Registered;
use crate::ledger::{
    Details, JobId, JobReport, JobStatus, Repository, RepositoryId, RunCause, RunDetails, RunId,
    RunnerName, Step, Time, Topics, Visibility,
};
use strangers_text::{harmless, harmless_up_to};

/// A job that waits is younger than its run's own state for about this long, by GitHub's clock.
const SETTLED: Duration = Duration::from_secs(120);

#[derive(Clone)]
pub struct GitHub {
    asks: Asks,
    /// Whose repositories they are: as the config lists them, so `*` may be among them.
    owners: Arc<[String]>,
    changes: Changes,
    groups: Groups,
}

/// The last listing, by whose it is: of a page that has not changed since, asking again costs no
/// rate limit.
pub struct ListMemory<T>(BTreeMap<String, Pages<T>>);

impl<T> Default for ListMemory<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl GitHub {
    pub fn new(api: Server, credential: &Credential) -> Result<Self, BuildError> {
        Ok(Self::asking(Asks::by(api, credential)?, credential))
    }

    /// As [`new`](Self::new), by another way than HTTP and another clock.
    pub fn over(wire: Transport, api_url: Url, credential: &Credential, clock: Clock) -> Self {
        let asks = match &credential.by {
            By::Token(token) => Asks::By(Client::over(wire, api_url, token.clone(), clock)),
            By::App(app) => {
                let key = app.key.clone();
                Asks::As(App::over(wire, api_url, &app.issuer, key, clock))
            }
        };
        Self::asking(asks, credential)
    }

    fn asking(asks: Asks, credential: &Credential) -> Self {
        let owners = credential.owners.clone().into();
        Self { asks, owners, changes: Changes::default(), groups: Groups::default() }
    }

    pub async fn access_changed(&self, owner: &str, installation: Option<u64>) {
        if let Asks::As(app) = &self.asks {
            app.renew(owner, installation).await;
        }
    }

    pub fn repository_changed(&self, id: RepositoryId) {
        self.changes.happened(id);
    }

    /// Requests that are left for the first of its owners; `None` where nothing was said of a limit.
    pub fn remaining(&self) -> Option<u64> {
        let owner = self.owners.first().map_or("", String::as_str);
        self.asks.reading(owner).remaining()
    }

    /// For requests of which one repository may make only so many.
    fn share_of(&self, repository: &str) -> Client {
        let purpose = Purpose::For(repository.to_ascii_lowercase().into());
        self.asks.reading(repository).with_purpose(purpose)
    }

    /// Likewise, for what can wait.
    fn in_background(&self, whose: &str) -> Client {
        let purpose = Purpose::Background(whose.to_ascii_lowercase().into());
        self.asks.reading(whose).with_purpose(purpose)
    }

    /// For what is at work and therefore takes up room.
    fn at_work(&self, repository: &str) -> Client {
        self.asks.reading(repository).with_purpose(Purpose::Important)
    }

    /// `GET /rate_limit` does not count (GitHub docs, "Rate limit").
    pub async fn probe(&self) -> Result<(), Error> {
        let clients: Vec<Client> = match &self.asks {
            Asks::By(client) => vec![client.clone()],
            Asks::As(app) => {
                let named = self.owners.iter().filter(|owner| *owner != "*");
                named.map(|owner| app.client(owner, Grant::Read)).collect()
            }
        };
        for client in clients {
            match client.rate_limit().await {
                // Enterprise Server may have rate limits switched off: it answered, all the same.
                Ok(_) | Err(github::Error::NotFound { .. } | github::Error::Forbidden { .. }) => {}
                Err(error) => return Err(bare(&error)),
            }
        }
        Ok(())
    }

    pub async fn mint(&self, target: &Target, life: Duration) -> Result<Token, Error> {
        let of = runners_of(target);
        let client = self.asks.runners(target);
        let token = client.registration_token(of).await;
        let token = token.map_err(|error| about(&error, Operation::Runners(of), target.name()))?;
        // GitHub's clock counts for its tokens, ours for how long we wait.
        let ends = Time(token.expires_at.as_millisecond() - ahead(&client));
        let now = Time::from(client.clock().now());
        if ends < now + life {
            return Err(Error {
                kind: Kind::Other,
                what: format!(
                    "GitHub's registration token expires at {ends}, sooner than placement_timeout and boot_timeout together ({} s)",
                    life.as_secs()
                ),
                mend: Some("make them shorter".to_owned()),
                retry_after: None,
            });
        }
        Ok(Token { secret: token.token, ends })
    }

    pub async fn mint_for(
        &self,
        target: &Target,
        name: &RunnerName,
        labels: &[String],
        group: Option<&str>,
    ) -> Result<Option<Jit>, Error> {
        let of = runners_of(target);
        let group = match target {
            Target::Repository(_) => THE_ONE_OF_A_REPOSITORY,
            Target::Organization(login) => self.group_id(login, group).await?,
        };
        let runner = JitRunner { name: name.as_str(), labels, group };
        match self.asks.runners(target).jit_config(of, runner).await {
            Ok(JitConfig { runner, config }) => Ok(Some(Jit { id: runner, config })),
            Err(github::Error::Conflict { .. }) => Ok(None),
            Err(error) => {
                if let Target::Organization(login) = target {
                    // It may have been deleted, or made anew under another id.
                    self.groups.forget(login);
                }
                Err(about(&error, Operation::Runners(of), target.name()))
            }
        }
    }

    pub async fn runner_by_id(
        &self,
        target: &Target,
        id: u64,
    ) -> Result<Option<Registered>, Error> {
        let of = runners_of(target);
        match self.asks.runners(target).runner(of, id).await {
            Ok(found) => Ok(Some(registered(found))),
            Err(github::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(about(&error, Operation::Runners(of), target.name())),
        }
    }

    pub async fn run_facts(
        &self,
        repository: RepositoryId,
        full_name: &str,
        run: RunId,
    ) -> Result<RunFacts, Error> {
        let run = self.share_of(full_name).run(full_name, run.0).await;
        let run = run.map_err(|error| about(&error, Operation::Runs, full_name))?;
        let cause = RunCause { event: Some(run.event.clone()), actor: run.actor.clone() };
        Ok(RunFacts {
            is_fork: run.head_repository.as_ref().is_none_or(|head| head.id != repository.0),
            cause: cause.cleaned(harmless_up_to),
            run: run_details(&run),
        })
    }

    pub async fn job(
        &self,
        full_name: &str,
        job: JobId,
        at_work: bool,
    ) -> Result<Option<JobReport>, Error> {
        let client = if at_work { self.at_work(full_name) } else { self.share_of(full_name) };
        match client.job(full_name, job.0).await {
            // GitHub says the same of what the token may not see. Only where the repository is in
            // sight is the job gone.
            Err(github::Error::NotFound { .. }) => {
                self.repository(full_name).await?;
                Ok(None)
            }
            Err(error) => Err(about(&error, Operation::Runs, full_name)),
            Ok(job) => {
                let mut reports = vec![report(job)];
                end_with_their_run(&client, full_name, &mut reports).await?;
                Ok(reports.pop())
            }
        }
    }

    pub async fn jobs_of_run(&self, full_name: &str, run: RunId) -> Result<Vec<JobReport>, Error> {
        let client = self.at_work(full_name);
        let jobs = match client.jobs_of_run(full_name, run.0).await {
            // Deleted, where the repository is in sight: of its jobs none is left.
            Err(github::Error::NotFound { .. }) => {
                self.repository(full_name).await?;
                return Ok(Vec::new());
            }
            jobs => jobs.map_err(|error| about(&error, Operation::Runs, full_name))?,
        };
        let mut reports: Vec<JobReport> = jobs.into_iter().map(report).collect();
        end_with_their_run(&client, full_name, &mut reports).await?;
        Ok(reports)
    }

    pub async fn running_job(
        &self,
        full_name: &str,
        name: &RunnerName,
    ) -> Result<Option<JobReport>, Error> {
        let runs = self.at_work(full_name).runs(full_name, "in_progress").await;
        let runs = runs.map_err(|error| about(&error, Operation::Runs, full_name))?;
        for run in runs {
            let jobs = self.jobs_of_run(full_name, RunId(run.id)).await?;
            let mut jobs = jobs.into_iter();
            let named = jobs.find(|job| job.runner_name.as_deref() == Some(name.as_str()));
            if named.is_some() {
                return Ok(named);
            }
        }
        Ok(None)
    }

    pub async fn runner(
        &self,
        target: &Target,
        name: &RunnerName,
    ) -> Result<Option<Registered>, Error> {
        let of = runners_of(target);
        let listed = self.asks.runners(target).runners(of, Some(name.as_str())).await;
        let listed =
            listed.map_err(|error| about(&error, Operation::Runners(of), target.name()))?;
        Ok(listed.into_iter().find(|runner| runner.name == name.as_str()).map(registered))
    }

    /// The registration of a runner in words, for people.
    pub async fn registration(
        &self,
        target: &Target,
        name: &RunnerName,
    ) -> Result<Option<String>, Error> {
        let of = runners_of(target);
        let purpose = Purpose::For(target.name().to_ascii_lowercase().into());
        let client = self.asks.runners(target).with_purpose(purpose);
        let listed = client.runners(of, Some(name.as_str())).await;
        let listed =
            listed.map_err(|error| about(&error, Operation::Runners(of), target.name()))?;
        Ok(listed.first().map(|runner| {
            let version = runner.version.as_deref().map(harmless);
            let version = version.map(|version| format!(", actions/runner {version}"));
            format!(
                "registered as runner {}, {}, {}{}",
                runner.id,
                if runner.status == "online" { "online" } else { "offline" },
                if runner.busy { "busy" } else { "idle" },
                version.unwrap_or_default()
            )
        }))
    }

    pub async fn runners(
        &self,
        target: &Target,
        memory: &mut ListMemory<Registered>,
    ) -> Result<Vec<Registered>, Error> {
        let of = runners_of(target);
        let purpose = Purpose::Background(target.name().to_ascii_lowercase().into());
        let client = self.asks.runners(target).with_purpose(purpose);
        let known = memory.0.entry(String::new()).or_default();
        let answer = client.runners_again(of, known, registered).await;
        answer.map_err(|error| about(&error, Operation::Runners(of), target.name()))?;
        Ok(known.items().cloned().collect())
    }

    pub async fn delete_runner(&self, target: &Target, id: u64) -> Result<Deletion, Error> {
        let of = runners_of(target);
        let outcome = self.asks.runners(target).delete_runner(of, id).await;
        let outcome =
            outcome.map_err(|error| about(&error, Operation::Runners(of), target.name()))?;
        Ok(match outcome {
            DeleteOutcome::Deleted | DeleteOutcome::NotFound => Deletion::NoNewJob,
            DeleteOutcome::Busy => Deletion::Busy,
        })
    }

    pub async fn repository(&self, full_name: &str) -> Result<Repository, Error> {
        let found = self.share_of(full_name).repository(full_name).await;
        let found = found.map_err(|error| about(&error, Operation::Repository, full_name))?;
        Ok(repository(found))
    }

    pub async fn repositories(
        &self,
        memory: &mut ListMemory<Listed>,
    ) -> Result<Vec<Listed>, Error> {
        let listed = |repository: github::Repository| Listed {
            owned_by_organization: repository.owned_by_organization,
            public: is_public(&repository),
            archived: repository.archived,
            full_name: repository.full_name,
            topics: repository.topics.map(Topics::from_outside),
        };
        match &self.asks {
            Asks::By(client) => {
                let client = client.with_purpose(Purpose::Important);
                let known = memory.0.entry(String::new()).or_default();
                let answer = client.my_repositories_again(known, listed).await;
                answer.map_err(|error| bare(&error))?;
            }
            Asks::As(app) => {
                let owners = self.installed_owners(app).await?;
                memory.0.retain(|owner, _| owners.contains(owner));
                for owner in owners {
                    let client = app.client(&owner, Grant::Read).with_purpose(Purpose::Important);
                    let known = memory.0.entry(owner.clone()).or_default();
                    let answer = client.installation_repositories_again(known, listed).await;
                    answer.map_err(|error| about(&error, Operation::Repository, &owner))?;
                }
            }
        }
        Ok(memory.0.values().flat_map(Pages::items).cloned().collect())
    }

    /// The credential's, where they are named; else all that have installed the App.
    async fn installed_owners(&self, app: &App) -> Result<BTreeSet<String>, Error> {
        if self.owners.iter().all(|owner| owner != "*") {
            return Ok(self.owners.iter().map(|owner| owner.to_ascii_lowercase()).collect());
        }
        let all = app.installations().await.map_err(|error| bare(&error))?;
        let active = all.into_iter().filter(|one| one.suspended_at.is_none());
        Ok(active.map(|one| one.account.login.to_ascii_lowercase()).collect())
    }
}

/// Milliseconds that GitHub's clock is ahead of ours, as its last answer showed.
fn ahead(client: &Client) -> i64 {
    client
        .server_clock()
        .map_or(0, |(server, local)| server.as_millisecond() - local.as_millisecond())
}

/// A job that waits for ever in a run that is over (it failed to start, was cancelled, deleted
/// or started again) has ended with it: GitHub gives it to nobody.
async fn end_with_their_run(
    client: &Client,
    full_name: &str,
    reports: &mut [JobReport],
) -> Result<(), Error> {
    let settled = Time(Time::from(client.clock().now() - SETTLED).0 + ahead(client));
    let waits = |report: &&mut JobReport| {
        report.status.rank() == 0 && report.created_at.is_none_or(|at| at <= settled)
    };
    let Some(run) = reports.iter_mut().find(waits).map(|report| report.run) else {
        return Ok(());
    };
    let run = match client.run(full_name, run.0).await {
        Ok(run) => Some(run),
        // The job was found, so the repository is in sight.
        Err(github::Error::NotFound { .. }) => None,
        Err(error) => return Err(about(&error, Operation::Runs, full_name)),
    };
    for report in reports.iter_mut().filter(waits) {
        let why = match &run {
            None => "its run was deleted".to_owned(),
            Some(run) if u64::from(run.run_attempt) > report.run_attempt => {
                "its run was started again".to_owned()
            }
            Some(run)
                if run.status == "completed"
                    && u64::from(run.run_attempt) == report.run_attempt =>
            {
                let how = run.conclusion.as_deref().unwrap_or("completed");
                format!("its run is over: {}", harmless(how))
            }
            Some(_) => continue,
        };
        report.status = JobStatus::Completed;
        report.conclusion = Some(why);
    }
    Ok(())
}

fn registered(runner: github::Runner) -> Registered {
    let online = runner.status != "offline";
    Registered { id: runner.id, name: runner.name, busy: runner.busy, online }
}

fn runners_of(target: &Target) -> RunnersOf<'_> {
    match target {
        Target::Repository(name) => RunnersOf::Repository(name),
        Target::Organization(login) => RunnersOf::Organization(login),
    }
}

/// What is not said may be: then the stricter holds, as it does for webhooks.
fn is_public(wire: &github::Repository) -> bool {
    wire.visibility.as_deref().map_or(!wire.private, |visibility| visibility == "public")
}

fn repository(wire: github::Repository) -> Repository {
    let public = is_public(&wire);
    Repository {
        former: Vec::new(),
        id: RepositoryId(wire.id),
        full_name: wire.full_name,
        html_url: wire.html_url,
        visibility: if public { Visibility::Public } else { Visibility::Private },
        forkable: wire.forks_count != 0 && wire.allow_forking != Some(false),
        owned_by_organization: wire.owned_by_organization,
        topics: wire.topics.map(Topics::from_outside),
    }
}

/// `requested` and `pending` (held by a concurrency group), and any status that we do not know, are
/// jobs that cannot run yet: they wait, and are asked about again.
fn report(job: github::WorkflowJob) -> JobReport {
    let status = match job.status {
        github::JobStatus::Queued => JobStatus::Queued,
        github::JobStatus::Waiting | github::JobStatus::Other(_) => JobStatus::Waiting,
        github::JobStatus::InProgress => JobStatus::InProgress,
        github::JobStatus::Completed => JobStatus::Completed,
    };
    let said = JobReport {
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
        details: Details {
            started_at: job.started_at.map(Time::from),
            completed_at: job.completed_at.map(Time::from),
            head_sha: job.head_sha,
            runner_id: job.runner_id,
            runner_group_id: job.runner_group_id,
            runner_group: job.runner_group_name,
            run: RunDetails::default(),
            steps: job.steps.into_iter().map(step).collect(),
        }
        .kept(),
    };
    JobReport::from_outside(said, harmless_up_to)
}

fn step(step: github::Step) -> Step {
    Step {
        name: step.name,
        conclusion: step.conclusion,
        started_at: step.started_at.map(Time::from),
        completed_at: step.completed_at.map(Time::from),
    }
}

fn run_details(run: &github::Run) -> RunDetails {
    let (event, workflow_path) = (Some(run.event.clone()), run.path.clone());
    RunDetails { number: run.run_number, event, workflow_path }.cleaned(harmless_up_to)
}

fn about(error: &github::Error, operation: Operation<'_>, on: &str) -> Error {
    Error { mend: mend(error, operation, on), ..bare(error) }
}

fn bare(error: &github::Error) -> Error {
    let (kind, retry_after) = match error {
        github::Error::HeldBack { wait, .. } | github::Error::RateLimited { wait, .. } => {
            (Kind::Wait, Some(*wait))
        }
        github::Error::OverShare { wait, .. } | github::Error::TooFast { wait, .. } => {
            (Kind::Share, Some(*wait))
        }
        // All requests for that owner fail until somebody does something about it.
        github::Error::Unauthorized { .. }
        | github::Error::AppRefused { .. }
        | github::Error::AppUnknown { .. }
        | github::Error::NotInstalled { .. }
        | github::Error::Suspended { .. } => (Kind::Unauthorized, None),
        github::Error::NotGranted { .. } => (Kind::Forbidden, None),
        github::Error::Forbidden { .. } => (Kind::Forbidden, None),
        github::Error::NotFound { .. } => (Kind::NotFound, None),
        github::Error::Unavailable { .. } => (Kind::Away, None),
        github::Error::Protocol { .. } => (Kind::Garbled, None),
        _ => (Kind::Other, None),
    };
    Error { kind, what: error.to_string(), mend: None, retry_after }
}

#[cfg(test)]
mod tests;
