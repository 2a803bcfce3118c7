//! `explain`: gathers what rows, engine, Nomad and GitHub know of a job; and deliveries that
//! could not be read.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;
use url::Url;

use super::at_forge::{ASKED, Said};
use super::json::DeliveryJson;
use super::named::Named;
use super::shared::{Door, Explainer, Shared, ask, no_answer, problem, read, unread};
use crate::explain::{self, Asked, Explained, JobStory, Known, Lack, Unseen};
use crate::ledger::{Job, JobId, JobStatus, RunId, Runner, ScopeKey};
use crate::store::{Reader, StoreError};

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
    let found = match read(&shared, move |reader| find(reader, &question)).await {
        Ok(found) => found,
        Err(error) => return unread(&error),
    };
    if let Some(why) = elsewhere(&shared, &asked, found.page.as_deref()) {
        return problem(StatusCode::NOT_FOUND, &why);
    }
    let mut known = found.jobs;
    let (mut unheard, note) = match unheard(&shared, &asked, &known).await {
        Ok((unheard, note)) => (unheard, note),
        Err(unseen) if known.is_empty() => match held_back(&shared, &asked).await {
            Some(note) => (Vec::new(), Some(note)),
            None => return unknown(&asked, found.of, unseen),
        },
        Err(Unseen { why, .. }) => (Vec::new(), Some(format!("it may have more jobs: {why}"))),
    };
    // Known under the name that the repository had before.
    let ids: Vec<JobId> = unheard.iter().map(|job| JobId(job.id)).collect();
    let renamed = read(&shared, move |reader| {
        ids.iter().filter_map(|id| reader.job(*id).transpose()).collect::<Result<Vec<Job>, _>>()
    });
    match renamed.await {
        Ok(renamed) => known.extend(renamed),
        Err(error) => return unread(&error),
    }
    unheard.retain(|job| known.iter().all(|known| known.id().0 != job.id));
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
    let note = match note {
        None if stories.is_empty() => held_back(&shared, &asked).await,
        note => note,
    };
    Json(Explained::of(stories, note)).into_response()
}

/// Not here, and at the forge neither or not to be found out now; `of`: whose the one of this id is.
fn unknown(asked: &Asked, of: Option<String>, Unseen { why, lack }: Unseen) -> Response {
    let of = of.map(|name| format!(" (the one of this id is of {name})")).unwrap_or_default();
    let asked = asked.in_words();
    let why = format!("no webhook and no sweep reported {asked}{of}, and {why}");
    let (status, wait) = match lack {
        Lack::NotThere => (StatusCode::NOT_FOUND, None),
        Lack::Away(wait) => (StatusCode::SERVICE_UNAVAILABLE, wait),
        Lack::Share(wait) => (StatusCode::TOO_MANY_REQUESTS, Some(wait)),
    };
    let mut answer = problem(status, &why);
    if let Some(wait) = wait {
        answer.headers_mut().insert(header::RETRY_AFTER, (wait.as_secs() + 1).into());
    }
    answer
}

/// Why a run has no jobs yet, where it waits for its concurrency group.
async fn held_back(shared: &Shared, asked: &Asked) -> Option<String> {
    let (repository, run) = match asked {
        Asked::Run { repository, run, .. } => (repository, *run),
        Asked::Number { repository, number } => (repository, RunId(*number)),
        Asked::Job(_) | Asked::JobAt { .. } => return None,
    };
    let end = explain::time_for_looks();
    let forges = &shared.explainer.forges;
    let about = (repository.to_ascii_lowercase(), run);
    let question = explain::ahead(forges, repository, run, end);
    let said = shared.at_forge.ask(&shared.at_forge.ahead, about, ASKED, question).await;
    let ahead = said.answer()?;
    (!ahead.is_empty()).then(|| format!("it {}", ahead.join("; it ")))
}

/// What the rows have of it.
struct Found {
    jobs: Vec<Job>,
    /// The repository of what has this id, where it is not the one that was asked for.
    of: Option<String>,
    /// The page of a repository of this forge.
    page: Option<String>,
}

/// A repository that is named counts: ids of two forges, or a slip, may meet.
fn find(reader: &Reader, asked: &Asked) -> Result<Found, StoreError> {
    let mut jobs: Vec<Job> = match asked {
        Asked::Job(job) | Asked::JobAt { job, .. } => reader.job(*job)?.into_iter().collect(),
        Asked::Run { run, .. } => reader.jobs_of_run(*run)?,
        Asked::Number { repository, number } => {
            let mut jobs = reader.jobs_of_number(repository, *number)?;
            jobs.extend(reader.jobs_of_run(RunId(*number))?);
            jobs.sort_by_key(Job::id);
            jobs.dedup_by_key(|job| job.id());
            jobs
        }
    };
    let any = jobs.first().map(|job| job.repository_name.clone());
    if let Some(repository) = asked.repository() {
        jobs.retain(|job| job.repository_name.eq_ignore_ascii_case(repository));
    }
    let page = reader.any_repository()?.map(|repository| repository.html_url);
    Ok(Found { of: any.filter(|_| jobs.is_empty()), jobs, page })
}

/// Why the page that was given is none of this daemon's forge. It answers for one forge: its own
/// host is known by the address of its API, or by a repository's page.
fn elsewhere(shared: &Shared, asked: &Asked, page: Option<&str>) -> Option<String> {
    let asked = asked.host()?;
    let github = &shared.explainer.settings.github;
    let host = |url: &Url| url.host_str().map(str::to_lowercase);
    // GitHub's own, and that of an enterprise at ghe.com.
    let is_api = |host: &&str| host.ends_with("github.com") || host.ends_with(".ghe.com");
    let api = host(&github.api_url).map(|host| match host.strip_prefix("api.").filter(is_api) {
        Some(page) => page.to_owned(),
        None => host,
    });
    let page = page.and_then(|page| host(&Url::parse(page).ok()?));
    let ours: Vec<&String> = api.iter().chain(&page).collect();
    // An address of this machine, and nothing heard yet: its pages may be anywhere.
    let unsure = page.is_none() && transport::is_loopback(&github.api_url);
    if unsure || ours.iter().any(|host| *host == asked) {
        return None;
    }
    let ours = page.as_ref().or(api.as_ref())?;
    Some(format!("{asked} is not the forge of this daemon, which works with {ours}"))
}

/// What GitHub has to be asked about: a job that is not known, and the rest of a run; with what has to be
/// said of the answer.
async fn unheard(
    shared: &Shared,
    asked: &Asked,
    known: &[Job],
) -> Result<(Vec<JobStory>, Option<String>), Unseen> {
    if !known.is_empty() && asked.is_one() {
        return Ok((Vec::new(), None));
    }
    let Explainer { forges, settings, rules, .. } = &shared.explainer;
    // A bare id needs no question to be no answer.
    let question = explain::never_seen(forges, settings, rules, asked);
    let said = match asked {
        Asked::Job(_) => Said::Now(question.await),
        asked => {
            let at_forge = &shared.at_forge;
            at_forge.ask(&at_forge.unheard, asked.clone(), ASKED, question).await
        }
    };
    let note = said.note(forges.name());
    let mut jobs = match said {
        Said::Nothing(wait) => {
            return Err(Unseen { why: note.unwrap_or_default(), lack: Lack::Share(wait) });
        }
        Said::Now(answer) | Said::Before(answer, _) => answer?,
    };
    jobs.retain(|job| known.iter().all(|known| known.id().0 != job.id));
    Ok((jobs, note))
}

async fn story(
    shared: &Shared,
    job: Job,
    waits: Option<String>,
    end: Instant,
) -> Result<JobStory, StoreError> {
    let known = gathered(shared, job, waits, end).await?;
    let at_forge = at_forge(shared, &known, end, ASKED).await;
    let mut story = explain::tell(&known, &shared.explainer.rules);
    story.now.extend(at_forge);
    Ok(story)
}

/// What rows and Nomad know of a job.
pub(super) async fn gathered(
    shared: &Shared,
    job: Job,
    waits: Option<String>,
    end: Instant,
) -> Result<Known, StoreError> {
    let id = job.id();
    let (mut runners, happened) = read(shared, move |reader| {
        let runners = reader.runners_of(id)?;
        let names: Vec<&str> = runners.iter().map(|runner| runner.name.as_str()).collect();
        let happened = reader.timeline(id, &names)?;
        Ok((runners, happened))
    })
    .await?;
    if job.is_demand() && !runners.iter().any(Runner::is_supply) {
        let others = read(shared, |reader| reader.open_runners(OTHERS)).await?;
        runners.extend(others.into_iter().filter(|it| it.is_supply() && may_take(it, &job)));
    }
    let first = runners.len().saturating_sub(RUNNERS);
    let runners = runners.split_off(first);
    let looks =
        explain::look(&shared.explainer.nomad, &shared.explainer.rules, &runners, end).await;
    let runners = runners.into_iter().zip(looks).collect();
    let turn = match job.is_demand() {
        true => ask(shared.asking.turn(id)).await.ok(),
        false => None,
    };
    Ok(Known { job, runners, happened, waits, turn })
}

/// What the forge says of what keeps a job that waits, and of its runner; an answer may be as old as `fresh`.
pub(super) async fn at_forge(
    shared: &Shared,
    known: &Known,
    end: Instant,
    fresh: Duration,
) -> Vec<String> {
    let job = &known.job;
    let Explainer { forges, settings, .. } = &shared.explainer;
    let held = job.report.status == JobStatus::Waiting;
    if !job.is_demand() && !held {
        return Vec::new();
    }
    let question = async {
        // What the forge holds back may wait for a concurrency group.
        if held {
            return explain::ahead(forges, &job.repository_name, job.report.run, end).await;
        }
        let mut lines = explain::obstacles(forges, settings, job, end).await;
        lines.extend(explain::registration(forges, known, end).await);
        lines
    };
    let about = (job.id(), job.report.status);
    let said = shared.at_forge.ask(&shared.at_forge.obstacles, about, fresh, question).await;
    let note = said.note(forges.name());
    let mut lines = said.answer();
    // Where nothing was said, its age is no news.
    let note = note.filter(|_| lines.as_ref().is_none_or(|lines| !lines.is_empty()));
    let mut lines = lines.take().unwrap_or_default();
    lines.extend(note);
    lines.extend(explain::rate_limit(forges, &job.repository_name));
    lines
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
            &format!("delivery {id} is not kept: only the last 100 that were not understood are"),
        ),
    }
}
