//! Workflow jobs: what waits, and which runner took what.
//!
//! A job's `id` is that of its check run; a re-run makes new ones.

use jiff::Timestamp;
use serde::Deserialize;

use super::error::Error;
use super::paging::Pages;
use super::registration;
use super::transport::{Call, Client};
use super::wire;

/// Where a job is. GitHub's set is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobStatus {
    Queued,
    /// For an approval or a timer of its environment.
    Waiting,
    InProgress,
    Completed,
    /// `requested`, `pending`, or one that we do not know.
    Other(String),
}

impl From<&str> for JobStatus {
    fn from(text: &str) -> JobStatus {
        match text {
            "queued" => JobStatus::Queued,
            "waiting" => JobStatus::Waiting,
            "in_progress" => JobStatus::InProgress,
            "completed" => JobStatus::Completed,
            other => JobStatus::Other(other.to_owned()),
        }
    }
}

/// One job of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkflowJob {
    pub id: u64,
    pub run_id: u64,
    /// From 1.
    pub run_attempt: u32,
    pub name: String,
    pub workflow_name: Option<String>,
    pub head_branch: Option<String>,
    pub status: JobStatus,
    /// `success`, `failure`, `cancelled`, `skipped`, …: an open set.
    pub conclusion: Option<String>,
    /// What `runs-on` asks for; nulls (seen in completed jobs) are dropped.
    pub labels: Vec<String>,
    /// None where GitHub says null or 0: no runner has taken it.
    pub runner_id: Option<u64>,
    /// None where GitHub says null or "".
    pub runner_name: Option<String>,
    pub runner_group_id: Option<u64>,
    pub runner_group_name: Option<String>,
    pub created_at: Option<Timestamp>,
    /// Set from the beginning: it does not mean that the job has started.
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    pub html_url: Option<String>,
    pub head_sha: Option<String>,
    pub steps: Vec<Step>,
}

/// One step of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub name: String,
    pub conclusion: Option<String>,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct WireJobs {
    jobs: Vec<WireJob>,
}

#[derive(Deserialize)]
struct WireJob {
    id: u64,
    run_id: u64,
    run_attempt: Option<u32>,
    name: String,
    workflow_name: Option<String>,
    head_branch: Option<String>,
    #[serde(default, deserialize_with = "wire::or_default")]
    status: String,
    conclusion: Option<String>,
    #[serde(default, deserialize_with = "wire::or_default")]
    labels: Vec<Option<String>>,
    runner_id: Option<u64>,
    runner_name: Option<String>,
    runner_group_id: Option<u64>,
    runner_group_name: Option<String>,
    #[serde(default, deserialize_with = "wire::maybe_time")]
    created_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "wire::maybe_time")]
    started_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "wire::maybe_time")]
    completed_at: Option<Timestamp>,
    html_url: Option<String>,
    head_sha: Option<String>,
    #[serde(default, deserialize_with = "wire::or_default")]
    steps: Vec<WireStep>,
}

#[derive(Deserialize)]
struct WireStep {
    #[serde(default, deserialize_with = "wire::or_default")]
    name: String,
    conclusion: Option<String>,
    #[serde(default, deserialize_with = "wire::maybe_time")]
    started_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "wire::maybe_time")]
    completed_at: Option<Timestamp>,
}

impl From<WireStep> for Step {
    fn from(wire: WireStep) -> Step {
        Step {
            name: wire.name,
            conclusion: wire.conclusion,
            started_at: wire.started_at,
            completed_at: wire.completed_at,
        }
    }
}

impl From<WireJob> for WorkflowJob {
    fn from(wire: WireJob) -> WorkflowJob {
        let word = |text: Option<String>| text.filter(|t| !t.is_empty());
        WorkflowJob {
            id: wire.id,
            run_id: wire.run_id,
            run_attempt: wire.run_attempt.unwrap_or(1),
            name: wire.name,
            workflow_name: word(wire.workflow_name),
            head_branch: word(wire.head_branch),
            status: wire.status.as_str().into(),
            conclusion: word(wire.conclusion),
            labels: wire.labels.into_iter().flatten().collect(),
            runner_id: wire.runner_id.filter(|id| *id != 0),
            runner_name: word(wire.runner_name),
            runner_group_id: wire.runner_group_id.filter(|id| *id != 0),
            runner_group_name: word(wire.runner_group_name),
            created_at: wire.created_at,
            started_at: wire.started_at,
            completed_at: wire.completed_at,
            html_url: word(wire.html_url),
            head_sha: word(wire.head_sha),
            steps: wire.steps.into_iter().map(Step::from).collect(),
        }
    }
}

impl Client {
    /// `GET /repos/…/actions/jobs/:id`.
    pub async fn job(&self, repo: &str, job_id: u64) -> Result<WorkflowJob, Error> {
        let id = job_id.to_string();
        let mut path = registration::repository(repo);
        path.extend(["actions", "jobs", &id]);
        Ok(self.read::<WireJob>(Call::get(path)).await?.0.into())
    }

    /// `GET /repos/…/actions/runs/:id/jobs?filter=latest`: the jobs of the latest attempt.
    pub async fn jobs_of_run(&self, repo: &str, run_id: u64) -> Result<Vec<WorkflowJob>, Error> {
        self.pages(listing(repo, &run_id.to_string()), items).await
    }

    /// As [`jobs_of_run`](Self::jobs_of_run), for what is known of them already.
    pub async fn jobs_of_run_again<T>(
        &self,
        repo: &str,
        run_id: u64,
        known: &mut Pages<T>,
        keep: impl Fn(WorkflowJob) -> T,
    ) -> Result<(), Error> {
        self.pages_again(listing(repo, &run_id.to_string()), known, items, keep).await
    }
}

fn listing<'a>(repo: &'a str, run: &'a str) -> Call<'a> {
    let mut path = registration::repository(repo);
    path.extend(["actions", "runs", run, "jobs"]);
    Call::get(path).query("filter", "latest")
}

fn items(page: WireJobs) -> Vec<WorkflowJob> {
    page.jobs.into_iter().map(WorkflowJob::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use serde_json::{Value, json};
    use wiremock::matchers::{path, query_param};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    fn job() -> Value {
        json!({"id": 100_520_616_165_u64, "run_id": 33_714_470_481_u64, "run_attempt": 1,
            "name": "build", "workflow_name": null, "head_branch": null, "status": "queued",
            "conclusion": null, "labels": ["self-hosted", null, "x64"], "runner_id": 0,
            "runner_name": "", "runner_group_id": null, "runner_group_name": null,
            "created_at": "2026-01-01T00:00:00Z", "started_at": "2026-01-01T00:00:00Z",
            "completed_at": null, "html_url": "https://github.com/o/r/actions/runs/1/job/2"})
    }

    #[tokio::test]
    async fn null_zero_and_empty_are_none() {
        let server = MockServer::start().await;
        Mock::given(path("/repos/o/r/actions/jobs/100520616165"))
            .respond_with(ResponseTemplate::new(200).set_body_json(job()))
            .mount(&server)
            .await;
        let job = testing::client(&server.uri()).job("o/r", 100_520_616_165).await.unwrap();
        assert_eq!(job.labels, ["self-hosted", "x64"]);
        assert_eq!((job.runner_id, job.runner_name), (None, None));
        assert_eq!(job.status, JobStatus::Queued);
        assert_eq!(job.completed_at, None);
    }

    #[tokio::test]
    async fn an_unknown_status_is_kept() {
        let server = MockServer::start().await;
        let mut strange = job();
        strange["status"] = "pending".into();
        Mock::given(path("/repos/o/r/actions/runs/1/jobs"))
            .and(query_param("filter", "latest"))
            .and(query_param("per_page", "100"))
            .respond_with(
                ResponseTemplate::new(200)
                    .set_body_json(json!({"total_count": 1, "jobs": [strange]})),
            )
            .mount(&server)
            .await;
        let jobs = testing::client(&server.uri()).jobs_of_run("o/r", 1).await.unwrap();
        assert_eq!(jobs[0].status, JobStatus::Other("pending".into()));
    }
}
