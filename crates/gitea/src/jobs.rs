//! Workflow jobs: what waits, and which runner took what. A rerun queues a job again under the id
//! that it has.

use jiff::Timestamp;
use serde::Deserialize;

use super::error::Error;
use super::owner::Owner;
use super::paging::Page;
use super::transport::{Call, Client};
use super::wire;

/// Where a job is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobStatus {
    /// For a runner.
    Queued,
    /// For another job, its concurrency group, or an approval.
    Waiting,
    InProgress,
    Completed,
    /// Empty, or one that we do not know.
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
    /// How often it was given out: 0 until it was for the first time.
    pub run_attempt: u64,
    pub name: String,
    pub head_branch: Option<String>,
    pub status: JobStatus,
    /// `success`, `failure`, `cancelled` or `skipped`, once it has ended.
    pub conclusion: Option<String>,
    pub labels: Vec<String>,
    /// Told once a runner has taken it.
    pub runner_id: Option<u64>,
    /// Told only while that runner is registered: an ephemeral one is not after its job.
    pub runner_name: Option<String>,
    pub created_at: Option<Timestamp>,
    /// None of these two before it has happened.
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    pub head_sha: Option<String>,
    pub steps: Vec<Step>,
    pub html_url: Option<String>,
    /// `owner/name`, from the job's own address in the API.
    pub repository: Option<String>,
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
    jobs: Option<Vec<WireJob>>,
    total_count: Option<u64>,
}

#[derive(Deserialize)]
struct WireJob {
    id: u64,
    run_id: u64,
    run_attempt: Option<u64>,
    #[serde(default)]
    name: String,
    head_branch: Option<String>,
    #[serde(default, deserialize_with = "wire::or_default")]
    status: String,
    conclusion: Option<String>,
    #[serde(default, deserialize_with = "wire::or_default")]
    labels: Vec<String>,
    runner_id: Option<u64>,
    runner_name: Option<String>,
    #[serde(default, deserialize_with = "wire::maybe_time")]
    created_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "wire::maybe_time")]
    started_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "wire::maybe_time")]
    completed_at: Option<Timestamp>,
    head_sha: Option<String>,
    #[serde(default, deserialize_with = "wire::or_default")]
    steps: Vec<WireStep>,
    html_url: Option<String>,
    url: Option<String>,
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
            conclusion: wire::said(wire.conclusion),
            started_at: wire.started_at,
            completed_at: wire.completed_at,
        }
    }
}

impl From<WireJob> for WorkflowJob {
    fn from(wire: WireJob) -> WorkflowJob {
        WorkflowJob {
            id: wire.id,
            run_id: wire.run_id,
            run_attempt: wire.run_attempt.unwrap_or(0),
            name: wire.name,
            head_branch: wire::said(wire.head_branch),
            status: wire.status.as_str().into(),
            conclusion: wire::said(wire.conclusion),
            labels: wire.labels,
            runner_id: wire.runner_id.filter(|id| *id != 0),
            runner_name: wire::said(wire.runner_name),
            created_at: wire.created_at,
            started_at: wire.started_at,
            completed_at: wire.completed_at,
            head_sha: wire::said(wire.head_sha),
            steps: wire.steps.into_iter().map(Step::from).collect(),
            html_url: wire::said(wire.html_url),
            repository: wire.url.as_deref().and_then(repository),
        }
    }
}

/// Of `http://HOST/api/v1/repos/OWNER/NAME/actions/jobs/ID`.
fn repository(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("/api/v1/repos/")?;
    let (name, _) = rest.split_once("/actions/")?;
    (name.matches('/').count() == 1).then(|| name.to_owned())
}

fn page(wire: WireJobs) -> Page<WorkflowJob> {
    let items = wire.jobs.unwrap_or_default().into_iter().map(WorkflowJob::from).collect();
    Page { items, total: wire.total_count }
}

impl Client {
    /// `GET /repos/…/actions/jobs/:id`.
    pub async fn job(&self, repo: &str, job: u64) -> Result<WorkflowJob, Error> {
        let id = job.to_string();
        let path = Owner::Repository(repo).actions(&["jobs", &id]);
        Ok(self.read::<WireJob>(Call::get(path)).await?.0.into())
    }

    /// `GET /repos/…/actions/runs/:id/jobs`, all pages.
    pub async fn jobs_of_run(&self, repo: &str, run: u64) -> Result<Vec<WorkflowJob>, Error> {
        let id = run.to_string();
        let call = Call::get(Owner::Repository(repo).actions(&["runs", &id, "jobs"]));
        Ok(self.pages(call, page, |job| job.id).await?.items)
    }

    /// `GET …/actions/jobs?status=…`, all pages, of all runs. Under load one may be missing.
    pub async fn jobs(&self, of: Owner<'_>, statuses: &[&str]) -> Result<Vec<WorkflowJob>, Error> {
        Ok(self.list_jobs(of, statuses).await?.0)
    }

    /// As [`jobs`](Self::jobs), and none is missing.
    pub async fn all_jobs(
        &self,
        of: Owner<'_>,
        statuses: &[&str],
    ) -> Result<Vec<WorkflowJob>, Error> {
        match self.list_jobs(of, statuses).await? {
            (jobs, true) => Ok(jobs),
            (_, false) => Err(Error::Unavailable {
                request: Call::get(of.actions(&["jobs"])).name(),
                reason: "the list kept changing while it was read".to_owned(),
            }),
        }
    }

    async fn list_jobs(
        &self,
        of: Owner<'_>,
        statuses: &[&str],
    ) -> Result<(Vec<WorkflowJob>, bool), Error> {
        let mut call = Call::get(of.actions(&["jobs"]));
        for status in statuses {
            call = call.query("status", *status);
        }
        let list = self.pages(call, page, |job| job.id).await?;
        Ok((list.items, list.whole))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::answering;

    #[tokio::test]
    async fn what_is_not_known_yet_is_left_out_or_1970() {
        let (client, _server) = answering(
            "GET",
            "/orgs/o/actions/jobs",
            json!({"total_count": 1, "jobs": [{
                "id": 4, "url": "http://h/api/v1/repos/o/r/actions/jobs/4",
                "html_url": "http://h/o/r/actions/runs/2/jobs/4", "run_id": 2,
                "run_url": "http://h/api/v1/repos/o/r/actions/runs/2", "name": "build",
                "labels": ["linux"], "run_attempt": 0, "head_sha": "abc", "head_branch": "main",
                "status": "queued", "steps": [], "created_at": "2026-11-24T10:00:00Z",
                "started_at": "1970-01-01T00:00:00Z", "completed_at": "1970-01-01T00:00:00Z"}]}),
        )
        .await;
        let jobs = client.jobs(Owner::Organization("o"), &["queued"]).await.unwrap();
        let job = jobs.first().unwrap();
        assert_eq!((job.run_attempt, job.status.clone()), (0, JobStatus::Queued));
        assert_eq!((job.runner_id, &job.runner_name, &job.conclusion), (None, &None, &None));
        assert_eq!(job.repository.as_deref(), Some("o/r"));
        assert!(job.created_at.is_some());
        assert_eq!((job.started_at, job.completed_at), (None, None));
        assert_eq!(job.head_sha.as_deref(), Some("abc"));
    }

    #[tokio::test]
    async fn several_states_are_asked_for_at_once() {
        let body = json!({"total_count": 0, "jobs": null});
        let (client, server) = answering("GET", "/user/actions/jobs", body).await;
        assert_eq!(client.jobs(Owner::Me, &["queued", "waiting"]).await.unwrap(), []);
        let asked = server.received_requests().await.unwrap();
        assert_eq!(asked[0].url.query(), Some("status=queued&status=waiting&limit=50&page=1"));
    }

    #[test]
    fn a_repository_is_read_from_the_jobs_address_wherever_gitea_lives() {
        let of = |url: &str| repository(url);
        let name = Some("o/r".to_owned());
        assert_eq!(of("http://h/api/v1/repos/o/r/actions/jobs/4"), name);
        assert_eq!(of("https://h/git/api/v1/repos/o/r/actions/jobs/4"), name);
        assert_eq!(of("https://h/o/r/actions/jobs/4"), None);
    }
}
