//! What a Gitea says otherwise, or does not say: as 1.26.1 answered and sent.
//!
//! Read next: `hook.rs`.

use serde_json::{Value, json};

use super::time;
use crate::github::kind::Kind;
use crate::github::model::{GitHub, Millis};
use crate::github::runners::Runner;
use crate::github::runs::{Head, Job, Run};

/// Who runs it is left out until somebody does, and its name once that one is no longer
/// registered; what has not been yet was in 1970.
pub(super) fn job(gh: &GitHub, job: &Job, run: &Run) -> Value {
    let full_name = gh.full_name(run.repository);
    let api = format!("{}/api/v1/repos/{full_name}", gh.base);
    let mut shown = json!({
        "id": job.id,
        "run_id": run.id,
        "run_url": format!("{api}/actions/runs/{}", run.id),
        "run_attempt": job.attempt,
        "head_sha": run.head_sha,
        "head_branch": run.spec.head_branch,
        "url": format!("{api}/actions/jobs/{}", job.id),
        "html_url": format!("{}/{full_name}/actions/runs/{}/jobs/{}", gh.base, run.id, job.id),
        "status": job.status.as_str(),
        "created_at": time(job.created_at),
        "started_at": time(job.started_at.unwrap_or(0)),
        "completed_at": time(job.completed_at.unwrap_or(0)),
        "name": job.spec.name,
        "labels": job.spec.labels,
        "steps": null,
    });
    if let Some(conclusion) = job.conclusion {
        shown["conclusion"] = conclusion.as_str().into();
    }
    if let Some(runner) = &job.runner {
        shown["runner_id"] = runner.id.into();
        if gh.runner(runner.id).is_some() {
            shown["runner_name"] = runner.name.clone().into();
        }
    }
    shown
}

/// It does not name the head's repository. That it is a pull request's is in the path.
pub(super) fn say_less_of_run(shown: &mut Value, run: &Run) {
    let head = match run.spec.event.starts_with("pull_request") {
        true => format!("refs/pull/{}/head", run.number),
        false => format!("refs/heads/{}", run.spec.head_branch),
    };
    shown["path"] = format!("ci.yml@{head}").into();
    leave_out(shown, &["head_repository", "head_repository_id", "name", "triggering_actor"]);
}

pub(super) fn say_less_of_repository(shown: &mut Value) {
    leave_out(shown, &["visibility", "allow_forking", "node_id"]);
    shown["internal"] = false.into();
    leave_out(&mut shown["owner"], &["type"]);
}

pub(super) fn say_what_it_knows_of_runner(
    gh: &GitHub,
    shown: &mut Value,
    runner: &Runner,
    now: Millis,
) {
    shown["busy"] = runner.job.as_ref().is_some_and(|given| GitHub::seems_busy(given, now)).into();
    if gh.knobs.kind == (Kind::Gitea { disables: true }) {
        shown["disabled"] = runner.disabled_from.is_some().into();
    }
}

/// The pull request that a run is of: its number is the run's.
pub(in crate::github) fn pull_request(run: &Run) -> Value {
    let repository = match &run.spec.head {
        Head::Same => json!({ "id": run.repository }),
        Head::Fork { id, full_name } => json!({ "id": id, "full_name": full_name }),
        Head::DeletedFork => Value::Null,
    };
    json!({
        "number": run.number,
        "head": { "label": run.spec.head_branch, "sha": run.head_sha, "repo": repository },
    })
}

fn leave_out(object: &mut Value, keys: &[&str]) {
    if let Value::Object(object) = object {
        for key in keys {
            object.remove(*key);
        }
    }
}
