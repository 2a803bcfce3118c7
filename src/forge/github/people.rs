//! What people are told of jobs that nothing was ever heard of: GitHub's own words, and why
//! no webhook may have come.

use super::asks::Asks;
use super::look::UNFINISHED;
use super::{GitHub, about};
use crate::forge::{Error, Told, Which, owner_of};
use crate::github::{self, App, Client, Hook, Operation};
use crate::ledger::{JobId, Repository, RunId};

impl GitHub {
    pub async fn told(&self, full_name: &str, which: Which) -> Result<Vec<Told>, Error> {
        let client = self.share_of(full_name);
        let jobs = match which {
            Which::Run(run) => client.jobs_of_run(full_name, run.0).await,
            Which::Number(number) => jobs_of_number(&client, full_name, number).await,
            Which::Job(job) => client.job(full_name, job.0).await.map(|job| vec![job]),
        };
        let jobs = jobs.map_err(|error| about(&error, Operation::Runs, full_name))?;
        Ok(jobs.into_iter().map(told).collect())
    }

    pub async fn why_unheard(&self, repository: &Repository) -> String {
        let name = &repository.full_name;
        if let Asks::As(app) = &self.asks {
            return why_unheard_of_app(app, name).await;
        }
        let client = self.share_of(name);
        let hooks = match client.hooks(name).await {
            Ok(hooks) => hooks,
            Err(error) => {
                let why = about(&error, Operation::Hooks, name);
                return format!("cannot see whether {name} has a webhook: {why}");
            }
        };
        if let Some(hook) = of_jobs(&hooks) {
            return last_word(name, hook);
        }
        if !repository.owned_by_organization {
            return format!("{name} has no active webhook for jobs");
        }
        let owner = owner_of(name);
        match client.organization_hooks(owner).await {
            Ok(hooks) => match of_jobs(&hooks) {
                Some(hook) => last_word(owner, hook),
                None => format!("neither {name} nor {owner} has an active webhook for jobs"),
            },
            Err(_) => format!(
                "{name} has no active webhook for jobs, and the token cannot see whether {owner} has one"
            ),
        }
    }
}

/// An App has one webhook for all that it is installed on.
async fn why_unheard_of_app(app: &App, name: &str) -> String {
    let owner = owner_of(name);
    if let Err(error) = app.installation(owner).await {
        let why = about(&error, Operation::Repository, owner);
        return format!("no webhook tells of {name}: {why}");
    }
    match app.hook_config().await {
        Ok(hook) => format!("the GitHub App sends webhooks of {name} to {}", hook.url),
        Err(github::Error::NotFound { .. }) => {
            format!("the GitHub App has no active webhook, so none tells of {name}")
        }
        Err(error) => {
            let why = about(&error, Operation::Hooks, name);
            format!("cannot see whether the GitHub App has a webhook: {why}")
        }
    }
}

/// Of the run with this id, else of the runs that are not over and have it for a number: no
/// question finds an older one.
async fn jobs_of_number(
    client: &Client,
    full_name: &str,
    number: u64,
) -> Result<Vec<github::WorkflowJob>, github::Error> {
    match client.jobs_of_run(full_name, number).await {
        Err(github::Error::NotFound { .. }) => {}
        answer => return answer,
    }
    let mut jobs = Vec::new();
    for status in UNFINISHED {
        let runs = client.runs(full_name, status).await?;
        for run in runs.iter().filter(|run| run.run_number == Some(number)) {
            jobs.extend(client.jobs_of_run(full_name, run.id).await?);
        }
    }
    Ok(jobs)
}

fn told(job: github::WorkflowJob) -> Told {
    let status = match job.status {
        github::JobStatus::Queued => "queued",
        github::JobStatus::Waiting => "waiting",
        github::JobStatus::InProgress => "in_progress",
        github::JobStatus::Completed => "completed",
        github::JobStatus::Other(ref other) => other,
    };
    Told {
        id: JobId(job.id),
        run: RunId(job.run_id),
        status: status.to_owned(),
        over: job.status == github::JobStatus::Completed,
        name: job.name,
        labels: job.labels,
        conclusion: job.conclusion,
        runner_name: job.runner_name,
        url: job.html_url,
    }
    .made_harmless()
}

fn of_jobs(hooks: &[Hook]) -> Option<&Hook> {
    hooks.iter().find(|hook| hook.active && hook.tells_of_jobs())
}

fn last_word(whose: &str, hook: &Hook) -> String {
    let last = hook.last_response.as_ref().and_then(|last| last.code).filter(|code| *code != 0);
    let sends = format!("{whose} has a webhook for jobs (to {})", hook.url);
    match last {
        Some(code) if (200..300).contains(&code) => {
            format!("{sends}, and its last delivery was accepted")
        }
        Some(code) => format!("{sends}, and its last delivery was answered with {code}"),
        None => format!("{sends}, and none of its deliveries has been answered"),
    }
}
