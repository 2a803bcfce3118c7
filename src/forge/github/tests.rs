//! What an answer of GitHub's means: only a made-up GitHub shows it at will.

mod app;
mod lists;

fn credential() -> Credential {
    Credential { owners: vec!["*".to_owned()], by: By::Token("token".into()) }
}

use std::collections::BTreeSet;

use serde_json::{Value, json};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;

async fn server() -> (GitHub, MockServer) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let server = MockServer::start().await;
    (GitHub::new(server.uri().parse().unwrap(), &credential()).unwrap(), server)
}

async fn give(server: &MockServer, at: &str, status: u16, body: Value) {
    let answer = ResponseTemplate::new(status).set_body_json(body);
    Mock::given(path(at)).respond_with(answer).mount(server).await;
}

fn job(status: &str, created_at: &str) -> Value {
    json!({"id": 1, "run_id": 2, "run_attempt": 1, "name": "build", "status": status,
        "labels": ["linux"], "created_at": created_at})
}

fn run(status: &str, conclusion: Option<&str>, attempt: u32) -> Value {
    json!({"id": 2, "event": "push", "status": status, "conclusion": conclusion,
        "run_attempt": attempt, "repository": {"id": 3, "full_name": "o/r"}})
}

#[tokio::test]
async fn a_refusal_is_told_as_what_it_is_with_what_to_do() {
    for (body, mend) in [
        (
            json!({"message": "Resource protected by organization SAML enforcement. You must grant your Personal Access token access to this organization."}),
            "Configure SSO",
        ),
        (
            json!({"message": "the `o` organization has an IP allow list enabled, and your IP address is not permitted to access this resource."}),
            "IP allow list",
        ),
        (
            json!({"message": "The 'o' organization forbids access via a fine-grained personal access tokens if the token's lifetime is greater than 366 days."}),
            "whose lifetime is within the organization's limit",
        ),
        (json!({"message": "Repository was archived so is read-only."}), "o/r is archived"),
        (
            json!({"message": "Forbidden", "errors": "Repository level self-hosted runners are disabled on this repository"}),
            "allows no runners of this repository",
        ),
        (
            json!({"message": "Resource not accessible by personal access token"}),
            "lacks \"Administration: write\"",
        ),
    ] {
        let (github, server) = server().await;
        give(&server, "/repos/o/r/actions/runners/registration-token", 403, body).await;
        let target = Target::Repository("o/r".into());
        let error = github.mint(&target, Duration::ZERO).await.unwrap_err();
        assert_eq!(error.kind, Kind::Forbidden);
        assert!(error.mend.as_ref().is_some_and(|told| told.contains(mend)), "{error}");
    }
}

const LONG_AGO: &str = "2026-01-01T00:00:00Z";

async fn seen(job: Value, run: (u16, Value)) -> JobReport {
    let (github, server) = server().await;
    give(&server, "/repos/o/r/actions/jobs/1", 200, job.clone()).await;
    give(&server, "/repos/o/r/actions/runs/2/jobs", 200, json!({"total_count": 1, "jobs": [job]}))
        .await;
    give(&server, "/repos/o/r/actions/runs/2", run.0, run.1).await;
    let alone = github.job("o/r", JobId(1), false).await.unwrap().unwrap();
    let listed = github.jobs_of_run("o/r", RunId(2)).await.unwrap();
    assert_eq!(listed.first(), Some(&alone), "the same is said of it either way");
    alone
}

#[tokio::test]
async fn a_job_that_waits_in_a_run_that_is_over_has_ended() {
    let gone = (404, json!({"message": "Not Found"}));
    for (run, why) in [
        ((200, run("completed", Some("startup_failure"), 1)), "its run is over: startup_failure"),
        ((200, run("completed", Some("cancelled"), 1)), "its run is over: cancelled"),
        ((200, run("queued", None, 2)), "its run was started again"),
        (gone, "its run was deleted"),
    ] {
        let report = seen(job("queued", LONG_AGO), run).await;
        assert_eq!(report.status, JobStatus::Completed);
        assert_eq!(report.conclusion.as_deref(), Some(why));
    }
}

#[tokio::test]
async fn a_job_that_waits_in_an_open_run_or_is_new_still_waits() {
    let report = seen(job("queued", LONG_AGO), (200, run("in_progress", None, 1))).await;
    assert_eq!(report.status, JobStatus::Queued);
    // The run's state lags behind that of a new attempt.
    let now = jiff::Timestamp::now().to_string();
    let report = seen(job("queued", &now), (200, run("completed", Some("failure"), 1))).await;
    assert_eq!(report.status, JobStatus::Queued);
}

/// Else one deleted run would hold up whatever is asked together with it.
#[tokio::test]
async fn a_run_that_was_deleted_has_no_jobs_where_the_repository_is_in_sight() {
    let (github, server) = server().await;
    let gone = json!({"message": "Not Found"});
    give(&server, "/repos/o/r/actions/runs/2/jobs", 404, gone.clone()).await;
    give(&server, "/repos/o/hidden/actions/runs/2/jobs", 404, gone.clone()).await;
    give(&server, "/repos/o/hidden", 404, gone).await;
    let repository = json!({
        "id": 1, "full_name": "o/r", "html_url": "https://github.com/o/r", "private": true,
        "visibility": "private", "owner": {"login": "o", "type": "User"}
    });
    give(&server, "/repos/o/r", 200, repository).await;
    assert_eq!(github.jobs_of_run("o/r", RunId(2)).await.unwrap(), Vec::new());
    assert!(github.jobs_of_run("o/hidden", RunId(2)).await.is_err(), "it cannot be told");
}

/// GitHub's own clock says how old its job is: ours may be a year behind, or ahead.
#[tokio::test]
async fn whether_a_job_is_new_is_told_by_githubs_clock() {
    for (date, created_at, ended) in [
        ("Thu, 01 Jan 2026 01:00:00 GMT", "2026-01-01T00:59:30Z", false),
        ("Thu, 01 Jan 2026 01:00:00 GMT", "2026-01-01T00:57:00Z", true),
        ("Fri, 01 Jan 2100 01:00:00 GMT", "2100-01-01T00:57:00Z", true),
    ] {
        let (github, server) = server().await;
        let dated = |body: Value| {
            ResponseTemplate::new(200).insert_header("date", date).set_body_json(body)
        };
        let job = dated(job("queued", created_at));
        Mock::given(path("/repos/o/r/actions/jobs/1")).respond_with(job).mount(&server).await;
        let run = dated(run("completed", Some("cancelled"), 1));
        Mock::given(path("/repos/o/r/actions/runs/2")).respond_with(run).mount(&server).await;
        let report = github.job("o/r", JobId(1), false).await.unwrap().unwrap();
        assert_eq!(report.status == JobStatus::Completed, ended, "{date} {created_at}");
    }
}

#[tokio::test]
async fn a_status_that_is_not_known_is_a_job_that_cannot_run_yet() {
    for status in ["pending", "requested", "waiting", "hibernating"] {
        let report = seen(job(status, LONG_AGO), (200, run("pending", None, 1))).await;
        assert_eq!(report.status, JobStatus::Waiting, "{status}");
    }
}
