//! Workflow runs: what event caused one, and whose code it runs.
//!
//! The jobs of a run are in `jobs`.

use jiff::Timestamp;
use serde::Deserialize;

use super::error::Error;
use super::paging::Pages;
use super::registration;
use super::repositories::RepositoryRef;
use super::transport::{Call, Client};
use super::wire;

/// A workflow run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub id: u64,
    /// What people see behind the `#`: counted by workflow, so not unique.
    pub run_number: Option<u64>,
    pub workflow_id: Option<u64>,
    /// The workflow's file, as `.github/workflows/ci.yml`.
    pub path: Option<String>,
    /// `push`, `pull_request`, `pull_request_target`, …
    pub event: String,
    /// An open set: `queued`, `in_progress`, `completed`, `waiting`, `requested`, `pending`, …
    pub status: String,
    pub conclusion: Option<String>,
    /// From 1.
    pub run_attempt: u32,
    pub head_branch: Option<String>,
    pub head_sha: Option<String>,
    /// The branches from which pull requests of this repository come that the commit belongs to.
    pub pull_request_heads: Vec<String>,
    /// Whose code runs. None where that repository is gone (a deleted fork).
    pub head_repository: Option<RepositoryRef>,
    /// Where it runs.
    pub repository: RepositoryRef,
    /// The login that caused the first attempt.
    pub actor: Option<String>,
    /// The login that caused this attempt.
    pub triggering_actor: Option<String>,
    pub html_url: String,
    pub created_at: Option<Timestamp>,
    pub updated_at: Option<Timestamp>,
}

/// A filtered listing of runs shows no more (docs, "List workflow runs for a repository").
pub const MOST_RUNS: usize = 1_000;

#[derive(Deserialize)]
struct WireRuns {
    workflow_runs: Vec<WireRun>,
}

#[derive(Deserialize)]
struct WireRun {
    id: u64,
    run_number: Option<u64>,
    path: Option<String>,
    #[serde(default)]
    event: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    status: String,
    conclusion: Option<String>,
    run_attempt: Option<u32>,
    head_branch: Option<String>,
    head_sha: Option<String>,
    workflow_id: Option<u64>,
    #[serde(default, deserialize_with = "wire::or_default")]
    pull_requests: Vec<WirePullRequest>,
    head_repository: Option<RepositoryRef>,
    repository: RepositoryRef,
    actor: Option<WireActor>,
    triggering_actor: Option<WireActor>,
    #[serde(default)]
    html_url: String,
    #[serde(default, deserialize_with = "wire::maybe_time")]
    created_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "wire::maybe_time")]
    updated_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct WirePullRequest {
    head: Option<WireHead>,
}

#[derive(Deserialize)]
struct WireHead {
    #[serde(rename = "ref")]
    branch: String,
}

#[derive(Deserialize)]
struct WireActor {
    login: String,
}

impl From<WireRun> for Run {
    fn from(wire: WireRun) -> Run {
        Run {
            id: wire.id,
            run_number: wire.run_number,
            path: wire.path.filter(|path| !path.is_empty()),
            event: wire.event,
            status: wire.status,
            conclusion: wire.conclusion,
            run_attempt: wire.run_attempt.unwrap_or(1),
            head_branch: wire.head_branch,
            head_sha: wire.head_sha,
            workflow_id: wire.workflow_id,
            pull_request_heads: wire
                .pull_requests
                .into_iter()
                .filter_map(|it| Some(it.head?.branch))
                .collect(),
            head_repository: wire.head_repository,
            repository: wire.repository,
            actor: wire.actor.map(|a| a.login),
            triggering_actor: wire.triggering_actor.map(|a| a.login),
            html_url: wire.html_url,
            created_at: wire.created_at,
            updated_at: wire.updated_at,
        }
    }
}

impl Client {
    /// `GET /repos/…/actions/runs/:id`.
    pub async fn run(&self, repo: &str, run_id: u64) -> Result<Run, Error> {
        let id = run_id.to_string();
        let mut path = registration::repository(repo);
        path.extend(["actions", "runs", &id]);
        Ok(self.read::<WireRun>(Call::get(path)).await?.0.into())
    }

    /// `GET /repos/…/actions/runs?status=`, newest first, all pages; GitHub gives at most
    /// [`MOST_RUNS`].
    pub async fn runs(&self, repo: &str, status: &str) -> Result<Vec<Run>, Error> {
        self.pages(listing(repo, status), items).await
    }

    /// As [`runs`](Self::runs), for what is known of them already.
    pub async fn runs_again<T>(
        &self,
        repo: &str,
        status: &str,
        known: &mut Pages<T>,
        keep: impl Fn(Run) -> T,
    ) -> Result<(), Error> {
        self.pages_again(listing(repo, status), known, items, keep).await
    }
}

fn listing<'a>(repo: &'a str, status: &str) -> Call<'a> {
    let mut path = registration::repository(repo);
    path.extend(["actions", "runs"]);
    Call::get(path).query("status", status)
}

fn items(page: WireRuns) -> Vec<Run> {
    page.workflow_runs.into_iter().map(Run::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use serde_json::{Value, json};
    use wiremock::matchers::{header, path, query_param};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    fn run() -> Value {
        json!({"id": 33_714_470_481_u64, "event": "pull_request", "status": null,
            "conclusion": null, "run_attempt": 2, "head_branch": null, "head_repository": null,
            "run_number": 12, "path": ".github/workflows/ci.yml",
            "repository": {"id": 1, "full_name": "o/r", "private": false},
            "actor": null, "triggering_actor": {"login": "dependabot[bot]"},
            "created_at": "2026-01-01T00:00:00Z"})
    }

    #[tokio::test]
    async fn nulls_are_read() {
        let server = MockServer::start().await;
        Mock::given(path("/repos/o/r/actions/runs/33714470481"))
            .respond_with(ResponseTemplate::new(200).set_body_json(run()))
            .mount(&server)
            .await;
        let run = testing::client(&server.uri()).run("o/r", 33_714_470_481).await.unwrap();
        assert_eq!(run.head_repository, None);
        assert_eq!(run.run_attempt, 2);
        assert_eq!(run.run_number, Some(12));
        assert_eq!(run.path.as_deref(), Some(".github/workflows/ci.yml"));
        assert_eq!(run.triggering_actor.as_deref(), Some("dependabot[bot]"));
        assert!(!run.repository.fork);
    }

    #[tokio::test]
    async fn an_etag_makes_the_question_conditional() {
        let server = MockServer::start().await;
        let runs = json!({"total_count": 1, "workflow_runs": [run()]});
        Mock::given(header("if-none-match", "W/\"1\""))
            .respond_with(ResponseTemplate::new(304))
            .with_priority(1)
            .mount(&server)
            .await;
        Mock::given(path("/repos/o/r/actions/runs"))
            .and(query_param("status", "queued"))
            .and(query_param("per_page", "100"))
            .respond_with(
                ResponseTemplate::new(200).insert_header("etag", "W/\"1\"").set_body_json(runs),
            )
            .mount(&server)
            .await;
        let client = testing::client(&server.uri());
        let mut known = Pages::default();
        client.runs_again("o/r", "queued", &mut known, |run| run.id).await.unwrap();
        client.runs_again("o/r", "queued", &mut known, |run| run.id).await.unwrap();
        assert_eq!(known.items().collect::<Vec<_>>(), [&33_714_470_481]);
    }
}
