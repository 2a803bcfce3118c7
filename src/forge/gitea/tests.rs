//! What only a made-up Gitea shows: old versions, races, other people's repositories. How a real
//! one behaves is in `tests/gitea/forge_conformance`.

use serde_json::{Value, json};
use wiremock::matchers::{method, path, query_param};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::*;
use crate::forge::gitea::look::{LookMemory, Round};
use crate::ledger::event::Deletion;

fn app() -> Target {
    Target::Repository("o/r".to_owned())
}

async fn server() -> (Gitea, MockServer) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let server = MockServer::start().await;
    let api = format!("{}/api/v1", server.uri()).parse().unwrap();
    (Gitea::new(api, &"token".into()).unwrap(), server)
}

async fn give(server: &MockServer, verb: &str, at: &str, status: u16, body: Value) {
    let answer = ResponseTemplate::new(status).set_body_json(body);
    let asked = Mock::given(method(verb)).and(path(format!("/api/v1{at}")));
    asked.respond_with(answer).mount(server).await;
}

/// Methods of all requests, in order.
async fn asked(server: &MockServer) -> Vec<String> {
    let requests = server.received_requests().await.unwrap();
    let word = |request: &Request| {
        format!("{} {}", request.method, request.url.path().trim_start_matches("/api/v1"))
    };
    requests.iter().map(word).collect()
}

fn job(id: u64, runner: u64) -> Value {
    json!({"id": id, "run_id": 1, "run_attempt": 1, "name": "one", "labels": ["linux"],
        "status": "in_progress", "runner_id": runner})
}

async fn at_work(server: &MockServer, jobs: Vec<Value>) {
    let body = json!({"total_count": jobs.len(), "jobs": jobs});
    give(server, "GET", "/repos/o/r/actions/jobs", 200, body).await;
}

const RUNNER: &str = "/repos/o/r/actions/runners/7";

#[tokio::test]
async fn a_runner_is_disabled_and_looked_at_again_before_it_is_deleted() {
    let (gitea, server) = server().await;
    let runner = json!({"id": 7, "name": "r", "busy": false, "disabled": false});
    give(&server, "GET", RUNNER, 200, runner.clone()).await;
    give(&server, "PATCH", RUNNER, 200, runner).await;
    give(&server, "DELETE", RUNNER, 204, json!(null)).await;
    at_work(&server, vec![job(1, 8)]).await;
    assert_eq!(gitea.delete_runner(&app(), 7).await.unwrap(), Deletion::NoNewJob);
    let runner = format!("GET {RUNNER}");
    let jobs = "GET /repos/o/r/actions/jobs".to_owned();
    let (patch, delete) = (format!("PATCH {RUNNER}"), format!("DELETE {RUNNER}"));
    let order = [&runner, &jobs, &patch, &runner, &jobs, &delete];
    assert_eq!(asked(&server).await.iter().collect::<Vec<_>>(), order);
}

#[tokio::test]
async fn a_runner_that_its_job_names_is_not_deleted_whatever_busy_says() {
    let (gitea, server) = server().await;
    let runner = json!({"id": 7, "name": "r", "busy": false, "disabled": false});
    give(&server, "GET", RUNNER, 200, runner).await;
    at_work(&server, vec![job(1, 7)]).await;
    assert_eq!(gitea.delete_runner(&app(), 7).await.unwrap(), Deletion::Busy);
    assert!(!asked(&server).await.iter().any(|asked| asked.starts_with("DELETE")));
}

#[tokio::test]
async fn a_job_that_came_while_the_runner_was_being_disabled_keeps_it() {
    let (gitea, server) = server().await;
    let runner = |busy: bool| json!({"id": 7, "name": "r", "busy": busy, "disabled": false});
    let first = ResponseTemplate::new(200).set_body_json(runner(false));
    let at = format!("/api/v1{RUNNER}");
    let once = Mock::given(method("GET")).and(path(&at)).respond_with(first).up_to_n_times(1);
    once.mount(&server).await;
    give(&server, "GET", RUNNER, 200, runner(true)).await;
    give(&server, "PATCH", RUNNER, 200, json!({})).await;
    at_work(&server, Vec::new()).await;
    assert_eq!(gitea.delete_runner(&app(), 7).await.unwrap(), Deletion::Busy);
    assert!(!asked(&server).await.iter().any(|asked| asked.starts_with("DELETE")));
}

#[tokio::test]
async fn a_gitea_that_cannot_disable_is_looked_at_after_the_deletion() {
    for (after, outcome) in [(vec![], Deletion::NoNewJob), (vec![job(1, 7)], Deletion::Busy)] {
        let (gitea, server) = server().await;
        give(&server, "GET", RUNNER, 200, json!({"id": 7, "name": "r", "busy": false})).await;
        give(&server, "DELETE", RUNNER, 204, json!(null)).await;
        let none = ResponseTemplate::new(200).set_body_json(json!({"total_count": 0, "jobs": []}));
        let jobs = Mock::given(path("/api/v1/repos/o/r/actions/jobs"));
        jobs.respond_with(none).up_to_n_times(1).mount(&server).await;
        at_work(&server, after).await;
        assert_eq!(gitea.delete_runner(&app(), 7).await.unwrap(), outcome);
        assert!(!asked(&server).await.iter().any(|asked| asked.starts_with("PATCH")));
    }
}

#[tokio::test]
async fn a_runner_that_is_gone_gets_no_new_job_and_one_that_cannot_be_seen_is_no_answer() {
    let (gitea, server) = server().await;
    give(&server, "GET", RUNNER, 404, json!({})).await;
    assert_eq!(gitea.delete_runner(&app(), 7).await.unwrap(), Deletion::NoNewJob);
    server.reset().await;
    give(&server, "GET", RUNNER, 403, json!({"message": "no"})).await;
    let error = gitea.delete_runner(&app(), 7).await.unwrap_err();
    assert_eq!(error.kind, Kind::Forbidden);
    assert!(error.to_string().contains("lacks write:repository"), "{error}");
}

#[tokio::test]
async fn whose_code_a_pull_request_brings_decides_and_doubt_counts_as_a_fork() {
    let own = json!({"label": "topic", "repo": {"id": 1}});
    let pull = "ci.yml@refs/pull/3/head";
    for (event, at, head, fork) in [
        ("push", "ci.yml@refs/heads/main", json!(null), false),
        ("pull_request", pull, own.clone(), false),
        ("pull_request_review", pull, own.clone(), false),
        ("pull_request", pull, json!({"label": "main", "repo": {"id": 2}}), true),
        ("pull_request", pull, json!({"label": "main", "repo": null}), true),
        ("pull_request", pull, json!({"label": "", "repo": {"id": 1}}), true),
        ("pull_request_target", "ci.yml@refs/heads/main", json!(null), true),
    ] {
        let (gitea, server) = server().await;
        let run = json!({"id": 5, "event": event, "path": at});
        give(&server, "GET", "/repos/o/r/actions/runs/5", 200, run).await;
        give(&server, "GET", "/repos/o/r/pulls/3", 200, json!({"head": head})).await;
        let answer = gitea.run_facts(RepositoryId(1), "o/r", RunId(5)).await.unwrap();
        assert_eq!(answer.is_fork, fork, "{event} {head}");
    }
}

#[tokio::test]
async fn one_sweep_asks_once_for_all_repositories_of_an_owner() {
    let (gitea, server) = server().await;
    give(&server, "GET", "/user", 200, json!({"login": "me"})).await;
    give(&server, "GET", "/orgs/o", 200, json!({"name": "o"})).await;
    for (id, name) in [(1, "a"), (2, "b")] {
        let body = json!({"id": id, "full_name": format!("o/{name}"), "private": true});
        give(&server, "GET", &format!("/repos/o/{name}"), 200, body).await;
    }
    let waiting = |id: u64, name: &str| {
        json!({"id": id, "run_id": 4, "name": "one", "labels": [], "status": "queued",
            "url": format!("http://git/api/v1/repos/o/{name}/actions/jobs/{id}")})
    };
    let jobs =
        json!({"total_count": 3, "jobs": [waiting(1, "a"), waiting(2, "b"), waiting(3, "A")]});
    give(&server, "GET", "/orgs/o/actions/jobs", 200, jobs).await;
    let runs = json!({"total_count": 1, "workflow_runs": [{"id": 4, "actor": {"login": "me"}}]});
    give(&server, "GET", "/orgs/o/actions/runs", 200, runs).await;
    let (mut a, mut b, round) = (LookMemory::default(), LookMemory::default(), Round::default());
    let seen = gitea.look("o/a", &mut a, &round).await.unwrap();
    let ids = |look: &super::super::Look| look.reports.iter().map(|r| r.id.0).collect::<Vec<_>>();
    assert_eq!(ids(&seen), [1, 3]);
    assert_eq!(seen.reports[0].actor.as_deref(), Some("me"));
    assert_eq!(ids(&gitea.look("o/b", &mut b, &round).await.unwrap()), [2]);
    let lists = asked(&server).await.iter().filter(|asked| asked.contains("/actions/")).count();
    assert_eq!(lists, 2, "{:?}", asked(&server).await);
}

/// Else each of its open jobs would be missing in the list, and asked for, at each sweep.
#[tokio::test]
async fn a_repository_that_was_renamed_is_looked_up_anew_once_an_answer_shows_it() {
    let (gitea, server) = server().await;
    give(&server, "GET", "/user", 200, json!({"login": "o"})).await;
    let called = |name: &str| json!({"id": 1, "full_name": name, "private": true});
    give(&server, "GET", "/repos/o/a", 200, called("o/a")).await;
    give(&server, "GET", "/orgs/o", 404, json!({})).await;
    let none = json!({"total_count": 0, "jobs": []});
    give(&server, "GET", "/user/actions/jobs", 200, none).await;
    let (mut memory, mut other) = (LookMemory::default(), LookMemory::default());
    for memory in [&mut memory, &mut other] {
        gitea.look("o/a", memory, &Round::default()).await.unwrap();
    }
    // Now it is called o/z, and Gitea sends on whoever asks by its former name.
    server.reset().await;
    let waiting = json!({"id": 5, "run_id": 4, "name": "one", "labels": [], "status": "queued",
        "url": "http://git/api/v1/repos/o/z/actions/jobs/5"});
    give(&server, "GET", "/repos/o/a", 200, called("o/z")).await;
    give(&server, "GET", "/repos/o/a/actions/jobs/5", 200, waiting.clone()).await;
    let jobs = json!({"total_count": 1, "jobs": [waiting]});
    give(&server, "GET", "/user/actions/jobs", 200, jobs).await;
    let runs = json!({"total_count": 0, "workflow_runs": []});
    give(&server, "GET", "/user/actions/runs", 200, runs).await;
    let ids = |look: &super::super::Look| look.reports.iter().map(|r| r.id.0).collect::<Vec<_>>();
    let unseen = gitea.look("o/a", &mut memory, &Round::default()).await.unwrap();
    assert!(unseen.reports.is_empty());
    gitea.job("o/a", JobId(5)).await.unwrap().unwrap();
    for memory in [&mut memory, &mut other] {
        let seen = gitea.look("o/a", memory, &Round::default()).await.unwrap();
        assert_eq!((seen.repository.full_name.as_str(), ids(&seen)), ("o/z", vec![5]));
    }
    gitea.look("o/a", &mut memory, &Round::default()).await.unwrap();
    let looked_up = |one: &&String| *one == "GET /repos/o/a";
    assert_eq!(asked(&server).await.iter().filter(looked_up).count(), 2);
}

#[tokio::test]
async fn another_persons_repository_is_looked_at_by_itself() {
    let (gitea, server) = server().await;
    give(&server, "GET", "/user", 200, json!({"login": "me"})).await;
    give(&server, "GET", "/orgs/you", 404, json!({})).await;
    let body = json!({"id": 1, "full_name": "you/a", "private": true});
    give(&server, "GET", "/repos/you/a", 200, body).await;
    let jobs = json!({"total_count": 0, "jobs": []});
    give(&server, "GET", "/repos/you/a/actions/jobs", 200, jobs).await;
    let look = gitea.look("you/a", &mut LookMemory::default(), &Round::default()).await.unwrap();
    assert!(look.reports.is_empty() && !look.repository.owned_by_organization);
}

#[tokio::test]
async fn what_is_open_is_asked_for_in_one_question() {
    let (gitea, server) = server().await;
    give(&server, "GET", "/user", 200, json!({"login": "me"})).await;
    give(&server, "GET", "/orgs/me", 404, json!({})).await;
    let body = json!({"id": 1, "full_name": "me/a", "private": true});
    give(&server, "GET", "/repos/me/a", 200, body).await;
    let jobs = ResponseTemplate::new(200).set_body_json(json!({"total_count": 0, "jobs": []}));
    Mock::given(path("/api/v1/user/actions/jobs"))
        .and(query_param("status", "queued"))
        .respond_with(jobs)
        .expect(1)
        .mount(&server)
        .await;
    gitea.look("me/a", &mut LookMemory::default(), &Round::default()).await.unwrap();
    let requests = server.received_requests().await.unwrap();
    let query = requests.iter().find_map(|r| r.url.path().ends_with("jobs").then(|| r.url.query()));
    assert!(
        query.flatten().unwrap().starts_with("status=queued&status=waiting&status=in_progress")
    );
}
