//! What ran, as bars: by month, and by repository, owner or whatever is picked. What the words and numbers
//! mean is in `crate::report`. The page does not refresh: it reads every job of its months.

use std::time::Duration;

use axum::extract::{Extension, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};

use super::super::reporting::{asked, tallied};
use super::super::shared::{Door, Shared};
use super::words::{count, number, span};
use super::{Viewer, frame, pools};
use crate::ledger::Time;
use crate::report::{self, By, Line, Period, Report, Storm, Tally};

/// Rows that are shown: those with the most minutes.
const ROWS: usize = 50;
/// The months of the bars on top: as long as rows are kept, and no more than so many.
const MONTHS: usize = 12;
const DAYS_OF_A_MONTH: u64 = 28;

pub(super) async fn page(
    State(shared): Door,
    Extension(viewer): Extension<Viewer>,
    RawQuery(query): RawQuery,
) -> Response {
    let (period, by) = match asked(query.as_deref().unwrap_or_default()) {
        Ok(asked) => asked,
        Err(why) => return frame::problem(StatusCode::BAD_REQUEST, &why),
    };
    let settings = &shared.explainer.settings;
    let months = Period::last_months(months_kept(&shared), shared.clock.now().into());
    let tallies = [Tally::new(period, by, settings), Tally::new(months, By::Month, settings)];
    match tallied(&shared, tallies).await {
        Ok([report, months]) => frame::still("Report", &viewer, &content(&report, &months)),
        Err(error) => frame::problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// How many months there can be rows of.
fn months_kept(shared: &Shared) -> usize {
    let days = shared.explainer.settings.store.retention.as_secs() / 86_400;
    usize::try_from(days / DAYS_OF_A_MONTH + 1).map_or(MONTHS, |months| months.min(MONTHS))
}

fn content(report: &Report, months: &Report) -> Markup {
    let all = &report.totals.line;
    html! {
        h1 { "Report" small { " " (report.from) " to " (report.to) " (UTC)" } }
        (pick(report, months))
        @if all.jobs == 0 {
            section.card { p.none { "No job was run by these runners." } }
        } @else {
            (figures(report))
            section.card aria-labelledby="rows" {
                h2 id="rows" { "By " (report.by.as_str()) }
                (sums(report, |_| None))
            }
        }
        @if months.totals.line.jobs > 0 {
            section.card aria-labelledby="months" {
                h2 id="months" { "By month" }
                (sums(months, |month| Some(path(month, report.by))))
            }
        }
        (superseded(report))
    }
}

fn path(month: &str, by: By) -> String {
    // Digits and a dash, and a word of ours.
    format!("/report?month={month}&by={}", by.as_str())
}

/// Which month, and by what.
fn pick(report: &Report, months: &Report) -> Markup {
    // One whole month, if it is that.
    let (first, last) = (report.from.get(..7), report.to.get(..7));
    let shown = first.filter(|_| first == last && report.from.ends_with("-01"));
    let mut names: Vec<&str> = months.rows.iter().map(|row| row.name.as_str()).collect();
    names.extend(shown.filter(|shown| !names.contains(shown)));
    names.extend(months.to.get(..7).filter(|now| !names.contains(now)));
    names.sort_unstable();
    names.dedup();
    html! {
        form.ask method="get" action="/report" {
            label { "Month"
                select name="month" {
                    @for name in names.iter().rev() { option value=(name) selected[shown == Some(*name)] { (name) } }
                }
            }
            label { "By"
                select name="by" {
                    @for by in By::ALL { option value=(by.as_str()) selected[by == report.by] { (by.as_str()) } }
                }
            }
            button { "Show" }
        }
    }
}

fn figures(report: &Report) -> Markup {
    let (all, totals) = (&report.totals.line, &report.totals);
    let share = |part: u64| (part * 100).checked_div(all.jobs).unwrap_or_default();
    html! {
        dl.figures {
            div { dt { "Jobs" } dd { (number(all.jobs)) small { (share(all.failed)) " % failed" } } }
            div { dt { "Minutes" } dd { (number(all.minutes)) small { (number(all.robot_minutes)) " of bots" } } }
            @if let (Some(half), Some(most)) = (all.wait_p50_s, all.wait_p90_s) {
                div { dt { "Waited" } dd { (seconds(half)) small { "9 of 10 at most " (seconds(most)) } } }
            }
            div {
                dt { "On GitHub-hosted runners" }
                dd {
                    (dollars(totals.hosted_cost))
                    small { "after " (number(totals.included_minutes_used)) " included minutes, "
                        (number(totals.included_minutes_left)) " left" }
                }
            }
        }
    }
}

fn sums(report: &Report, link: impl Fn(&str) -> Option<String>) -> Markup {
    let rows = &report.rows;
    let most = rows.iter().map(|row| row.minutes).max().unwrap_or_default();
    let has_robots = report.totals.line.robot_minutes > 0;
    let more = rows.len().saturating_sub(ROWS);
    html! {
        table.sums {
            thead { tr {
                th scope="col" { (frame::capital(report.by.as_str())) }
                td.drawn {}
                th scope="col" { "Minutes" }
                th scope="col" { "Jobs" }
                th.more scope="col" { "Failed" }
                th.more scope="col" { "Waited (9 of 10)" }
                th scope="col" { "Hosted" }
            } }
            tbody { @for row in rows.iter().take(ROWS) { (sum(row, most, link(&row.name))) } }
        }
        @if has_robots { p.note { "Dark: minutes of people. Light: of bots." } }
        @if more > 0 {
            p.note { (count(more, "more row", "more rows")) ": " code { "roustabout report" } " prints all." }
        }
    }
}

fn sum(row: &Line, most: u64, link: Option<String>) -> Markup {
    // Parts of a thousand, for any number of minutes.
    let part = |minutes: u64| {
        usize::try_from(u128::from(minutes) * 1000 / u128::from(most.max(1))).unwrap_or(1000)
    };
    html! {
        tr {
            th scope="row" {
                @match link { Some(link) => a href=(link) { (row.name) }, None => (row.name) }
            }
            td.drawn { (pools::bar(part(row.minutes.saturating_sub(row.robot_minutes)), part(row.minutes), 1000)) }
            td { (number(row.minutes)) }
            td { (number(row.jobs)) }
            td.more { (number(row.failed)) }
            td.more { @match row.wait_p90_s { Some(wait) => (seconds(wait)), None => "–" } }
            td { (dollars(row.hosted_cost)) }
        }
    }
}

fn superseded(report: &Report) -> Markup {
    let runs = &report.totals.superseded;
    html! {
        @if runs.runs > 0 {
            section.card aria-labelledby="superseded" {
                h2 id="superseded" { "Superseded bot runs " span.count { (number(runs.runs)) } }
                p {
                    "They took " (number(runs.minutes)) " minutes (" (dollars(runs.cost)) "). Of these, "
                    (number(runs.avoidable_minutes))
                    " minutes were of runs that had not begun when they were superseded."
                    @if runs.cancelled > 0 {
                        " No runner began " (number(runs.cancelled)) " of them, which saved about "
                        (number(runs.saved_minutes)) " minutes."
                    }
                }
                @if !report.storms.is_empty() {
                    h3 { "Storms" }
                    ul.rows.two { @for storm in &report.storms { (one_storm(storm)) } }
                    h3 { "How to have fewer" }
                    p { "In the workflow, so that GitHub cancels what a newer push has made pointless:" }
                    pre { (report::CONCURRENCY) }
                    p { "In Renovate's config, so that a branch is rebased only if it has to be:" }
                    pre { (report::REBASE) }
                }
            }
        }
    }
}

fn one_storm(storm: &Storm) -> Markup {
    html! {
        li {
            span.what {
                (storm.repository)
                span.from {
                    @match storm.merge {
                        Some((run, at)) => { "merge at " (moment(at)) " (run " (run) ")" },
                        None => { "rebases from " (moment(storm.at)) },
                    }
                }
            }
            span {
                (number(storm.runs.runs)) " runs superseded on " (number(storm.branches)) " branches: "
                (number(storm.runs.minutes)) " minutes, " (dollars(storm.runs.cost))
            }
        }
    }
}

fn moment(at: Time) -> Markup {
    super::words::moment(at, &at.to_string())
}

fn seconds(seconds: u32) -> String {
    span(Duration::from_secs(seconds.into()))
}

fn dollars(millionths: u64) -> String {
    format!("${:.2}", report::dollars(millionths))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Prices, SupersededRuns, Totals};

    fn line(name: &str, minutes: u64, robots: u64) -> Line {
        Line {
            name: name.to_owned(),
            jobs: 2,
            failed: 1,
            minutes,
            robot_minutes: robots,
            wait_p50_s: Some(5),
            wait_p90_s: None,
            hosted_cost: 1_500_000,
        }
    }

    fn report(by: By, rows: Vec<Line>) -> Report {
        let minutes = rows.iter().map(|row| row.minutes).sum();
        let totals = Totals {
            line: line("", minutes, 1),
            included_minutes_used: 7,
            included_minutes_left: 1993,
            hosted_cost: 0,
            superseded: SupersededRuns::default(),
        };
        Report {
            from: "2026-11-01".to_owned(),
            to: "2026-11-30".to_owned(),
            by,
            rows,
            totals,
            storms: Vec::new(),
            prices: Prices { from: Some("2026-01-01"), self_hosted: 0 },
        }
    }

    #[test]
    fn a_bar_is_as_long_as_its_share_of_the_longest_and_names_are_escaped() {
        let rows = vec![line("octo/<b>app", 400, 100), line("octo/lib", 100, 0)];
        let months = report(By::Month, vec![line("2026-10", 1, 0), line("2026-11", 2, 0)]);
        let page = content(&report(By::Repository, rows), &months).into_string();
        let bar = |light: &str, dark: &str| {
            format!(
                "class=\"light\" width=\"{light}\" height=\"4\"/><rect class=\"dark\" width=\"{dark}\""
            )
        };
        assert!(
            page.contains(&bar("100.0", "75.0")) && page.contains(&bar("25.0", "25.0")),
            "{page}"
        );
        assert!(page.contains("octo/&lt;b&gt;app") && !page.contains("<b>"));
        assert!(page.contains("href=\"/report?month=2026-10&amp;by=repository\""), "{page}");
        assert!(page.contains("<option value=\"2026-11\" selected>"), "{page}");
        assert!(page.contains("50 % failed") && page.contains("$1.50"));
    }

    #[test]
    fn a_month_without_jobs_says_so() {
        let months = report(By::Month, vec![line("2026-10", 1, 0)]);
        let mut empty = report(By::Owner, Vec::new());
        empty.totals.line.jobs = 0;
        let page = content(&empty, &months).into_string();
        assert!(page.contains("No job was run") && page.contains("2026-10"), "{page}");
    }
}
