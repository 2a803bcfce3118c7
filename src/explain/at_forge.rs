//! Jobs that nothing was ever heard of: what the forge says of them, and why we never heard.

use std::time::Duration;

use tokio::time::Instant;

use super::{Asked, JobStory, sentence, story};
use crate::config::{self, Settings};
use crate::forge::{Ahead, Error, Forges, Kind, Told, Which, owner_of};
use crate::ledger::effect::Target;
use crate::ledger::policy::{Judgement, Known, judge, restricts};
use crate::ledger::{Job, Repository, Rules, RunId, ScopeKey, ScopeKind, matching};

/// How long all questions together may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The forge's word on the jobs that are asked about. The error says why there is none; it reads
/// after "nothing was ever heard of it, and".
pub async fn never_seen(
    forges: &Forges,
    settings: &Settings,
    rules: &Rules,
    asked: &Asked,
) -> Result<Vec<JobStory>, Unseen> {
    let repository = match asked {
        Asked::Job(_) => {
            let why = "an id alone does not name a repository: give the address of the job's page, or OWNER/REPO#RUN";
            return Err(Unseen::not_there(why));
        }
        Asked::JobAt { repository, .. }
        | Asked::Run { repository, .. }
        | Asked::Number { repository, .. } => repository.as_str(),
    };
    let owner = owner_of(repository);
    let kind = forges.name();
    let forge = forges.of(owner).map_err(|error| Unseen::not_there(error.to_string()))?;
    let which = match asked {
        Asked::Run { run, .. } => Which::Run(*run),
        Asked::Number { number, .. } => Which::Number(*number),
        Asked::Job(job) | Asked::JobAt { job, .. } => Which::Job(*job),
    };
    let asking = async {
        let jobs = forge.told(repository, which).await.map_err(|error| match error.kind {
            Kind::NotFound => Unseen::not_there(format!(
                "it does not exist at {kind}, or the token for {owner} cannot read it"
            )),
            _ => Unseen::of(kind, &error),
        })?;
        if jobs.is_empty() && matches!(which, Which::Number(_)) {
            return Err(Unseen::not_there(format!(
                "{kind} has no run with this id, and no unfinished run with this number: give the address of its page"
            )));
        }
        let found = forge.repository(repository).await;
        let found = found.map_err(|error| Unseen::of(kind, &error))?;
        let hooks = match settings.webhook.enabled {
            true => forge.why_unheard(&found, &settings.webhook.path).await,
            false => {
                "the webhook door is off ([webhook] enabled), so only sweeps find jobs".to_owned()
            }
        };
        Ok(jobs.iter().map(|job| story(job, &found, rules, &hooks, kind)).collect())
    };
    match tokio::time::timeout(PATIENCE, asking).await {
        Ok(answer) => answer,
        Err(_) => Err(Unseen {
            why: format!("{kind} does not answer: no answer within {} s", PATIENCE.as_secs()),
            lack: Lack::Away(None),
        }),
    }
}

/// Why nothing can be told of a job that neither a webhook nor a sweep reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unseen {
    /// Reads after "no webhook reported it, and".
    pub why: String,
    pub lack: Lack,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// It is not there, or cannot be asked about.
    NotThere,
    /// The forge did not answer. It may after that time, where that is known.
    Away(Option<Duration>),
    /// The forge was not asked, for this minute's share of requests is used up. It may be after that time.
    Share(Duration),
}

impl Unseen {
    fn not_there(why: impl Into<String>) -> Self {
        Self { why: why.into(), lack: Lack::NotThere }
    }

    fn of(forge: &str, error: &Error) -> Self {
        let wait = error.retry_after;
        match error.kind {
            Kind::Share => Self {
                why: format!("{forge} was not asked: {error}"),
                lack: Lack::Share(wait.unwrap_or_default()),
            },
            _ => Self { why: format!("{forge} does not answer: {error}"), lack: Lack::Away(wait) },
        }
    }
}

/// What the forge says of why a job that waits gets none of the runners that are there, in words.
pub async fn obstacles(
    forges: &Forges,
    settings: &Settings,
    job: &Job,
    end: Instant,
) -> Vec<String> {
    let pool = job.pool.as_ref().map(|pool| pool.0.as_str());
    let Some(pool) = settings.pools.iter().find(|it| Some(it.name.as_str()) == pool) else {
        return Vec::new();
    };
    let scope = match pool.scope {
        config::ScopeKind::Repository => ScopeKind::Repository,
        config::ScopeKind::Organization => ScopeKind::Organization,
    };
    let asking = async {
        let forge = forges.of_repository(&job.repository_name).ok()?;
        let repository = forge.repository(&job.repository_name).await.ok()?;
        Some(forge.obstacles(&repository, scope, pool.runner_group.as_deref()).await)
    };
    tokio::time::timeout_at(end, asking).await.ok().flatten().unwrap_or_default()
}

/// What the forge says of the registration of the job's runner, where that has been dispatched: the one that
/// is furthest.
pub async fn registration(forges: &Forges, known: &story::Known, end: Instant) -> Option<String> {
    let runners = known.runners.iter().map(|(runner, _)| runner);
    let placed = runners.filter(|it| it.is_supply() && it.child.is_some());
    let runner = placed.max_by_key(|runner| runner.advance())?;
    let target = match &runner.class.scope {
        // The name of today.
        ScopeKey::Repository(_) => Target::Repository(known.job.repository_name.clone()),
        ScopeKey::Organization(_) => Target::Organization(runner.scope_name.clone()),
    };
    let kind = forges.name();
    let asking = async {
        let forge = forges.of(target.owner()).ok()?;
        Some(match forge.registration(&target, &runner.name).await {
            Ok(Some(words)) => format!("{}: {words} at {kind}", runner.name),
            Ok(None) => format!("{}: not registered at {kind}", runner.name),
            Err(error) => {
                format!("{}: {kind} does not say whether it is registered: {error}", runner.name)
            }
        })
    };
    tokio::time::timeout_at(end, asking).await.ok().flatten()
}

/// Fewer requests than these are left of the rate limit: sweeps and questions wait.
const SCARCE: u64 = 500;

/// Whether the rate limit of the credential runs low, as the last answers said. Asks nobody.
pub fn rate_limit(forges: &Forges, full_name: &str) -> Option<String> {
    let (forge, owners) = forges.with_owners(owner_of(full_name)).ok()?;
    let left = forge.remaining().filter(|left| *left < SCARCE)?;
    Some(format!(
        "{}'s rate limit of the credential for {owners}: {left} requests left; what is less urgent waits",
        forges.name()
    ))
}

/// The concurrency groups that the run waits for, and who is ahead, in words.
pub async fn ahead(forges: &Forges, full_name: &str, run: RunId, end: Instant) -> Vec<String> {
    let asking = async {
        let forge = forges.of_repository(full_name).ok()?;
        forge.ahead(full_name, run).await.ok()
    };
    let ahead = tokio::time::timeout_at(end, asking).await.ok().flatten().unwrap_or_default();
    ahead.iter().map(ahead_in_words).collect()
}

fn ahead_in_words(ahead: &Ahead) -> String {
    let held = match &ahead.held_by {
        Some(held_by) => format!("held by {held_by}"),
        None => "held by nobody that GitHub shows".to_owned(),
    };
    let before = match ahead.before {
        0 => String::new(),
        1 => ", and 1 more waits before it".to_owned(),
        more => format!(", and {more} more wait before it"),
    };
    format!("waits for the concurrency group {}: {held}{before}", ahead.group)
}

fn story(job: &Told, repository: &Repository, rules: &Rules, hooks: &str, kind: &str) -> JobStory {
    let name = sentence::name(job.id.0, &job.name, &repository.full_name);
    let (pool, served) = served(job, repository, rules);
    let runner = job.runner_name.as_ref().map(|runner| format!(" (runner {runner})"));
    let conclusion = job.conclusion.as_ref().map(|conclusion| format!(", {conclusion}"));
    let status = &job.status;
    let said = format!("{status}{}{}", conclusion.unwrap_or_default(), runner.unwrap_or_default());
    let mut now = vec![format!("{kind} says: {said}"), hooks.to_owned(), served.clone()];
    let sentence = if job.over {
        format!("no webhook and no sweep reported {name}: {hooks}; at {kind} it is {said}")
    } else {
        if pool.is_some() {
            now.push("the next sweep of all served repositories finds it".to_owned());
        }
        format!("no webhook has reported {name}: {hooks}; at {kind} it is {said}; {served}")
    };
    JobStory {
        id: job.id.0,
        run_id: job.run.0,
        repository: repository.full_name.clone(),
        name: job.name.clone(),
        url: job.url.clone(),
        status: status.clone(),
        known: false,
        pool,
        sentence,
        timeline: Vec::new(),
        now,
    }
}

/// The pool that would have it, and in words whether it would.
fn served(job: &Told, repository: &Repository, rules: &Rules) -> (Option<String>, String) {
    let found = matching::pool_for(&rules.pools, repository.candidate(), &job.labels, job.run);
    match found {
        Err(why) => (None, why.to_string()),
        Ok(pool) => match judge(pool, repository, Known::default()) {
            Judgement::Refused(why) => (None, why),
            Judgement::Allowed => {
                (Some(pool.name.0.clone()), format!("pool {} would serve it", pool.name))
            }
            Judgement::AskRun => (
                Some(pool.name.0.clone()),
                format!(
                    "pool {} would serve it, if its policy allows the run (it restricts {})",
                    pool.name,
                    restricts(pool)
                ),
            ),
        },
    }
}
