//! Jobs that nothing was ever heard of: what GitHub says of them, and why we never heard.

use std::time::Duration;

use super::{Asked, JobStory, sentence};
use crate::config::Settings;
use crate::engine::Forges;
use crate::github::{self, Client, Hook, Operation, WorkflowJob, permission_for};
use crate::ledger::policy::{Judgement, judge};
use crate::ledger::{Repository, RepositoryId, Rules, RunId, Visibility, matching};

/// How long all questions together may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// GitHub's word on the jobs that are asked about. The error says why there is none; it reads
/// after "nothing was ever heard of it, and".
pub async fn never_seen(
    forges: &Forges,
    settings: &Settings,
    rules: &Rules,
    asked: &Asked,
) -> Result<Vec<JobStory>, String> {
    let repository = match asked {
        Asked::Job(_) => {
            let why = "an id alone does not say where to ask: give the address of its page, or \
                       OWNER/REPO#RUN";
            return Err(why.to_owned());
        }
        Asked::JobAt { repository, .. } | Asked::Run { repository, .. } => repository.as_str(),
    };
    let away = |why: &str| format!("GitHub could not be asked: {why}");
    let owner = repository.split_once('/').map_or(repository, |(owner, _)| owner);
    let client = forges.client(owner).map_err(|failure| away(&failure.reason))?;
    let asking = async {
        let jobs = match asked {
            Asked::Run { run, .. } => client.jobs_of_run(repository, run.0).await,
            Asked::Job(job) | Asked::JobAt { job, .. } => {
                client.job(repository, job.0).await.map(|job| vec![job])
            }
        };
        let jobs = jobs.map_err(|error| match error {
            github::Error::NotFound { .. } => {
                format!("GitHub says there is none (or the token for {owner} may not see it)")
            }
            error => away(&in_words(&error, Operation::Runs)),
        })?;
        let found = client.repository(repository).await;
        let found = found.map_err(|error| away(&in_words(&error, Operation::Repository)))?;
        let hooks = why_unheard(client, settings, &found).await;
        let found = as_ours(found);
        Ok(jobs.iter().map(|job| story(job, &found, rules, &hooks)).collect())
    };
    match tokio::time::timeout(PATIENCE, asking).await {
        Ok(answer) => answer,
        Err(_) => Err(away(&format!("no answer within {} s", PATIENCE.as_secs()))),
    }
}

fn story(job: &WorkflowJob, repository: &Repository, rules: &Rules, hooks: &str) -> JobStory {
    let name = sentence::name(job.id, &job.name, &repository.full_name);
    let status = word(&job.status);
    let (pool, served) = served(job, repository, rules);
    let runner = job.runner_name.as_ref().map(|runner| format!(" (runner {runner})"));
    let conclusion = job.conclusion.as_ref().map(|conclusion| format!(", {conclusion}"));
    let said = format!("{status}{}{}", conclusion.unwrap_or_default(), runner.unwrap_or_default());
    let mut now = vec![format!("GitHub says: {said}"), hooks.to_owned(), served.clone()];
    let sentence = if job.status == github::JobStatus::Completed {
        format!("roustabout never heard of {name}: {hooks}; at GitHub it is {said}")
    } else {
        if pool.is_some() {
            now.push("the next sweep of all served repositories finds it".to_owned());
        }
        format!("roustabout has not heard of {name}: {hooks}; at GitHub it is {said}; {served}")
    };
    JobStory {
        id: job.id,
        run_id: job.run_id,
        repository: repository.full_name.clone(),
        name: job.name.clone(),
        url: job.html_url.clone(),
        status: status.to_owned(),
        known: false,
        pool,
        sentence,
        timeline: Vec::new(),
        now,
    }
}

/// The pool that would have it, and in words whether it would.
fn served(job: &WorkflowJob, repository: &Repository, rules: &Rules) -> (Option<String>, String) {
    let run = RunId(job.run_id);
    let found = matching::pool_for(&rules.pools, &repository.full_name, &job.labels, run);
    match found {
        Err(why) => (None, why.to_string()),
        Ok(pool) => match judge(pool, repository, None) {
            Judgement::Refused(why) => (None, why),
            Judgement::Allowed => {
                (Some(pool.name.0.clone()), format!("pool {} would have it", pool.name))
            }
            Judgement::AskFork => (
                Some(pool.name.0.clone()),
                format!("pool {} would have it, unless its run's head is a fork", pool.name),
            ),
        },
    }
}

/// With what the token must have, where it may be that.
fn in_words(error: &github::Error, operation: Operation<'_>) -> String {
    match error {
        github::Error::Unauthorized { .. }
        | github::Error::Forbidden { .. }
        | github::Error::NotFound { .. } => {
            format!("{error} (the token needs {})", permission_for(operation))
        }
        error => error.to_string(),
    }
}

fn word(status: &github::JobStatus) -> &str {
    match status {
        github::JobStatus::Queued => "queued",
        github::JobStatus::Waiting => "waiting",
        github::JobStatus::InProgress => "in_progress",
        github::JobStatus::Completed => "completed",
        github::JobStatus::Other(other) => other,
    }
}

async fn why_unheard(
    client: &Client,
    settings: &Settings,
    repository: &github::Repository,
) -> String {
    if !settings.webhook.enabled {
        return "the webhook door is off ([webhook] enabled), so only sweeps find jobs".to_owned();
    }
    let name = &repository.full_name;
    let hooks = match client.hooks(name).await {
        Ok(hooks) => hooks,
        Err(error) => {
            let why = in_words(&error, Operation::Hooks);
            return format!("whether {name} has a webhook cannot be seen: {why}");
        }
    };
    if let Some(hook) = of_jobs(&hooks) {
        return last_word(name, hook);
    }
    let owner = name.split_once('/').map_or(name.as_str(), |(owner, _)| owner);
    if !repository.owned_by_organization {
        return format!("{name} has no active webhook for jobs");
    }
    match client.organization_hooks(owner).await {
        Ok(hooks) => match of_jobs(&hooks) {
            Some(hook) => last_word(owner, hook),
            None => format!("neither {name} nor {owner} has an active webhook for jobs"),
        },
        Err(_) => format!(
            "{name} has no active webhook for jobs, and whether {owner} has one cannot be seen"
        ),
    }
}

fn of_jobs(hooks: &[Hook]) -> Option<&Hook> {
    let tells = |hook: &&Hook| {
        hook.active && hook.events.iter().any(|event| event == "workflow_job" || event == "*")
    };
    hooks.iter().find(tells)
}

fn last_word(whose: &str, hook: &Hook) -> String {
    let last = hook.last_response.as_ref().and_then(|last| last.code).filter(|code| *code != 0);
    match last {
        Some(code) if (200..300).contains(&code) => format!(
            "{whose} has a webhook for jobs (to {}), and its last delivery was taken",
            hook.url
        ),
        Some(code) => format!(
            "{whose} has a webhook for jobs (to {}), and its last delivery was answered {code}",
            hook.url
        ),
        None => format!(
            "{whose} has a webhook for jobs (to {}), and no delivery of it has been answered",
            hook.url
        ),
    }
}

/// What is not said may be: then the stricter holds, as it does for webhooks.
fn as_ours(repository: github::Repository) -> Repository {
    let public = match repository.visibility.as_deref() {
        Some(visibility) => visibility == "public",
        None => !repository.private,
    };
    Repository {
        id: RepositoryId(repository.id),
        full_name: repository.full_name,
        html_url: repository.html_url,
        visibility: if public { Visibility::Public } else { Visibility::Private },
        forkable: repository.forks_count != 0 && repository.allow_forking != Some(false),
        owned_by_organization: repository.owned_by_organization,
    }
}
