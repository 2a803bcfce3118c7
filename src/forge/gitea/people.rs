//! What people are told of jobs that nothing was ever heard of: Gitea's own words, and why no
//! webhook may have come.

use super::look::OPEN;
use super::{Gitea, about};
use crate::forge::{Error, Told, Which, owner_of};
use crate::gitea::{self, Hook, Owner};
use crate::ledger::{JobId, Repository, RunId};

impl Gitea {
    pub async fn told(&self, full_name: &str, which: Which) -> Result<Vec<Told>, Error> {
        let jobs = match which {
            Which::Run(run) => self.client.jobs_of_run(full_name, run.0).await,
            Which::Number(number) => self.jobs_of_number(full_name, number).await,
            Which::Job(job) => self.client.job(full_name, job.0).await.map(|job| vec![job]),
        };
        let jobs = jobs.map_err(|error| about(&error, "read:repository", full_name))?;
        Ok(jobs.into_iter().map(told).collect())
    }

    /// Of the run with this id, else of the runs that are not over and have it for a number.
    async fn jobs_of_number(
        &self,
        full_name: &str,
        number: u64,
    ) -> Result<Vec<gitea::WorkflowJob>, gitea::Error> {
        match self.client.jobs_of_run(full_name, number).await {
            Ok(jobs) if !jobs.is_empty() => return Ok(jobs),
            Ok(_) | Err(gitea::Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        let mut jobs = Vec::new();
        let runs = self.client.runs(Owner::Repository(full_name), &OPEN).await?;
        for run in runs.iter().filter(|run| run.run_number == Some(number)) {
            jobs.extend(self.client.jobs_of_run(full_name, run.id).await?);
        }
        Ok(jobs)
    }

    pub async fn why_unheard(&self, repository: &Repository, path: &str) -> String {
        let name = &repository.full_name;
        let hooks = match self.client.hooks(Owner::Repository(name)).await {
            Ok(hooks) => hooks,
            Err(error) => {
                let why = about(&error, "read:repository, of an administrator of it", name);
                return format!("cannot see whether {name} has a webhook: {why}");
            }
        };
        if let Some(hook) = of_jobs(&hooks, path) {
            return sends(name, hook);
        }
        if !repository.owned_by_organization {
            return format!("{name} has no active webhook for jobs");
        }
        let owner = owner_of(name);
        match self.client.hooks(Owner::Organization(owner)).await {
            Ok(hooks) => match of_jobs(&hooks, path) {
                Some(hook) => sends(owner, hook),
                None => format!("neither {name} nor {owner} has an active webhook for jobs"),
            },
            Err(_) => format!(
                "{name} has no active webhook for jobs, and the token cannot see whether {owner} has one"
            ),
        }
    }
}

fn told(job: gitea::WorkflowJob) -> Told {
    let status = match job.status {
        gitea::JobStatus::Queued => "queued",
        gitea::JobStatus::Waiting => "waiting",
        gitea::JobStatus::InProgress => "in_progress",
        gitea::JobStatus::Completed => "completed",
        gitea::JobStatus::Other(ref other) if other.is_empty() => "in no known state",
        gitea::JobStatus::Other(ref other) => other,
    };
    Told {
        id: JobId(job.id),
        run: RunId(job.run_id),
        status: status.to_owned(),
        over: job.status == gitea::JobStatus::Completed,
        name: job.name,
        labels: job.labels,
        conclusion: job.conclusion,
        runner_name: job.runner_name,
        url: job.html_url,
    }
    .made_harmless()
}

fn of_jobs<'a>(hooks: &'a [Hook], path: &str) -> Option<&'a Hook> {
    let mut of_jobs = hooks.iter().filter(|hook| hook.active && hook.tells_of_jobs());
    let ours = |hook: &&Hook| url::Url::parse(&hook.url).is_ok_and(|url| url.path() == path);
    let first = of_jobs.clone().next();
    of_jobs.find(ours).or(first)
}

fn sends(whose: &str, hook: &Hook) -> String {
    format!(
        "{whose} has a webhook for jobs (to {}), Gitea's API does not show its deliveries (its page does) and does not repeat failed ones",
        hook.url
    )
}
