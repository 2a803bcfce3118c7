//! Reads a `workflow_job` payload: the few fields that the ledger needs, with everything that
//! GitHub and Gitea leave out, set to null or spell in a new way understood. Wire types stop here.
//!
//! Shapes: `@octokit/openapi-webhooks`, schemas `webhook-workflow-job-*`; Gitea's, which look the
//! same and say less, as Gitea 1.26.1 sends them.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::ledger::job::LONGEST_ADDRESS;
use crate::ledger::{
    Details, JobId, JobReport, JobStatus, Repository, RepositoryId, RunDetails, RunId, Step, Time,
    Topics, Visibility, is_full_name,
};
use strangers_text::{harmless, harmless_up_to};

/// A signed body that is not the event it says it is.
#[derive(Debug, thiserror::Error)]
pub enum NotAnEvent {
    #[error("the body is not a workflow_job event: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the body is not a {0} event: {1}")]
    Other(String, serde_json::Error),
    #[error("the form has no field \"payload\"")]
    NoPayload,
}

impl NotAnEvent {
    pub(super) fn other(event: &str, why: serde_json::Error) -> Self {
        Self::Other(event.to_owned(), why)
    }
}

#[derive(Deserialize)]
struct WorkflowJobEvent {
    action: String,
    workflow_job: WireJob,
    repository: WireRepository,
    sender: Option<WireAccount>,
    /// There where the repository is an organization's.
    organization: Option<serde::de::IgnoredAny>,
    /// There where an App's webhook sends it.
    #[serde(default)]
    installation: Maybe<WireInstallation>,
}

#[derive(Deserialize)]
struct WireInstallation {
    id: u64,
}

#[derive(Deserialize)]
struct WireJob {
    id: u64,
    run_id: u64,
    run_attempt: Option<u64>,
    name: Option<String>,
    workflow_name: Option<String>,
    head_branch: Option<String>,
    /// The schema allows null among them (ARC#1370).
    labels: Option<Vec<Option<String>>>,
    status: Option<String>,
    conclusion: Option<String>,
    runner_name: Option<String>,
    html_url: Option<String>,
    created_at: Option<String>,
    // Kept for reports: one of these that is spelled in a new way must not cost us the job.
    #[serde(default)]
    started_at: Maybe<String>,
    #[serde(default)]
    completed_at: Maybe<String>,
    #[serde(default)]
    head_sha: Maybe<String>,
    #[serde(default)]
    runner_id: Maybe<u64>,
    #[serde(default)]
    runner_group_id: Maybe<u64>,
    #[serde(default)]
    runner_group_name: Maybe<String>,
    #[serde(default)]
    steps: Maybe<Vec<Maybe<WireStep>>>,
}

#[derive(Deserialize)]
struct WireStep {
    name: String,
    conclusion: Option<String>,
    started_at: Option<String>,
    completed_at: Option<String>,
}

/// What may be anything, and is known where it is what we expect.
#[derive(Deserialize, Default)]
#[serde(untagged)]
enum Maybe<T> {
    Is(T),
    IsNot(serde::de::IgnoredAny),
    #[default]
    Absent,
}

impl<T> Maybe<T> {
    fn known(self) -> Option<T> {
        match self {
            Maybe::Is(value) => Some(value),
            Maybe::IsNot(_) | Maybe::Absent => None,
        }
    }
}

#[derive(Deserialize)]
struct WireRepository {
    id: u64,
    #[serde(deserialize_with = "owner_and_name")]
    full_name: String,
    html_url: Option<String>,
    private: Option<bool>,
    visibility: Option<String>,
    allow_forking: Option<bool>,
    /// Gitea's: its owner is hidden from strangers. GitHub never says it.
    internal: Option<bool>,
    forks_count: Option<u64>,
    owner: Option<WireAccount>,
    #[serde(default)]
    topics: Maybe<Vec<Maybe<String>>>,
}

#[derive(Deserialize)]
struct WireAccount {
    login: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// What a payload says.
#[derive(Debug, PartialEq)]
pub struct WorkflowJob {
    pub action: String,
    pub repository: Repository,
    /// Of the App that sent it.
    pub installation: Option<u64>,
    /// `None`: an action or status that we do not know.
    pub report: Option<JobReport>,
    /// Why nothing is known of the job, where only the repository could be read.
    pub unreadable: Option<String>,
}

/// What is left of an event whose job cannot be read.
#[derive(Deserialize)]
struct OfRepository {
    #[serde(default)]
    action: Maybe<String>,
    repository: WireRepository,
    organization: Option<serde::de::IgnoredAny>,
}

/// Reads the JSON of a `workflow_job` event.
pub fn read_workflow_job(json: &[u8]) -> Result<WorkflowJob, NotAnEvent> {
    let event = match serde_json::from_slice::<WorkflowJobEvent>(json) {
        Ok(event) => event,
        Err(error) => return only_repository(json, error),
    };
    let actor = event.sender.and_then(|sender| sender.login);
    let report = status(&event.action, event.workflow_job.status.as_deref())
        .map(|status| report(event.workflow_job, status, actor));
    let repository = repository(event.repository, event.organization.is_some());
    let installation = event.installation.known().map(|installation| installation.id);
    let action = harmless(&event.action);
    Ok(WorkflowJob { action, repository, installation, report, unreadable: None })
}

/// Action and repository of a `repository` event.
pub(super) fn read_repository(json: &[u8]) -> Result<(String, Repository), NotAnEvent> {
    let event: OfRepository =
        serde_json::from_slice(json).map_err(|why| NotAnEvent::other("repository", why))?;
    let action = event.action.known().unwrap_or_default();
    Ok((action, repository(event.repository, event.organization.is_some())))
}

/// Signed, so something happened there: that can be looked at, whatever became of the job's fields.
fn only_repository(json: &[u8], error: serde_json::Error) -> Result<WorkflowJob, NotAnEvent> {
    let Ok(event) = serde_json::from_slice::<OfRepository>(json) else { return Err(error.into()) };
    Ok(WorkflowJob {
        action: harmless(&event.action.known().unwrap_or_default()),
        repository: repository(event.repository, event.organization.is_some()),
        installation: None,
        report: None,
        unreadable: Some(harmless(&NotAnEvent::from(error).to_string())),
    })
}

/// `queued` does not mean runnable: with an environment the action is `queued` and the
/// status `waiting`. `in_progress` and `completed` are final whatever the status says.
fn status(action: &str, status: Option<&str>) -> Option<JobStatus> {
    match (action, status) {
        ("completed", _) => Some(JobStatus::Completed),
        ("in_progress", _) => Some(JobStatus::InProgress),
        // The last two are GitHub's words for a job that a concurrency group holds.
        ("queued" | "waiting", Some("waiting" | "pending" | "requested")) => {
            Some(JobStatus::Waiting)
        }
        ("queued", Some("queued") | None) => Some(JobStatus::Queued),
        ("waiting", None) => Some(JobStatus::Waiting),
        ("waiting", Some("queued")) => Some(JobStatus::Waiting),
        _ => None,
    }
}

fn report(job: WireJob, status: JobStatus, actor: Option<String>) -> JobReport {
    let said = JobReport {
        id: JobId(job.id),
        run: RunId(job.run_id),
        run_attempt: job.run_attempt.unwrap_or(1),
        name: job.name.unwrap_or_default(),
        workflow: job.workflow_name,
        head_branch: job.head_branch,
        labels: job.labels.unwrap_or_default().into_iter().flatten().collect(),
        status,
        conclusion: job.conclusion,
        runner_name: job.runner_name,
        url: job.html_url,
        actor,
        created_at: job.created_at.and_then(time),
        details: Details {
            started_at: job.started_at.known().and_then(time),
            completed_at: job.completed_at.known().and_then(time),
            head_sha: job.head_sha.known(),
            runner_id: job.runner_id.known(),
            runner_group_id: job.runner_group_id.known(),
            runner_group: job.runner_group_name.known(),
            run: RunDetails::default(),
            steps: steps(job.steps.known().unwrap_or_default()),
        }
        .kept(),
    };
    JobReport::from_outside(said, harmless_up_to)
}

/// Gitea writes 1970 for what it does not know.
fn time(text: String) -> Option<Time> {
    let at = text.parse::<jiff::Timestamp>().ok()?;
    (at.as_second() > 0).then(|| Time::from(at))
}

fn steps(steps: Vec<Maybe<WireStep>>) -> Vec<Step> {
    let known = steps.into_iter().filter_map(Maybe::known);
    known
        .map(|step| Step {
            name: step.name,
            conclusion: step.conclusion,
            started_at: step.started_at.and_then(time),
            completed_at: step.completed_at.and_then(time),
        })
        .collect()
}

/// Names come into addresses of the forge's API: nothing else than one can be.
fn owner_and_name<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let name = String::deserialize(from)?;
    match is_full_name(&name) {
        true => Ok(name),
        false => Err(D::Error::custom("the repository's full_name is not owner/name")),
    }
}

fn repository(wire: WireRepository, in_organization: bool) -> Repository {
    let gitea = wire.internal.is_some();
    let public = match wire.visibility.as_deref() {
        Some(visibility) => visibility == "public",
        // Nobody says it is private: then it is not.
        None => !wire.private.unwrap_or(false) && wire.internal != Some(true),
    };
    Repository {
        former: Vec::new(),
        id: RepositoryId(wire.id),
        html_url: harmless_up_to(&wire.html_url.unwrap_or_default(), LONGEST_ADDRESS),
        full_name: harmless(&wire.full_name),
        visibility: if public { Visibility::Public } else { Visibility::Private },
        // What is not said may be: then the forge is asked. At Gitea code can be pushed for review
        // without a fork (AGit), so that their count says nothing.
        forkable: gitea || (wire.forks_count != Some(0) && wire.allow_forking != Some(false)),
        owned_by_organization: in_organization
            || wire.owner.and_then(|owner| owner.kind).as_deref() == Some("Organization"),
        topics: wire
            .topics
            .known()
            .map(|topics| Topics::from_outside(topics.into_iter().filter_map(Maybe::known))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn payload() -> serde_json::Value {
        json!({
            "action": "queued",
            "workflow_job": {"id": 33714470481u64, "run_id": 9, "run_attempt": 1, "name": "build",
                "labels": ["linux"], "status": "queued", "runner_name": null},
            "repository": {"id": 1, "full_name": "octo/app", "private": true, "forks_count": 0,
                "html_url": "https://github.com/octo/app", "owner": {"type": "User"}}
        })
    }

    fn read(payload: &serde_json::Value) -> WorkflowJob {
        read_workflow_job(payload.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_repository_is_owner_and_name_or_the_payload_is_unreadable() {
        for name in ["x", "", "/", "../../user", "octo/app/extra", "octo/..", "octo/a b", "octo/ä"]
        {
            let mut payload = payload();
            payload["repository"]["full_name"] = serde_json::json!(name);
            let read = read_workflow_job(payload.to_string().as_bytes());
            assert!(read.is_err(), "{name:?}");
        }
        let mut payload = payload();
        payload["repository"]["full_name"] = serde_json::json!("octo_corp/My.App-2");
        assert_eq!(read(&payload).repository.full_name, "octo_corp/My.App-2");
    }

    #[test]
    fn null_zero_and_empty_runners_are_no_runner() {
        for value in [json!(null), json!("")] {
            let mut payload = payload();
            payload["workflow_job"]["runner_name"] = value;
            assert_eq!(read(&payload).report.unwrap().runner_name, None);
        }
    }

    #[test]
    fn the_status_counts_where_the_action_says_queued() {
        let mut payload = payload();
        payload["workflow_job"]["status"] = json!("waiting");
        assert_eq!(read(&payload).report.unwrap().status, JobStatus::Waiting);
        for held in ["pending", "requested"] {
            payload["workflow_job"]["status"] = json!(held);
            assert_eq!(read(&payload).report.unwrap().status, JobStatus::Waiting);
        }
        payload["workflow_job"]["status"] = json!("hibernating");
        assert_eq!(read(&payload).report, None);
        payload["action"] = json!("frozen");
        assert_eq!(read(&payload).report, None);
    }

    #[test]
    fn of_a_job_that_cannot_be_read_the_repository_is_known() {
        for job in [json!(null), json!("build"), json!({"id": -1}), json!([])] {
            let mut payload = payload();
            payload["workflow_job"] = job;
            let read = read(&payload);
            assert_eq!((read.repository.full_name.as_str(), read.report), ("octo/app", None));
            assert!(read.unreadable.unwrap().contains("not a workflow_job event"));
        }
        let mut payload = payload();
        payload["repository"] = json!(null);
        read_workflow_job(payload.to_string().as_bytes()).unwrap_err();
    }

    #[test]
    fn what_reports_need_is_kept_and_nothing_that_has_not_happened() {
        let mut payload = payload();
        let job = &mut payload["workflow_job"];
        job["started_at"] = json!("2026-11-24T10:00:00Z");
        job["head_sha"] = json!("abc");
        job["runner_id"] = json!(0);
        let waits = read(&payload).report.unwrap().details.unwrap();
        assert_eq!((waits.started_at, waits.runner_id), (None, None));
        assert_eq!(waits.head_sha.as_deref(), Some("abc"));
        payload["action"] = json!("completed");
        let job = &mut payload["workflow_job"];
        job["completed_at"] = json!("2026-11-24T10:01:00Z");
        job["runner_id"] = json!(7);
        job["runner_group_id"] = json!(1);
        job["runner_group_name"] = json!("Default");
        job["steps"] = json!([{"name": "Set up job", "status": "completed", "number": 1,
            "conclusion": "success", "started_at": "2026-11-24T10:00:01Z", "completed_at": null}]);
        let ended = read(&payload).report.unwrap().details.unwrap();
        let taken = ended.completed_at.unwrap().since(ended.started_at.unwrap());
        assert_eq!(taken.as_secs(), 60);
        assert_eq!((ended.runner_id, ended.runner_group_id), (Some(7), Some(1)));
        assert_eq!(ended.runner_group.as_deref(), Some("Default"));
        assert_eq!(ended.steps[0].name, "Set up job");
        assert!(ended.steps[0].started_at.is_some() && ended.steps[0].completed_at.is_none());
    }

    #[test]
    fn what_only_reports_need_costs_no_job_where_it_is_spelled_in_a_new_way() {
        let mut payload = payload();
        payload["action"] = json!("completed");
        let job = &mut payload["workflow_job"];
        for key in ["started_at", "completed_at", "head_sha", "runner_id", "runner_group_id"] {
            job[key] = json!({"new": ["spelling"]});
        }
        job["runner_group_name"] = json!(-3.5);
        job["steps"] = json!(["a step", {"name": 1}, {"name": "build"}]);
        let report = read(&payload).report.unwrap();
        assert_eq!(report.status, JobStatus::Completed);
        assert_eq!(report.details.unwrap().steps.len(), 1);
    }

    #[test]
    fn labels_may_be_absent_or_hold_null() {
        let mut payload = payload();
        payload["workflow_job"]["labels"] = json!(["linux", null]);
        assert_eq!(read(&payload).report.unwrap().labels, ["linux"]);
        payload["workflow_job"]["labels"] = json!(null);
        assert!(read(&payload).report.unwrap().labels.is_empty());
    }

    #[test]
    fn a_repository_that_does_not_say_private_is_public() {
        let mut payload = payload();
        assert_eq!(read(&payload).repository.visibility, Visibility::Private);
        payload["repository"]["visibility"] = json!("internal");
        assert_eq!(read(&payload).repository.visibility, Visibility::Private);
        payload["repository"]["visibility"] = json!("public");
        assert_eq!(read(&payload).repository.visibility, Visibility::Public);
        let repository = payload["repository"].as_object_mut().unwrap();
        repository.remove("visibility");
        repository.remove("private");
        assert_eq!(read(&payload).repository.visibility, Visibility::Public);
    }

    #[test]
    fn forks_are_asked_about_unless_there_can_be_none() {
        let mut payload = payload();
        assert!(!read(&payload).repository.forkable);
        payload["repository"]["forks_count"] = json!(3);
        assert!(read(&payload).repository.forkable);
        payload["repository"]["allow_forking"] = json!(false);
        assert!(!read(&payload).repository.forkable);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = read_workflow_job(&bytes);
        }
    }
}
