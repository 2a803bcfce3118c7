//! A job in the API, and the `workflow_job` event.
//!
//! Read next: `run.rs`.

use serde_json::{Value, json};

use super::account::user;
use super::repository::payload;
use super::{extend, node_id, precise_time, time};
use crate::github::model::GitHub;
use crate::github::runs::{Job, RanOn, Status};

/// Schema `job` of the REST description, and `workflow_job` in the event: the same fields.
pub(in crate::github) fn job(gh: &GitHub, job: &Job) -> Value {
    let Some(run) = gh.runs.get(&job.run) else { return Value::Null };
    if gh.is_gitea() {
        return super::gitea::job(gh, job, run);
    }
    let full_name = gh.full_name(run.repository);
    let api = format!("{}/repos/{full_name}", gh.api());
    let run_url = format!("{api}/actions/runs/{}", run.id);
    json!({
        "id": job.id,
        "run_id": run.id,
        "run_url": run_url,
        "run_attempt": job.attempt,
        "node_id": node_id("CheckRun", job.id),
        "head_sha": run.head_sha,
        "head_branch": run.spec.head_branch,
        "url": format!("{api}/actions/jobs/{}", job.id),
        "html_url": format!("{}/{full_name}/actions/runs/{}/job/{}", gh.base, run.id, job.id),
        "check_run_url": format!("{api}/check-runs/{}", job.id),
        "status": job.status.as_str(),
        "conclusion": job.conclusion.map(|one| one.as_str()),
        "created_at": time(job.created_at),
        // Set from the start: it says nothing about a start (fixtures `queued`).
        "started_at": time(job.started_at.unwrap_or(job.created_at)),
        "completed_at": job.completed_at.map(time),
        "name": job.spec.name,
        "workflow_name": run.spec.workflow_name,
        "labels": job.spec.labels,
        "steps": steps(job),
        "runner_id": runner_field(job, |on| json!(on.id), json!(0)),
        "runner_name": runner_field(job, |on| json!(on.name), json!("")),
        "runner_group_id": runner_field(job, |on| json!(on.group), json!(0)),
        "runner_group_name": runner_field(job, |on| json!(gh.group_name(on.group)), json!("")),
    })
}

/// The `workflow_job` event. It names neither the event of the run nor whether a fork is its head.
pub(in crate::github) fn job_event(gh: &GitHub, id: u64, action: &str) -> Value {
    let Some(found) = gh.jobs.get(&id) else { return Value::Null };
    let Some(run) = gh.runs.get(&found.run) else { return Value::Null };
    let mut event = json!({ "action": action, "workflow_job": job(gh, found) });
    extend(&mut event, payload(gh, run.repository));
    if gh.is_gitea() {
        super::gitea::say_less_of_repository(&mut event["repository"]);
    }
    extend(&mut event, json!({ "sender": user(gh, &run.spec.actor) }));
    event
}

fn runner_field(job: &Job, shown: impl Fn(&RanOn) -> Value, blank: Value) -> Value {
    match &job.runner {
        Some(runner) => shown(runner),
        None if job.blank_runner && job.status == Status::Completed => blank,
        None => Value::Null,
    }
}

fn steps(job: &Job) -> Value {
    let (Some(runner), Some(started)) = (&job.runner, job.started_at) else { return json!([]) };
    let name = format!("Set up job on {}", runner.name);
    // A step ends in one of four ways; a job in more.
    let conclusion = job.conclusion.map(|one| match one.as_str() {
        known @ ("success" | "failure" | "cancelled" | "skipped") => known,
        _ => "failure",
    });
    json!([{
        "name": name,
        "number": 1,
        "status": if job.status == Status::Completed { "completed" } else { "in_progress" },
        "conclusion": conclusion,
        "started_at": precise_time(started),
        "completed_at": job.completed_at.map(precise_time),
    }])
}
