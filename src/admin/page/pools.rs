//! The pools on the status page: demand, room, what holds them up, and the buttons that pause them.

use maud::{Markup, PreEscaped, html};

use super::words::number;
use super::{Viewer, frame};
use crate::engine::{Overview, PoolView};

pub(super) fn section(viewer: &Viewer, overview: &Overview) -> Markup {
    html! {
        section.card aria-labelledby="pools" {
            h2 id="pools" { "Pools" }
            ul.pools { @for pool in &overview.status.pools { (card(viewer, pool)) } }
        }
    }
}

fn card(viewer: &Viewer, pool: &PoolView) -> Markup {
    let name = &pool.name;
    html! {
        li id={ "pool-" (name) } {
            h3 { (name) }
            p.hint { (pool.labels.join(", ")) }
            p.room {
                strong { (pool.alive) small { " of " (pool.max_runners) } } " runners alive"
                (bar(pool.busy, pool.alive, pool.max_runners))
            }
            dl.counts {
                div { dt { "Waiting" } dd { (number(pool.waiting as u64)) } }
                div { dt { "On the way" } dd { (pool.supply) } }
                div { dt { "Busy" } dd { (pool.busy) } }
                @if pool.warm_asked > 0 {
                    div { dt { "Warm" } dd { (pool.warm_idle) " of " (pool.warm_asked) } }
                }
            }
            @if pool.paused {
                p.note.warn {
                    "Paused"
                    @match &pool.paused_until { Some(until) => { " until " (until) }, None => "" }
                    ": no runner is launched."
                }
            }
            @if pool.breaker_open {
                p.note.warn {
                    "Circuit breaker open: runners ended without a job. One runner is launched at a time."
                }
            }
            // Paused is the reason then, and said above.
            @if !pool.paused && !pool.waiting_for.is_empty() {
                ul.reasons { @for reason in &pool.waiting_for { li { (frame::capital(reason)) } } }
            }
            (buttons(viewer, pool))
        }
    }
}

fn buttons(viewer: &Viewer, pool: &PoolView) -> Markup {
    let name = &pool.name;
    // Names of pools are letters, digits and dashes.
    html! {
        @if pool.paused {
            form.buttons method="post" action={ "/pools/" (name) "/resume" } {
                (viewer.key())
                button id={ "resume-" (name) } { "Resume" span.hidden { " pool " (name) } }
            }
        } @else {
            form.buttons method="post" action={ "/pools/" (name) "/pause" } {
                (viewer.key())
                label.hidden for={ "for-" (name) } { "How long to pause pool " (name) }
                select id={ "for-" (name) } name="for" {
                    option value="" { "until resumed" }
                    option value="30m" { "for 30 min" }
                    option value="2h" { "for 2 h" }
                    option value="1d" { "for 1 day" }
                }
                button id={ "pause-" (name) } { "Pause" span.hidden { " pool " (name) } }
            }
        }
    }
}

/// How much of the room is taken, for the eye alone: the words beside it say the same. A drawing, for
/// a style in an attribute is one that the policy refuses.
pub(super) fn bar(dark: usize, light: usize, room: u32) -> Markup {
    let width = |count: usize| (count as f64 * 100.0 / f64::from(room.max(1))).min(100.0);
    html! {
        svg.bar viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true" focusable="false" {
            (PreEscaped(format!(
                "<rect class=\"light\" width=\"{:.1}\" height=\"4\"/><rect class=\"dark\" width=\"{:.1}\" height=\"4\"/>",
                width(light), width(dark),
            )))
        }
    }
}
