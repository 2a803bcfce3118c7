//! A workflow run: schema `workflow-run`.
//!
//! Read next: `runner.rs`.

use serde_json::{Value, json};

use super::account::user;
use super::repository::repository;
use super::{node_id, time};
use crate::github::accounts::{Account, AccountKind};
use crate::github::model::GitHub;
use crate::github::repositories::{Repository, Visibility};
use crate::github::runs::{Head, Run};

/// The run as `GET …/actions/runs/ID` shows it. For a fork's pull request `pull_requests` is empty
/// (open-design#2683): only `head_repository` tells.
pub(in crate::github) fn run(gh: &GitHub, run: &Run) -> Value {
    let Some((base, owner)) = gh.with_owner(run.repository) else { return Value::Null };
    let full_name = gh.full_name(run.repository);
    let url = format!("{}/repos/{full_name}/actions/runs/{}", gh.api(), run.id);
    let (status, conclusion) = gh.run_status(run);
    let actor = user(gh, &run.spec.actor);
    let head = head_repository(gh, run, base, owner);
    let head_id = head.get("id").cloned().unwrap_or(Value::Null);
    let author = json!({
        "name": run.spec.actor,
        "email": format!("{}@users.noreply.github.com", run.spec.actor),
    });
    let of_name: u64 = run.spec.workflow_name.bytes().map(u64::from).sum();
    let workflow = run.repository % 100_000_000 + 150_000_000 + of_name;
    let suite = run.id + 13_000_000_000;
    let previous = (run.attempt > 1).then(|| format!("{url}/attempts/{}", run.attempt - 1));
    let mut shown = json!({
        "id": run.id,
        "name": run.spec.workflow_name,
        "node_id": node_id("WorkflowRun", run.id),
        "check_suite_id": suite,
        "check_suite_node_id": node_id("CheckSuite", suite),
        "head_branch": run.spec.head_branch,
        "head_sha": run.head_sha,
        "path": ".github/workflows/ci.yml",
        "run_number": run.number,
        "run_attempt": run.attempt,
        "display_title": "Change something",
        "event": run.spec.event,
        "status": status.as_str(),
        "conclusion": conclusion.map(|one| one.as_str()),
        "workflow_id": workflow,
        "url": url,
        "html_url": format!("{}/{full_name}/actions/runs/{}", gh.base, run.id),
        "pull_requests": pull_requests(gh, run),
        "referenced_workflows": [],
        "created_at": time(run.created_at),
        "updated_at": time(run.updated_at),
        "run_started_at": time(run.started_at),
        "actor": actor,
        "triggering_actor": actor,
        "jobs_url": format!("{url}/jobs"),
        "logs_url": format!("{url}/logs"),
        "check_suite_url": format!("{}/repos/{full_name}/check-suites/{suite}", gh.api()),
        "artifacts_url": format!("{url}/artifacts"),
        "cancel_url": format!("{url}/cancel"),
        "rerun_url": format!("{url}/rerun"),
        "previous_attempt_url": previous,
        "workflow_url": format!("{}/repos/{full_name}/actions/workflows/{workflow}", gh.api()),
        "head_commit": {
            "id": run.head_sha,
            "tree_id": run.head_sha,
            "message": "Change something",
            "timestamp": time(run.created_at),
            "author": author,
            "committer": author,
        },
        "repository": repository(gh, base, owner),
        "head_repository": head,
    });
    if !head_id.is_null() {
        shown["head_repository_id"] = head_id;
    }
    if gh.is_gitea() {
        super::gitea::say_less_of_run(&mut shown, run);
    }
    shown
}

/// Schema `pull-request-minimal`; of the repository's own branches only.
fn pull_requests(gh: &GitHub, run: &Run) -> Value {
    let has = run.spec.has_pull_request || run.spec.event == "pull_request";
    if !has || run.spec.head != Head::Same {
        return json!([]);
    }
    let full_name = gh.full_name(run.repository);
    let url = format!("{}/repos/{full_name}", gh.api());
    let name = full_name.split_once('/').map_or("", |(_, name)| name);
    let repository = json!({ "id": run.repository, "url": url, "name": name });
    json!([{
        "id": run.id,
        "number": run.number,
        "url": format!("{url}/pulls/{}", run.number),
        "head": { "ref": run.spec.head_branch, "sha": run.head_sha, "repo": repository },
        "base": { "ref": "main", "sha": run.head_sha, "repo": repository },
    }])
}

fn head_repository(gh: &GitHub, run: &Run, base: &Repository, owner: &Account) -> Value {
    match &run.spec.head {
        Head::Same => repository(gh, base, owner),
        Head::DeletedFork => Value::Null,
        Head::Fork { id, full_name } => {
            if let Some((found, owner)) = gh.with_owner(*id) {
                return repository(gh, found, owner);
            }
            let (login, name) = full_name.split_once('/').unwrap_or(("somebody", full_name));
            let owner = Account { id: *id + 1, login: login.to_owned(), kind: AccountKind::User };
            let fork = Repository {
                id: *id,
                owner: owner.id,
                name: name.to_owned(),
                visibility: Visibility::Public,
                allow_forking: true,
                fork: true,
                forks_count: 0,
                archived: false,
                former_names: Vec::new(),
                topics: Vec::new(),
                created_at: run.created_at,
            };
            repository(gh, &fork, &owner)
        }
    }
}
