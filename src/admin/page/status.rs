//! The status page: what waits and why, who runs where, each pool with its room, and what the daemon
//! works with. Every list is bounded, and says how many there are.

use std::time::Duration;

use axum::extract::{Extension, State};
use axum::response::Response;
use maud::{Markup, html};

use super::super::shared::{Door, Shared, ask, read};
use super::words::{ago, count, number, span};
use super::{Viewer, frame, pools, runners};
use crate::engine::{Few, OpenJob, Overview};
use crate::ledger::{Job, Runner, Time};
use crate::webhook::{Deliveries, Tally};

/// Rows of a list.
const ROWS: usize = 50;
const ENDED: usize = 20;

/// Everything on it.
struct Shown {
    overview: Overview,
    runners: Vec<Runner>,
    ended: Vec<Job>,
    deliveries: Option<Deliveries>,
}

pub(super) async fn page(State(shared): Door, Extension(viewer): Extension<Viewer>) -> Response {
    let overview = match ask(shared.asking.overview(ROWS)).await {
        Ok(overview) => overview,
        Err(why) => return frame::problem(axum::http::StatusCode::SERVICE_UNAVAILABLE, why),
    };
    let rows = read(&shared, |reader| Ok((reader.open_runners(ROWS)?, reader.ended_jobs(ENDED)?)));
    let (runners, ended) = match rows.await {
        Ok(rows) => rows,
        Err(error) => {
            let status = axum::http::StatusCode::INTERNAL_SERVER_ERROR;
            return frame::problem(status, &error.to_string());
        }
    };
    let deliveries = shared.tally.as_ref().map(Tally::deliveries);
    let shown = Shown { overview, runners, ended, deliveries };
    frame::page(&title(&shown.overview), &viewer, &content(&shared, &viewer, &shown))
}

/// As a tab shows it.
fn title(overview: &Overview) -> String {
    match (overview.waiting.total, overview.running.total) {
        (0, 0) => "Status".to_owned(),
        (waiting, running) => {
            format!("{} waiting, {} running", number(waiting as u64), number(running as u64))
        }
    }
}

fn content(shared: &Shared, viewer: &Viewer, shown: &Shown) -> Markup {
    let Shown { overview, runners, ended, deliveries } = shown;
    let status = &overview.status;
    let nothing_yet = overview.waiting.total + overview.running.total + overview.runners == 0
        && ended.is_empty()
        && deliveries.as_ref().is_none_or(|it| it.last_good.is_none());
    html! {
        h1.hidden { "Status" }
        section.summary aria-label="Summary" {
            (figure("Waiting", overview.waiting.total, "#waiting"))
            (figure("Running", overview.running.total, "#running"))
            div.figure {
                strong { (number(status.capacity.alive as u64)) small { " of " (status.capacity.max) } }
                span { "Runners alive" }
                (pools::bar(status.capacity.alive, 0, status.capacity.max))
            }
        }
        @if !status.degraded.is_empty() {
            section.card.trouble aria-labelledby="degraded" {
                h2 id="degraded" { "Degraded" }
                ul { @for part in &status.degraded { li { (part) } } }
            }
        }
        @if nothing_yet { (first_run()) }
        (waiting(overview))
        @if overview.running.total > 0 { (running(overview)) }
        (pools::section(viewer, overview))
        (runners::section(shared, overview, runners))
        (ended_jobs(overview.now, ended))
        (connections(shared, overview, deliveries.as_ref()))
    }
}

fn figure(what: &str, count: usize, to: &str) -> Markup {
    html! { a.figure href=(to) { strong { (number(count as u64)) } span { (what) } } }
}

/// Nobody has been heard of.
fn first_run() -> Markup {
    html! {
        section.card aria-labelledby="first" {
            h2 id="first" { "No webhook has arrived yet" }
            ol {
                li { "Check config, GitHub and Nomad: " code { "roustabout check" } }
                li { "Create the webhooks: " code { "roustabout hooks sync" } }
                li { "Start a workflow whose " code { "runs-on" } " matches a pool below." }
            }
        }
    }
}

fn waiting(overview: &Overview) -> Markup {
    let unserved = &overview.status.unserved;
    html! {
        section.card aria-labelledby="waiting" {
            h2 id="waiting" { "Waiting jobs " (of(&overview.waiting)) }
            @if overview.waiting.total == 0 { p.none { "No job waits for a runner." } }
            ul.rows { @for job in &overview.waiting.jobs { (open_job(job, overview.now)) } }
            (more(&overview.waiting, "waiting", "The jobs that have waited longest are shown."))
            @if overview.held.total > 0 {
                h3 { "Held by GitHub " (of(&overview.held)) }
                p.hint { "An approval, a timer or a concurrency group holds them back." }
                ul.rows { @for job in &overview.held.jobs { (open_job(job, overview.now)) } }
                (more(&overview.held, "held", "The oldest are shown."))
            }
            @if let Some(newest) = &unserved.newest {
                p.note {
                    @if unserved.more { "At least " }
                    (count(unserved.jobs, "job", "jobs")) " that no pool serves; the newest: "
                    a href={ "/jobs/" (newest.job) } { "job " (newest.job) } " of "
                    (newest.repository) ": " (newest.reason)
                }
            }
        }
    }
}

fn running(overview: &Overview) -> Markup {
    html! {
        section.card aria-labelledby="running" {
            h2 id="running" { "Running jobs " (of(&overview.running)) }
            ul.rows {
                @for job in &overview.running.jobs {
                    li id={ "running-" (job.id) } {
                        (named(&job.id.to_string(), &job.name, &job.repository, job.branch.as_deref()))
                        span.why { @if let Some(runner) = &job.runner { "on " (runner) } }
                        (pool(job.pool.as_deref()))
                        (lasts(overview.now, job.began.unwrap_or(job.since), "has run"))
                    }
                }
            }
            (more(&overview.running, "running", "The newest are shown."))
        }
    }
}

fn open_job(job: &OpenJob, now: Time) -> Markup {
    html! {
        li id={ "job-" (job.id) } {
            (named(&job.id.to_string(), &job.name, &job.repository, job.branch.as_deref()))
            span.why { @if let Some(reason) = &job.reason { (frame::capital(reason)) } }
            (pool(job.pool.as_deref()))
            (lasts(now, job.since, "has waited"))
        }
    }
}

/// A job as a link to its page, and where it is from.
fn named(id: &str, name: &str, repository: &str, branch: Option<&str>) -> Markup {
    html! {
        span.what {
            a href={ "/jobs/" (id) } {
                @if name.is_empty() { "job " (id) } @else { (name) }
            }
            span.from {
                (repository)
                @if let Some(branch) = branch { " · " (branch) }
            }
        }
    }
}

fn pool(name: Option<&str>) -> Markup {
    html! { span.pool { @if let Some(name) = name { span.hidden { "pool " } (name) } } }
}

fn lasts(now: Time, since: Time, what: &str) -> Markup {
    html! {
        span.time {
            span.hidden { (what) " " }
            time datetime=(since) title=(since) { (span(now.since(since))) }
        }
    }
}

/// How many there are, where that is not to be seen.
fn of(few: &Few) -> Markup {
    html! { @if few.total > 0 { span.count { (number(few.total as u64)) } } }
}

fn more(few: &Few, what: &str, which: &str) -> Markup {
    let more = few.total.saturating_sub(few.jobs.len());
    html! {
        @if more > 0 {
            p.note { (number(more as u64)) " more " (what) ". " (which) }
        }
    }
}

fn ended_jobs(now: Time, ended: &[Job]) -> Markup {
    html! {
        section.card aria-labelledby="ended" {
            h2 id="ended" { "Recent jobs" }
            @if ended.is_empty() { p.none { "No job has ended yet." } }
            ul.rows {
                @for job in ended { (ended_job(now, job)) }
            }
        }
    }
}

fn ended_job(now: Time, job: &Job) -> Markup {
    let report = &job.report;
    let conclusion = report.conclusion.as_deref().unwrap_or("completed");
    let details = report.details.as_ref();
    let times = details.and_then(|it| it.started_at.zip(it.completed_at));
    html! {
        li id={ "ended-" (job.id()) } {
            (named(&job.id().to_string(), &report.name, &job.repository_name, report.head_branch.as_deref()))
            span.why {
                (badge(conclusion))
                @if let Some((began, ended)) = times {
                    " ran " (span(ended.since(began)))
                    @if let Some(created) = report.created_at {
                        ", waited " (span(began.since(created)))
                    }
                }
            }
            (pool(job.pool.as_ref().map(|pool| pool.as_str())))
            span.time { @if let Some(at) = job.ended_at { (ago(now, at)) } }
        }
    }
}

/// GitHub's word, with a colour that says nothing more than the word.
pub(super) fn badge(word: &str) -> Markup {
    let kind = match word {
        "success" => "good",
        "failure" | "timed_out" | "startup_failure" => "bad",
        _ => "plain",
    };
    html! { span.badge data-kind=(kind) { (word.replace('_', " ")) } }
}

fn connections(shared: &Shared, overview: &Overview, deliveries: Option<&Deliveries>) -> Markup {
    let sweeps = shared.asking.health.sweeps();
    let when = |at: &Option<String>| at.as_deref().and_then(time);
    let limits: Vec<(u64, &str)> = shared
        .explainer
        .forges
        .all()
        .filter_map(|(forge, owners)| Some((forge.remaining()?, owners)))
        .collect();
    html! {
        section.card aria-labelledby="parts" {
            h2 id="parts" { "Connections" }
            dl.facts {
                div {
                    dt { "Webhooks" }
                    dd {
                        @match deliveries {
                            None => "off ([webhook] enabled = false)",
                            Some(deliveries) => {
                                @match when(&deliveries.last_good) {
                                    Some(at) => { "last good one " (ago(overview.now, at)) },
                                    None => "none yet",
                                }
                                @if !deliveries.outcomes.is_empty() {
                                    span.sub { (outcomes(deliveries)) " since the start" }
                                }
                            }
                        }
                    }
                }
                div {
                    dt { "Sweep of all repositories" }
                    dd {
                        @match when(&sweeps.full) {
                            Some(at) => {
                                "ended " (ago(overview.now, at))
                                @if !sweeps.full_complete { span.sub { "some repositories were not answered" } }
                            },
                            None => "not ended since the start",
                        }
                    }
                }
                @if let Some(at) = when(&sweeps.recent) {
                    div { dt { "Sweep of recent repositories" } dd { "began " (ago(overview.now, at)) } }
                }
                @for (left, owners) in &limits {
                    div {
                        dt { (shared.explainer.forges.name()) " rate limit" }
                        dd { (number(*left)) " requests left" span.sub { "credential for " (owners) } }
                    }
                }
                div {
                    dt { "Nomad" }
                    dd {
                        @match super::job::nomad_ui(&shared.explainer.settings) {
                            Some(url) => a href=(url) rel="noreferrer" { (url) },
                            None => "through its socket",
                        }
                    }
                }
            }
        }
    }
}

fn outcomes(deliveries: &Deliveries) -> String {
    let outcomes = deliveries.outcomes.iter();
    let outcomes = outcomes
        .map(|(outcome, count)| format!("{} {}", number(*count), outcome.replace('_', " ")));
    outcomes.collect::<Vec<_>>().join(", ")
}

fn time(text: &str) -> Option<Time> {
    text.parse::<jiff::Timestamp>().ok().map(Time::from)
}

/// For how long it is so, where that is worth a word.
pub(super) fn for_a_while(time: Duration) -> Option<String> {
    (time.as_secs() > 0).then(|| span(time))
}
