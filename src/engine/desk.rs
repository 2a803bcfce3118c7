//! The ledger's questions to the forges: whose credential, in which order the seam's are asked,
//! how many at once, and who is away.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::health::Health;
use crate::credential::{Jit, Token};
use crate::forge::{Error, Forge, Forges, Look, LookMemory, Round, owner_of};
use crate::ledger::effect::{Registration, RunJobs, Target};
use crate::ledger::event::{Answer, AtForge, Deletion, JobsOfRuns, MintOutcome, RunFacts};
use crate::ledger::observation::{Observation, Registered};
use crate::ledger::superseded::Pair;
use crate::ledger::{JobId, JobReport, RepositoryId, RunId, RunnerName};

/// Questions in flight at once: far under GitHub's limit of 100.
const AT_ONCE: usize = 8;
/// How many runs one question about a class asks for, at most; the rest still waits, as far
/// as anybody knows.
const RUNS_A_QUESTION: usize = 30;
/// How many jobs that a listing lacks one question asks for by id, at most.
const BY_ID_A_QUESTION: usize = 10;

/// Asks on behalf of the ledger, and tells `Health` who is away.
#[derive(Clone)]
pub struct Desk {
    forges: Forges,
    health: Health,
    places: Arc<Semaphore>,
}

impl Desk {
    pub fn new(forges: Forges, health: Health) -> Self {
        Self { forges, health, places: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// A token that lives at least `life`, by this machine's clock.
    pub async fn mint(&self, target: &Target, life: Duration) -> Answer<Token> {
        let forge = self.forges.of(target.owner())?;
        self.ask(target.owner(), forge, forge.mint(target, life)).await
    }

    /// A runner's own credential.
    pub async fn mint_for(
        &self,
        runner: &RunnerName,
        target: &Target,
        labels: &[String],
        group: Option<&str>,
    ) -> Result<Jit, MintOutcome> {
        let refused = |error: Error| MintOutcome::Refused(error.into());
        let forge = self.forges.of(target.owner()).map_err(refused)?;
        let asked = forge.mint_for(target, runner, labels, group);
        match self.asked(target.owner(), forge, asked).await {
            Ok(Some(jit)) => Ok(jit),
            Ok(None) => Err(MintOutcome::NameTaken),
            Err(error) if error.is_certain() => Err(refused(error)),
            Err(error) => Err(MintOutcome::Unknown(error.into())),
        }
    }

    /// The same, where one of this name that nobody can have the credential of makes way.
    pub async fn mint_in_place(
        &self,
        runner: &RunnerName,
        target: &Target,
        labels: &[String],
        group: Option<&str>,
    ) -> Result<Jit, MintOutcome> {
        match self.mint_for(runner, target, labels, group).await {
            Err(MintOutcome::NameTaken) => {}
            other => return other,
        }
        let refused = |error: Error| MintOutcome::Refused(error.into());
        let (owner, forge) = (target.owner(), self.forges.of(target.owner()).map_err(refused)?);
        let found = self.asked(owner, forge, forge.runner(target, runner)).await;
        let id = match found.map_err(refused)? {
            Some(Registered { id, busy: false, online: false, .. }) => id,
            // In use, or listings lag.
            Some(_) | None => return Err(MintOutcome::NameTaken),
        };
        let deleted = self.asked(owner, forge, forge.delete_runner(target, id)).await;
        match deleted.map_err(refused)? {
            Deletion::NoNewJob => self.mint_for(runner, target, labels, group).await,
            Deletion::Busy => Err(MintOutcome::NameTaken),
        }
    }

    pub async fn run_facts(
        &self,
        repository: RepositoryId,
        full_name: &str,
        run: RunId,
    ) -> Answer<RunFacts> {
        let forge = self.forges.of_repository(full_name)?;
        self.ask(full_name, forge, forge.run_facts(repository, full_name, run)).await
    }

    pub async fn pair(&self, full_name: &str, older: RunId, newer: RunId) -> Answer<Pair> {
        let forge = self.forges.of_repository(full_name)?;
        self.ask(full_name, forge, forge.pair(full_name, older, newer)).await
    }

    pub async fn cancel(&self, full_name: &str, run: RunId, force: bool) -> Answer<()> {
        let forge = self.forges.of_repository(full_name)?;
        self.ask(full_name, forge, forge.cancel(full_name, run, force)).await
    }

    pub async fn job(
        &self,
        full_name: &str,
        job: JobId,
        at_work: bool,
    ) -> Answer<Option<JobReport>> {
        let forge = self.forges.of_repository(full_name)?;
        self.ask(full_name, forge, forge.job(full_name, job, at_work)).await
    }

    /// The repository and its open jobs, without what sweeps remember of it.
    pub async fn look(&self, full_name: &str) -> Answer<Observation> {
        let forge = self.forges.of_repository(full_name)?;
        let (mut memory, round) = (LookMemory::default(), Round::default());
        let look = forge.look(full_name, &mut memory, &round);
        match self.ask(full_name, forge, look).await {
            Ok(Look { repository, reports, began, unseen, cut }) => {
                let repository = Box::new(repository);
                Ok(Observation::Swept { repository, reports, began, unseen, cut })
            }
            Err(failure) => Err(failure),
        }
    }

    /// What became of the jobs of these runs; stops early once all of `names` are found.
    pub async fn jobs(&self, runs: &[RunJobs], names: &[RunnerName]) -> Answer<JobsOfRuns> {
        let JobsOfRuns { mut reports, mut looked_at, removed } = JobsOfRuns::default();
        let mut by_id = BY_ID_A_QUESTION;
        let mut failed = None;
        'runs: for asked in runs.iter().take(RUNS_A_QUESTION) {
            let forge = self.forges.of_repository(&asked.full_name)?;
            let listing = forge.jobs_of_run(&asked.full_name, asked.run);
            let listed = match self.ask(&asked.full_name, forge, listing).await {
                Ok(listed) => listed,
                // What is known so far counts; of this run nobody knows more than before. One that
                // cannot be asked about holds up no other.
                Err(failure) => {
                    let come_back_later = failure.retry_after.is_some();
                    failed.get_or_insert(failure);
                    if come_back_later {
                        break;
                    }
                    continue;
                }
            };
            let before = reports.len();
            reports.extend(listed);
            looked_at.push(asked.run);
            // Absence from a listing moves nothing: who is missing is asked for by id.
            for id in &asked.jobs {
                if by_id == 0 || reports[before..].iter().any(|report| report.id == *id) {
                    continue;
                }
                by_id -= 1;
                match self.job(&asked.full_name, *id, true).await {
                    Ok(report) => reports.extend(report),
                    Err(failure) => {
                        looked_at.pop();
                        failed.get_or_insert(failure);
                        continue 'runs;
                    }
                }
            }
            let found = |name: &RunnerName| {
                reports.iter().any(|r| r.runner_name.as_deref() == Some(name.as_str()))
            };
            if !names.is_empty() && names.iter().all(found) {
                break;
            }
        }
        match failed {
            Some(failure) if looked_at.is_empty() => Err(failure),
            _ => Ok(JobsOfRuns { reports, looked_at, removed }),
        }
    }

    /// The same, and which of these registrations the forge has removed, of runners that no job
    /// names.
    pub async fn jobs_and_registrations(
        &self,
        runs: &[RunJobs],
        names: &[RunnerName],
        registrations: &[Registration],
    ) -> Answer<JobsOfRuns> {
        let mut seen = self.jobs(runs, names).await?;
        for Registration { runner, target, id } in registrations {
            let named = |report: &JobReport| report.runner_name.as_deref() == Some(runner.as_str());
            if seen.reports.iter().any(named) {
                continue;
            }
            let forge = self.forges.of(target.owner())?;
            if self.ask(target.owner(), forge, forge.runner_by_id(target, *id)).await?.is_none() {
                seen.removed.push(runner.clone());
            }
        }
        Ok(seen)
    }

    /// The name (or the id, where that is known) among the scope's runners, else among the running jobs of `repositories`, else
    /// among all jobs of `runs`.
    pub async fn find(
        &self,
        name: &RunnerName,
        target: &Target,
        id: Option<u64>,
        repositories: &[String],
        runs: &[RunJobs],
    ) -> Answer<AtForge> {
        let forge = self.forges.of(target.owner())?;
        let found = match id {
            Some(id) => self.ask(target.owner(), forge, forge.runner_by_id(target, id)).await?,
            None => self.ask(target.owner(), forge, forge.runner(target, name)).await?,
        };
        if let Some(runner) = found {
            let Registered { id, busy, online, .. } = runner;
            return Ok(AtForge::Registered { id, busy, online });
        }
        for repository in repositories {
            let forge = self.forges.of_repository(repository)?;
            let running = forge.running_job(repository, name);
            if let Some(report) = self.ask(repository, forge, running).await? {
                return Ok(AtForge::Named(Box::new(report)));
            }
        }
        // Run by run, for here a failure must not pass for an answer: somebody would be hired.
        for run in runs.iter().take(RUNS_A_QUESTION) {
            let found = self.jobs(std::slice::from_ref(run), std::slice::from_ref(name)).await?;
            let mut jobs = found.reports.into_iter();
            if let Some(job) = jobs.find(|job| job.runner_name.as_deref() == Some(name.as_str())) {
                return Ok(AtForge::Named(Box::new(job)));
            }
        }
        Ok(AtForge::Nowhere)
    }

    pub async fn delete(&self, target: &Target, id: u64) -> Answer<Deletion> {
        let forge = self.forges.of(target.owner())?;
        self.ask(target.owner(), forge, forge.delete_runner(target, id)).await
    }

    async fn ask<T>(
        &self,
        on: &str,
        forge: &Forge,
        question: impl Future<Output = Result<T, Error>>,
    ) -> Answer<T> {
        Ok(self.asked(on, forge, question).await?)
    }

    async fn asked<T>(
        &self,
        on: &str,
        forge: &Forge,
        question: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        // Never closed, so there is always a permit to come.
        let place = self.places.acquire().await;
        let answer = question.await;
        drop(place);
        let owner = owner_of(on);
        let owners = self.forges.with_owners(owner).map_or(owner, |(_, owners)| owners);
        report(&self.health, forge, owners, answer.as_ref().err());
        answer
    }
}

/// Tells whether the forge is well, as this answer shows it.
pub fn report(health: &Health, forge: &Forge, owners: &str, error: Option<&Error>) {
    let trouble = error
        .filter(|error| error.is_trouble())
        .map(|error| format!("{} (credential for {owners})", error.what));
    health.report(&forge.name().to_lowercase(), owners, trouble);
}
