//! A job's page: what `explain` says, as a timeline with the time between its steps, and links to where
//! it runs.

use std::time::Duration;

use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use url::Url;

use super::super::at_forge::WATCHED;
use super::super::explaining;
use super::super::named::Named;
use super::super::shared::{Door, Explainer, Shared, ask, read};
use super::words::number;
use super::{Viewer, frame, runners, status};
use crate::config::{NomadAddress, Settings};
use crate::explain::{self, JobStory, Known, Line, Look};
use crate::ledger::{Job, Runner};
use crate::nomad::Allocation;

/// Lines of a story that are shown: the newest.
const LINES: usize = 300;

pub(super) async fn page(
    State(shared): Door,
    Extension(viewer): Extension<Viewer>,
    id: Named,
) -> Response {
    let Some(id) = id.job() else {
        return frame::problem(StatusCode::BAD_REQUEST, "a job's id is a number");
    };
    let job = match read(&shared, move |reader| reader.job(id)).await {
        Err(error) => return frame::problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        Ok(None) => {
            let why = format!("no webhook and no sweep reported job {id}");
            return frame::problem(StatusCode::NOT_FOUND, &why);
        }
        Ok(Some(job)) => job,
    };
    let waits = match ask(shared.asking.reasons(vec![id])).await {
        Ok(mut reasons) => reasons.remove(&id),
        Err(why) => return frame::problem(StatusCode::SERVICE_UNAVAILABLE, why),
    };
    let end = explain::time_for_looks();
    let known = match explaining::gathered(&shared, job, waits, end).await {
        Ok(known) => known,
        Err(error) => return frame::problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    };
    let at_forge = explaining::at_forge(&shared, &known, end, WATCHED).await;
    let mut story = explain::tell(&known, &shared.explainer.rules);
    story.now.extend(at_forge);
    frame::page(&name(&known.job), &viewer, &content(&shared, &viewer, &known, &story))
}

fn name(job: &Job) -> String {
    match job.report.name.as_str() {
        "" => format!("Job {}", job.id()),
        name => name.to_owned(),
    }
}

fn content(shared: &Shared, viewer: &Viewer, known: &Known, story: &JobStory) -> Markup {
    let job = &known.job;
    let report = &job.report;
    let runners: Vec<&str> = known.runners.iter().map(|(runner, _)| runner.name.as_str()).collect();
    let word = report.conclusion.as_deref().unwrap_or(report.status.as_str());
    html! {
        article data-job=(job.id()) data-runners=(runners.join(" ")) {
            p.path { a href="/" { "Status" } " / job " (job.id()) }
            h1 { (name(job)) " " (status::badge(word)) }
            p.sentence { (frame::capital(&story.sentence)) "." }
            dl.facts {
                div { dt { "Repository" } dd { (job.repository_name) } }
                @if let Some(workflow) = &report.workflow { div { dt { "Workflow" } dd { (workflow) } } }
                @if let Some(branch) = &report.head_branch { div { dt { "Branch" } dd { (branch) } } }
                @if let Some(actor) = &report.actor { div { dt { "Triggered by" } dd { (actor) } } }
                div { dt { "Labels" } dd { (report.labels.join(", ")) } }
                @if let Some(pool) = &job.pool {
                    div { dt { "Pool" } dd { a href={ "/#pool-" (pool.as_str()) } { (pool.as_str()) } } }
                }
                div { dt { "Run" } dd { (run(job, shared.explainer.rules.forge.name)) } }
            }
            @if job.ended_at.is_none() && job.pool.is_some() && !report.status.has_begun() {
                form.buttons method="post" action={ "/jobs/" (job.id()) "/retry" } {
                    (viewer.key())
                    button id="retry" { "Retry now" }
                    span.hint { "Looks at this job again now, whatever backoff says." }
                }
            }
            @if !story.now.is_empty() {
                section.card aria-labelledby="now" {
                    h2 id="now" { "Now" }
                    ul { @for line in &story.now { li { (frame::capital(line)) } } }
                }
            }
            @if !known.runners.is_empty() { (its_runners(shared, known)) }
            (timeline(&story.timeline))
        }
    }
}

/// At the forge, where it said the address.
fn run(job: &Job, forge: &str) -> Markup {
    let run = job.report.run;
    let page = job.report.url.as_deref().and_then(page_of_run);
    html! {
        @match page {
            Some((run_page, job_page)) => {
                a href=(run_page) rel="noreferrer" { "run " (run) } ", "
                a href=(job_page) rel="noreferrer" { "job at " (forge) }
            },
            None => { "run " (run) },
        }
    }
}

/// The run's page and the job's: `…/actions/runs/1/job/2`, at Gitea `…/runs/1/jobs/2`.
fn page_of_run(url: &str) -> Option<(String, String)> {
    let url = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let job = String::from(url);
    let end = job.rfind("/job/").or_else(|| job.rfind("/jobs/"))?;
    job[..end].contains("/actions/runs/").then(|| (job[..end].to_owned(), job.clone()))
}

fn its_runners(shared: &Shared, known: &Known) -> Markup {
    html! {
        section.card aria-labelledby="runners" {
            h2 id="runners" { "Runners" }
            ul.rows.two {
                @for (runner, look) in &known.runners {
                    li {
                        span.what { (runner.name.as_str()) span.from { (runners::life(runner)) } }
                        span.why {
                            @if let Some(child) = &runner.child {
                                "Nomad job "
                                @match nomad_job(&shared.explainer, runner) {
                                    Some(url) => a href=(url) rel="noreferrer" { (child) },
                                    None => (child),
                                }
                            }
                            @if let Some(Look::Placed(allocations)) = look {
                                @for one in allocations { (allocation(&shared.explainer, runner, one)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn allocation(explainer: &Explainer, runner: &Runner, allocation: &Allocation) -> Markup {
    let short: String = allocation.id.chars().take(8).collect();
    html! {
        span.sub {
            "allocation "
            @match nomad_page(explainer, runner, &["allocations", &allocation.id]) {
                Some(url) => a href=(url) rel="noreferrer" { (short) },
                None => (short),
            }
            " on node " (allocation.node_name) ": " (allocation.client_status.to_string())
        }
    }
}

fn timeline(lines: &[Line]) -> Markup {
    // Of one runner it is said above.
    let mut named: Vec<&String> = lines.iter().filter_map(|line| line.runner.as_ref()).collect();
    named.sort_unstable();
    named.dedup();
    let several = named.len() > 1;
    let earlier = lines.len().saturating_sub(LINES);
    let shown = &lines[earlier..];
    html! {
        section.card aria-labelledby="timeline" {
            h2 id="timeline" { "Timeline" }
            @if earlier > 0 {
                p.note { (number(earlier as u64)) " earlier lines: " code { "roustabout explain" } " prints them." }
            }
            ol.timeline {
                @for (place, line) in shown.iter().enumerate() {
                    @let before = place.checked_sub(1).map(|place| &shown[place]);
                    li data-warn[line.warn] {
                        span.after {
                            @if let Some(time) = before.and_then(|before| between(before, line)) {
                                span.hidden { "after " } "+" (time)
                            }
                        }
                        span.event {
                            @if line.warn { span.hidden { "Warning: " } }
                            (frame::capital(&line.what))
                            @if let Some(runner) = line.runner.as_ref().filter(|_| several) { span.from { (runner) } }
                        }
                        time datetime=(line.at) title=(line.at) { (clock_time(&line.at)) }
                    }
                }
            }
        }
    }
}

/// The time of a step since the one before; nothing within the same second.
fn between(before: &Line, line: &Line) -> Option<String> {
    let at = |line: &Line| line.at.parse::<jiff::Timestamp>().ok();
    let seconds = at(line)?.as_second() - at(before)?.as_second();
    status::for_a_while(Duration::from_secs(u64::try_from(seconds).ok()?))
}

/// `2026-11-30 04:12:09`, in UTC as everywhere.
fn clock_time(at: &str) -> String {
    at.trim_end_matches('Z').replace('T', " ")
}

/// Where Nomad's UI is: as the config says, else at the address.
pub(super) fn nomad_ui(settings: &Settings) -> Option<&Url> {
    let nomad = &settings.nomad;
    nomad.ui_url.as_ref().or(match &nomad.address {
        NomadAddress::Http(url) => Some(url),
        NomadAddress::Unix(_) => None,
    })
}

/// The page of a runner's child.
pub(super) fn nomad_job(explainer: &Explainer, runner: &Runner) -> Option<Url> {
    let place = explainer.rules.place_of_runner(runner);
    let child = format!("{}@{}", runner.child.as_ref()?, place.namespace);
    nomad_page(explainer, runner, &["jobs", &child])
}

fn nomad_page(explainer: &Explainer, runner: &Runner, path: &[&str]) -> Option<Url> {
    let mut url = nomad_ui(&explainer.settings)?.clone();
    let mut segments = url.path_segments_mut().ok()?;
    segments.pop_if_empty().push("ui").extend(path);
    drop(segments);
    if let Some(region) = &explainer.rules.place_of_runner(runner).region {
        url.query_pairs_mut().append_pair("region", region);
    }
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runs_page_is_the_jobs_without_its_end() {
        let page = |url: &str| page_of_run(url).map(|(run, _)| run);
        let run = "https://github.com/octo/app/actions/runs/1";
        assert_eq!(page(&format!("{run}/job/2")).as_deref(), Some(run));
        assert_eq!(page(&format!("{run}/jobs/0")).as_deref(), Some(run));
        for none in ["javascript:alert(1)/job/2", "https://evil.example.org/job/2", run, ""] {
            assert_eq!(page(none), None, "{none}");
        }
    }

    #[test]
    fn the_time_between_two_steps() {
        let line =
            |at: &str| Line { at: at.to_owned(), what: String::new(), runner: None, warn: false };
        let first = line("2026-11-30T04:12:09Z");
        assert_eq!(between(&first, &line("2026-11-30T04:12:09Z")), None);
        assert_eq!(between(&first, &line("2026-11-30T04:13:19Z")).as_deref(), Some("1 min 10 s"));
        assert_eq!(clock_time(&first.at), "2026-11-30 04:12:09");
    }
}
