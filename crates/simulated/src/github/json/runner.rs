//! A runner in a listing: schema `runner`.
//!
//! Read next: `hook.rs`.

use serde_json::{Value, json};

use crate::github::model::{GitHub, Millis};
use crate::github::runners::Runner;

/// The runner as it is listed; `busy` is what GitHub says, not what is true.
pub(in crate::github) fn runner(gh: &GitHub, runner: &Runner, now: Millis) -> Value {
    let online = runner.last_seen.is_some_and(|seen| now < seen + gh.knobs.offline_after);
    let labels: Vec<Value> = runner
        .labels
        .iter()
        .enumerate()
        .map(|(index, name)| {
            let default = ["self-hosted", "linux", "x64", "arm64"]
                .iter()
                .any(|one| one.eq_ignore_ascii_case(name));
            let kind = if default { "read-only" } else { "custom" };
            json!({ "id": index + 1, "name": name, "type": kind })
        })
        .collect();
    let mut shown = json!({
        "id": runner.id,
        "name": runner.name,
        "os": if runner.last_seen.is_some() { "Linux" } else { "unknown" },
        "status": if online { "online" } else { "offline" },
        "busy": runner.shows_busy(now),
        "ephemeral": runner.ephemeral,
        "runner_group_id": runner.group,
        "labels": labels,
        "version": runner.last_seen.map(|_| "2.330.0"),
    });
    if gh.is_gitea() {
        super::gitea::say_what_it_knows_of_runner(gh, &mut shown, runner, now);
    }
    shown
}
