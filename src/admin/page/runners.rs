//! Runners as the pages show them: where each is in its life, for which job, and where in Nomad.

use maud::{Markup, html};

use super::super::shared::Shared;
use super::job::nomad_job;
use super::words::{number, span};
use crate::engine::Overview;
use crate::ledger::{Runner, Time};

/// What a runner goes through.
const STEPS: [&str; 5] = ["launched", "dispatched", "placed", "registered", "busy"];

pub(super) fn section(shared: &Shared, overview: &Overview, runners: &[Runner]) -> Markup {
    let more = overview.runners.saturating_sub(runners.len());
    html! {
        section.card aria-labelledby="runners" {
            h2 id="runners" {
                "Runners "
                @if overview.runners > 0 { span.count { (number(overview.runners as u64)) } }
            }
            @if runners.is_empty() { p.none { "No runner is alive." } }
            ul.rows { @for runner in runners { (row(shared, runner, overview.now)) } }
            @if more > 0 { p.note { (number(more as u64)) " more runners. The newest are shown." } }
        }
    }
}

fn row(shared: &Shared, runner: &Runner, now: Time) -> Markup {
    let job = runner.took.and_then(|took| took.job);
    html! {
        li id={ "runner-" (runner.name.as_str()) } {
            span.what {
                @match nomad_job(&shared.explainer, runner) {
                    Some(url) => a href=(url) rel="noreferrer" { (runner.name.as_str()) },
                    None => (runner.name.as_str()),
                }
                span.from {
                    (runner.scope_name)
                    @match (job, runner.cause) {
                        (Some(job), _) => { " · has " a href={ "/jobs/" (job) } { "job " (job) } },
                        (None, Some(cause)) => {
                            " · launched for " a href={ "/jobs/" (cause) } { "job " (cause) }
                        },
                        (None, None) => "",
                    }
                }
            }
            span.why { (life(runner)) @if let Some(reason) = &runner.reason { " " span.sub { (reason) } } }
            span.pool { span.hidden { "pool " } (runner.class.pool.as_str()) }
            span.time {
                span.hidden { "launched " }
                time datetime=(runner.hired_at) title=(runner.hired_at) { (span(now.since(runner.hired_at))) }
            }
        }
    }
}

/// A dot for each step, and the words.
pub(super) fn life(runner: &Runner) -> Markup {
    let reached = reached(runner);
    html! {
        span.life aria-hidden="true" {
            @for step in 0..STEPS.len() { i.on[step < reached] {} }
        }
        (state(runner))
    }
}

fn reached(runner: &Runner) -> usize {
    match runner.phase() {
        "wanted" | "minting" | "dispatching" => 1,
        "dispatched" if runner.placed_at.is_none() => 2,
        "dispatched" => 3,
        "registered" => 4,
        _ => 5,
    }
}

/// The word of `status`, in a few more.
pub(super) fn state(runner: &Runner) -> &'static str {
    match runner.phase() {
        "wanted" => "launched, not dispatched yet",
        "minting" => "waits for its credential",
        "dispatching" => "is being dispatched",
        "dispatched" if runner.placed_at.is_none() => "dispatched, not placed yet",
        "dispatched" => "placed, not registered yet",
        "registered" if runner.offline.is_some() => "registered, listed offline",
        "registered" => "registered, has no job yet",
        "busy" => "busy",
        "finishing" => "its job is done, it ends",
        "withdrawing" => "is being withdrawn",
        "clearing" => "ended, its registration is being removed",
        "gone" => "gone",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::RunnerState;
    use crate::ledger::step::testing;

    #[test]
    fn each_step_is_one_dot_more() {
        let mut runner = testing::runner(Time(0));
        let mut seen = vec![reached(&runner)];
        runner.state = RunnerState::Dispatched;
        seen.push(reached(&runner));
        runner.placed_at = Some(Time(1));
        seen.push(reached(&runner));
        runner.state = RunnerState::Registered;
        seen.push(reached(&runner));
        runner.took = Some(crate::ledger::runner::Took { job: None, done: false });
        seen.push(reached(&runner));
        assert_eq!(seen, [1, 2, 3, 4, 5]);
        assert_eq!(STEPS.len(), 5);
        let shown = life(&runner).into_string();
        assert_eq!(shown.matches("class=\"on\"").count(), 5, "{shown}");
        assert!(shown.ends_with("busy"), "{shown}");
    }
}
