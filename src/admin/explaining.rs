//! `explain`: gathers what rows, engine, Nomad and GitHub know of a job; and deliveries that
//! could not be read.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;

use super::door::{Door, Shared, ask, no_answer, problem, read, unread};
use super::json::DeliveryJson;
use super::named::Named;
use crate::explain::{self, Asked, Explained, JobStory, Known};
use crate::ledger::{Job, Runner, ScopeKey};
use crate::store::StoreError;

/// Of how many runners of one job Nomad is asked: the newest.
const RUNNERS: usize = 3;
/// How many open runners are looked through for others of the job's class.
const OTHERS: usize = 200;

pub(super) async fn job(State(shared): Door, Named(asked): Named) -> Response {
    let asked = match Asked::read(&asked) {
        Ok(asked) => asked,
        Err(why) => return problem(StatusCode::BAD_REQUEST, &why),
    };
    let question = asked.clone();
    let known = read(&shared, move |reader| match question {
        Asked::Job(job) | Asked::JobAt { job, .. } => Ok(reader.job(job)?.into_iter().collect()),
        Asked::Run { run, .. } => reader.jobs_of_run(run),
    });
    let known: Vec<Job> = match known.await {
        Ok(known) => known,
        Err(error) => return unread(&error),
    };
    let (unheard, note) = match unheard(&shared, &asked, &known).await {
        Ok(unheard) => (unheard, None),
        Err(why) if known.is_empty() => {
            let why = format!("nothing was ever heard of {}, and {why}", asked.in_words());
            return problem(StatusCode::NOT_FOUND, &why);
        }
        Err(why) => (Vec::new(), Some(format!("it may have more jobs: {why}"))),
    };
    let reasons = match ask(shared.asking.reasons(known.iter().map(Job::id).collect())).await {
        Ok(reasons) => reasons,
        Err(why) => return no_answer(why),
    };
    let end = explain::time_for_looks();
    let mut stories = Vec::new();
    for job in known {
        let waits = reasons.get(&job.id()).cloned();
        match story(&shared, job, waits, end).await {
            Ok(story) => stories.push(story),
            Err(error) => return unread(&error),
        }
    }
    stories.extend(unheard);
    Json(Explained::of(stories, note)).into_response()
}

/// What GitHub has to be asked about: a job that is not known, and the rest of a run.
async fn unheard(shared: &Shared, asked: &Asked, known: &[Job]) -> Result<Vec<JobStory>, String> {
    if !known.is_empty() && !matches!(asked, Asked::Run { .. }) {
        return Ok(Vec::new());
    }
    let Explainer { forges, settings, rules, .. } = &shared.explainer;
    let mut jobs = explain::never_seen(forges, settings, rules, asked).await?;
    jobs.retain(|job| known.iter().all(|known| known.id().0 != job.id));
    Ok(jobs)
}

async fn story(
    shared: &Shared,
    job: Job,
    waits: Option<String>,
    end: Instant,
) -> Result<JobStory, StoreError> {
    let id = job.id();
    let (mut runners, happened) = read(shared, move |reader| {
        let runners = reader.runners_of(id)?;
        let names: Vec<&str> = runners.iter().map(|runner| runner.name.as_str()).collect();
        let happened = reader.timeline(id, &names)?;
        Ok((runners, happened))
    })
    .await?;
    if job.is_demand() && !runners.iter().any(Runner::is_supply) {
        let others = read(shared, |reader| reader.runners(OTHERS)).await?;
        runners.extend(others.into_iter().filter(|it| it.is_supply() && may_take(it, &job)));
    }
    let first = runners.len().saturating_sub(RUNNERS);
    let runners = runners.split_off(first);
    let looks = explain::look(&shared.explainer.nomad, &runners, end).await;
    let runners = runners.into_iter().zip(looks).collect();
    Ok(explain::tell(&Known { job, runners, happened, waits }, &shared.explainer.rules))
}

/// Whether it was hired for jobs such as this.
fn may_take(runner: &Runner, job: &Job) -> bool {
    let class = &runner.class;
    let owner = job.repository_name.split_once('/').map_or("", |(owner, _)| owner);
    Some(&class.pool) == job.pool.as_ref()
        && class.run.is_none_or(|run| run == job.report.run)
        && match &class.scope {
            ScopeKey::Repository(id) => *id == job.repository,
            ScopeKey::Organization(login) => login.eq_ignore_ascii_case(owner),
        }
}

pub(super) async fn delivery(State(shared): Door, Named(id): Named) -> Response {
    let asked = id.clone();
    match read(&shared, move |reader| reader.unparsed(&asked)).await {
        Err(error) => unread(&error),
        Ok(Some(unparsed)) => Json(DeliveryJson::of(unparsed)).into_response(),
        Ok(None) => problem(
            StatusCode::NOT_FOUND,
            &format!("no delivery {id} is kept: only the last 100 that could not be read are"),
        ),
    }
}

/// Whom `explain` asks beside store and engine.
pub struct Explainer {
    pub forges: crate::forge::Forges,
    pub nomad: crate::nomad::Client,
    pub settings: std::sync::Arc<crate::config::Settings>,
    pub rules: crate::ledger::Rules,
}
