//! What requests come to: who may, how often, in how many pages, and with what faults.
//! Calls are handed to the model directly: no sockets.

use serde_json::json;

use super::super::faults::FaultRule;
use super::super::model::tests::World;
use super::super::repositories::Visibility;
use super::super::runs::{Head, JobSpec, RunSpec};
use super::super::tokens::Level;
use super::*;

const REPOSITORY: &str = "/repos/octocat/app";

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.headers.iter().find(|(one, _)| *one == name).map(|(_, value)| value.as_str())
}

fn get(world: &mut World, path: &str) -> Answer {
    world.gh.rest(&Call::new("GET", path, "secret"), 1_000)
}

fn body(answer: &Answer) -> &Value {
    answer.body.as_ref().unwrap()
}

#[test]
fn tokens_are_told_apart() {
    let mut world = World::new();
    let path = format!("{REPOSITORY}/actions/runners/registration-token");
    let mut status = |token: &str| {
        let answer = world.gh.rest(&Call::new("POST", &path, token), 0);
        (answer.status, body(&answer)["message"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(status("secret").0, 201);
    assert_eq!(status("wrong"), (401, "Bad credentials".to_owned()));

    let stranger = world.gh.add_user("stranger");
    world.gh.add_full_token("stranger", stranger);
    world.gh.add_token("weak", world.user, &[("administration", Level::Read)]);
    let answer = world.gh.rest(&Call::new("POST", &path, "stranger"), 0);
    assert_eq!(answer.status, 404);
    let answer = world.gh.rest(&Call::new("POST", &path, "weak"), 0);
    assert_eq!(answer.status, 403);
    assert_eq!(body(&answer)["message"], "Resource not accessible by personal access token");
    assert_eq!(header(&answer, "x-accepted-github-permissions"), Some("administration=write"));
}

#[test]
fn a_registration_token_ends_after_an_hour_and_says_so_with_an_offset() {
    let mut world = World::new();
    let path = format!("/api/v3{REPOSITORY}/actions/runners/registration-token");
    let answer = world.gh.rest(&Call::new("POST", &path, "secret"), 8 * 3_600_000);
    assert_eq!(body(&answer)["expires_at"], "1970-01-01T01:00:00.000-08:00");
}

#[test]
fn each_answer_says_the_rate_limit_and_an_empty_one_is_403() {
    let mut world = World::new();
    let answer = get(&mut world, "/user");
    assert_eq!(header(&answer, "x-ratelimit-remaining"), Some("4999"));
    assert_eq!(header(&answer, "x-ratelimit-resource"), Some("core"));
    world.gh.set_remaining(world.user, 0, 1_000);
    let answer = get(&mut world, "/user");
    assert_eq!((answer.status, header(&answer, "x-ratelimit-remaining")), (403, Some("0")));
    assert_eq!(get(&mut world, "/rate_limit").status, 200);
}

#[test]
fn what_did_not_change_costs_nothing() {
    let mut world = World::new();
    let mut call = Call::new("GET", &format!("{REPOSITORY}/actions/runs?status=queued"), "secret");
    let answer = world.gh.rest(&call, 0);
    call.if_none_match = header(&answer, "etag").map(str::to_owned);
    let again = world.gh.rest(&call, 0);
    assert_eq!((again.status, again.body.is_none()), (304, true));
    assert_eq!(header(&again, "x-ratelimit-used"), Some("1"));
    world.job("build", &["x64"], 0);
    assert_eq!(world.gh.rest(&call, 0).status, 200);
}

#[test]
fn pages_are_linked_by_the_host_that_was_asked() {
    let mut world = World::new();
    for n in 0..5 {
        world.gh.add_repository(&format!("octocat/repo-{n}"), Visibility::Private, 0);
    }
    let answer = get(&mut world, "/user/repos?per_page=2&page=2");
    let names: Vec<&str> =
        body(&answer).as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["repo-1", "repo-2"]);
    let link = header(&answer, "link").unwrap();
    assert!(
        link.contains("<http://github.test/user/repos?page=3&per_page=2>; rel=\"next\""),
        "{link}"
    );
    let answer = get(&mut world, "/user/repos?per_page=2&page=3");
    assert!(!header(&answer, "link").unwrap().contains("next"));
}

#[test]
fn runs_say_their_event_and_whether_a_fork_is_their_head() {
    let mut world = World::new();
    let fork = Head::Fork { id: 77, full_name: "mallory/app".to_owned() };
    for head in [Head::Same, fork, Head::DeletedFork] {
        let spec = RunSpec { event: "pull_request".to_owned(), head, ..RunSpec::default() };
        world.gh.add_run(world.repository, spec, vec![JobSpec::new("t", &["x64"])], 0);
    }
    let answer = get(&mut world, &format!("{REPOSITORY}/actions/runs?status=queued"));
    let runs = body(&answer)["workflow_runs"].as_array().unwrap().clone();
    assert_eq!(body(&answer)["total_count"], 3);
    assert_eq!(runs[0]["head_repository"], Value::Null);
    assert_eq!(runs[1]["head_repository"]["full_name"], "mallory/app");
    assert_eq!(runs[2]["head_repository"]["id"], runs[2]["repository"]["id"]);
    assert!(runs.iter().all(|run| run["event"] == "pull_request"));
    let jobs = get(&mut world, &format!("{REPOSITORY}/actions/runs/{}/jobs", runs[0]["id"]));
    let job = body(&jobs)["jobs"][0]["id"].clone();
    let one = get(&mut world, &format!("{REPOSITORY}/actions/jobs/{job}"));
    assert_eq!(body(&one)["status"], "queued");
}

#[test]
fn a_former_name_redirects() {
    let mut world = World::new();
    world.gh.rename_repository(world.repository, "application");
    let answer = get(&mut world, &format!("{REPOSITORY}/actions/runs?per_page=5"));
    assert_eq!(answer.status, 301);
    let location = header(&answer, "location").unwrap().to_owned();
    let path = location.strip_prefix("http://github.test").unwrap();
    assert_eq!(get(&mut world, path).status, 200);
}

#[test]
fn faults_befall_as_ordered() {
    let mut world = World::new();
    let path = format!("{REPOSITORY}/actions/runners/registration-token");
    let mut order = |kind| {
        world.gh.fault(FaultRule {
            method: "POST".to_owned(),
            path_contains: "registration-token".to_owned(),
            times: 1,
            kind,
        });
        let answer = world.gh.rest(&Call::new("POST", &path, "secret"), 0);
        let minted = world.gh.runner_tokens.len();
        (answer, minted)
    };
    let (answer, minted) = order(FaultKind::Status(502, json!({ "message": "Server Error" })));
    assert_eq!((answer.status, minted), (502, 0));
    let (answer, minted) = order(FaultKind::RetryAfter { status: 429, seconds: 7 });
    assert_eq!((answer.status, header(&answer, "retry-after"), minted), (429, Some("7"), 0));
    let (answer, minted) = order(FaultKind::DropBefore);
    assert!(answer.cut && minted == 0);
    let (answer, minted) = order(FaultKind::ActThenDrop);
    assert!(answer.cut && minted == 1);
    let (answer, minted) = order(FaultKind::Slow(250));
    assert_eq!((answer.status, answer.delay, minted), (201, 250, 2));
    assert_eq!(world.gh.count_requests("POST", "registration-token"), 5);
    assert!(world.gh.faults.is_empty());
}

#[test]
fn runners_are_found_by_name_and_deleted_once() {
    let mut world = World::new();
    let runner = world.runner("roustabout-x64-1", &["x64"], 0);
    world.runner("roustabout-x64-2", &["x64"], 0);
    let answer = get(&mut world, &format!("{REPOSITORY}/actions/runners?name=roustabout-x64-1"));
    assert_eq!(body(&answer)["total_count"], 1);
    assert_eq!(body(&answer)["runners"][0]["status"], "online");
    let call =
        Call::new("DELETE", &format!("{REPOSITORY}/actions/runners/{}", runner.id), "secret");
    assert_eq!(world.gh.rest(&call, 0).status, 204);
    assert_eq!(world.gh.rest(&call, 0).status, 404);
}

#[test]
fn the_delivery_log_is_paged_by_cursor() {
    use super::super::hooks::{HookSpec, Outcome};
    let mut world = World::new();
    let hook = world.gh.add_hook(world.scope, HookSpec::new("http://127.0.0.1:9", "s"), 0);
    world.job("a", &["x64"], 0);
    world.job("b", &["x64"], 0);
    for (n, delivery) in world.gh.take_deliveries(0).into_iter().enumerate() {
        let status_code = if n == 2 { None } else { Some(202) };
        world.gh.delivered(delivery, Outcome { status_code, ..Outcome::default() }, 1);
    }
    let path = format!("{REPOSITORY}/hooks/{hook}/deliveries");
    let failed = get(&mut world, &format!("{path}?status=failure"));
    assert_eq!(body(&failed).as_array().unwrap().len(), 1);
    assert_eq!(body(&failed)[0]["action"], "queued");
    let id = body(&failed)[0]["id"].clone();
    let one = get(&mut world, &format!("{path}/{id}"));
    assert_eq!(body(&one)["request"]["payload"]["workflow_job"]["name"], "b");
    let page = get(&mut world, &format!("{path}?per_page=2"));
    let link = header(&page, "link").unwrap();
    let (_, cursor) = link.split_once("cursor=").unwrap();
    let cursor = &cursor[..cursor.find(['&', '>']).unwrap()];
    let rest = get(&mut world, &format!("{path}?per_page=2&cursor={cursor}"));
    assert_eq!(body(&rest).as_array().unwrap().len(), 1);
    let call = Call::new("POST", &format!("{path}/{id}/attempts"), "secret");
    assert_eq!(world.gh.rest(&call, 2).status, 202);
    assert_eq!(world.gh.take_deliveries(2).len(), 1);
}

#[test]
fn a_gitea_says_its_version_and_lists_the_runs_of_an_organization_in_its_own_pages() {
    use super::super::kind::Kind;
    let mut world = World::new();
    let version = |world: &mut World| body(&get(world, "/api/v1/version"))["version"].clone();
    assert_eq!(get(&mut world, "/version").status, 404, "GitHub has none");
    assert_eq!(get(&mut world, "/orgs/octo/actions/runs").status, 404, "nor that");
    for (disables, is) in [(true, "1.26.1"), (false, "1.25.4")] {
        world.gh.knobs.kind = Kind::Gitea { disables };
        assert_eq!(version(&mut world), is);
    }
    world.gh.add_organization("octo", &[world.user]);
    let repository = world.gh.add_repository("octo/app", Visibility::Private, 0);
    for name in ["a", "b"] {
        let jobs = vec![JobSpec::new(name, &["x64"])];
        world.gh.add_run(repository, RunSpec::default(), jobs, 0);
    }
    world.job("elsewhere", &["x64"], 0);
    world.gh.knobs.page_at_most = 1;
    let path = "/orgs/octo/actions/runs?status=queued&status=waiting&limit=50";
    let page = get(&mut world, path);
    assert_eq!(body(&page)["total_count"], 2);
    assert_eq!(body(&page)["workflow_runs"].as_array().unwrap().len(), 1);
    assert!(header(&page, "link").unwrap().contains("page=2"));
}

#[test]
fn an_enterprise_server_has_its_api_below_api_v3_and_knows_no_later_version() {
    let mut world = World::new();
    world.gh.knobs.kind = Kind::EnterpriseServer;
    assert_eq!(get(&mut world, REPOSITORY).status, 404);
    let path = format!("/api/v3{REPOSITORY}");
    let mut call = Call::new("GET", &path, "secret");
    let answer = world.gh.rest(&call, 0);
    assert_eq!(answer.status, 200);
    let told = body(&answer);
    assert_eq!(told["url"], "http://github.test/api/v3/repos/octocat/app");
    assert_eq!(told["html_url"], "http://github.test/octocat/app");
    call.api_version = Some("2026-03-10".to_owned());
    assert_eq!(world.gh.rest(&call, 0).status, 400);
    world.gh.knobs.kind = Kind::GitHub;
    assert_eq!(world.gh.rest(&call, 0).status, 200);
}
