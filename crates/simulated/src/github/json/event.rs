//! The event that a run was started by, as its runner finds it in `GITHUB_EVENT_PATH`: only what
//! tells whose job it is (docs, "Webhook events and payloads"; `schedule` has the repository too).

use serde_json::{Value, json};

use super::account::user;
use super::extend;
use super::repository::payload;
use crate::github::model::GitHub;
use crate::github::runs::{Head, Run};

/// A pull request's event names the repository of its head; null where that is deleted.
pub(in crate::github) fn of_run(gh: &GitHub, run: &Run) -> Value {
    let mut event = payload(gh, run.repository);
    extend(&mut event, json!({ "sender": user(gh, &run.spec.actor) }));
    if run.spec.event.starts_with("pull_request") {
        let here = gh.full_name(run.repository);
        let head = match &run.spec.head {
            Head::Same => json!({ "full_name": here, "fork": false }),
            Head::Fork { full_name, .. } => json!({ "full_name": full_name, "fork": true }),
            Head::DeletedFork => Value::Null,
        };
        let pull_request = json!({
            "title": "a title with \"quotes\", {braces} and \\ in it",
            "head": { "ref": run.spec.head_branch, "sha": run.head_sha, "repo": head },
            "base": { "ref": "main", "repo": { "full_name": here } },
        });
        extend(&mut event, json!({ "action": "opened", "pull_request": pull_request }));
    }
    event
}
