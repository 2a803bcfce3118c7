//! Who says no, and why, in words on the job: Nomad's parameterized jobs and ACLs, GitHub's
//! permissions and limits. And that work goes on once it is mended.

use crate::support;

use std::time::{Duration, Instant};

use local_parts::agent::Agent;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use simulated::github::{FaultKind, FaultRule, Level, Visibility};
use support::parents::{Parent, pool, register_plain};
use support::proxied::Proxied;
use support::until;
use support::world::{Parts, Plan};

const LIMIT: Duration = Duration::from_secs(60);
const TOKEN: &str = "registration-token";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_parameterized_job_refuses_is_said_and_goes_on_when_it_is_mended() {
    let parts = Parts::start().await;
    let nomad = parts.nomad.clone();
    let fit = |id| Parent { id, payload: "optional", required: &["runner_name"], optional: &[] };
    fit("stopped").register(&nomad).await;
    nomad.stop(nomad.place(), "stopped").await.unwrap();
    register_plain(&nomad, "plain").await;
    Parent { payload: "forbidden", ..fit("unloaded") }.register(&nomad).await;
    Parent { required: &["team"], ..fit("unfilled") }.register(&nomad).await;
    fit("tokenless").register(&nomad).await;
    let refusals = [
        ("absent", "payload", "\"absent\" does not exist in namespace \"default\""),
        ("stopped", "payload", "\"stopped\" is stopped"),
        ("plain", "payload", "not parameterized"),
        ("unloaded", "payload", "forbids a payload"),
        ("unfilled", "payload", "requires the meta key team"),
        ("tokenless", "meta", "takes no meta key runner_token"),
    ];
    let mut pools = "delivery = \"payload\"".to_owned();
    for (name, delivery, _) in refusals {
        pools += &pool(name, name, &format!("delivery = {delivery:?}"));
    }
    let mut world = Proxied::around(parts, Plan { pool: pools, ..Plan::default() }).await;
    world.daemon.start().await;
    let started = Instant::now();
    let mut jobs = Vec::new();
    for (name, _, reason) in refusals {
        let job = world.queue_for(name, world.app, 1)[0];
        jobs.push(job);
        world.until_reason(job, reason).await;
    }
    assert!(world.children().await.is_empty());

    let _ = nomad.purge(nomad.place(), "plain").await;
    for name in ["absent", "stopped", "plain", "unloaded", "unfilled"] {
        fit(name).register(&nomad).await;
    }
    Parent { required: &["runner_token"], ..fit("tokenless") }.register(&nomad).await;
    let mended = Instant::now();
    world.until_children(6, LIMIT).await;
    // Backoff alone would have taken ten seconds at the least.
    if mended.duration_since(started) < Duration::from_secs(3) {
        assert!(mended.elapsed() < Duration::from_secs(6), "{:?}", mended.elapsed());
    }
    world.cancel(&jobs);
    world.until_nothing_is_left(LIMIT).await;
}

async fn manage(agent: &Agent, path: &str, body: Value) -> Value {
    let url = agent.address().join(path).unwrap();
    let request = reqwest::Client::new().put(url).json(&body);
    let token = agent.token().unwrap().expose_secret();
    let answer = request.header("X-Nomad-Token", token).send().await.unwrap();
    let answer = answer.error_for_status().unwrap().text().await.unwrap();
    serde_json::from_str(&answer).unwrap_or_default()
}

async fn allow(agent: &Agent, capabilities: &str) {
    let rules = format!("namespace \"default\" {{ capabilities = [{capabilities}] }}");
    let policy = json!({ "Name": "hands", "Rules": rules });
    manage(agent, "/v1/acl/policy/hands", policy).await;
}

/// Nothing is to be done, so nobody needs the token.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_deleted_shows_in_readyz() {
    let parts = Parts::with(|options| options.acl = true).await;
    let capabilities = r#""list-jobs", "read-job", "dispatch-job", "submit-job""#;
    allow(&parts.agent, capabilities).await;
    let token = json!({ "Name": "daemon", "Type": "client", "Policies": ["hands"] });
    let token = manage(&parts.agent, "/v1/acl/token", token).await;
    let plan = Plan { before_pools: format!("token = {}", token["SecretID"]), ..Plan::default() };
    let mut world = Proxied::around(parts, plan).await;
    world.daemon.start().await;
    let jobs = world.queue(world.app, 1, 200);
    world.each_ran_once(&jobs, LIMIT).await;
    assert_eq!(world.daemon.api("/readyz").await["degraded"], json!([]));
    let accessor = token["AccessorID"].as_str().unwrap();
    let url = world.agent.address().join(&format!("/v1/acl/token/{accessor}")).unwrap();
    let request = reqwest::Client::new().delete(url);
    let request = request.header("X-Nomad-Token", world.agent.token().unwrap().expose_secret());
    request.send().await.unwrap().error_for_status().unwrap();
    until("readyz says that the token is refused", LIMIT, async || {
        let degraded = world.daemon.api("/readyz").await["degraded"].to_string();
        degraded.contains("nomad: ") && degraded.contains("Permission denied")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acl_token_that_lacks_something_is_said() {
    let wrong = "9c6f8d80-6f21-4b14-8a4a-1f6b3f0a7f10";
    let parts = Parts::with(|options| options.acl = true).await;
    let plan = Plan { before_pools: format!("token = {wrong:?}"), ..Plan::default() };
    let mut world = Proxied::around(parts, plan).await;
    world.daemon.start().await;
    let jobs = world.queue(world.app, 1, 200);
    world.until_reason(jobs[0], "needs read-job, list-jobs, dispatch-job and deregister-job").await;

    allow(&world.agent, r#""list-jobs", "read-job""#).await;
    let token = json!({ "Name": "daemon", "Type": "client", "Policies": ["hands"] });
    let token = manage(&world.agent, "/v1/acl/token", token).await;
    world.daemon.kill_hard();
    let config = std::fs::read_to_string(world.daemon.config()).unwrap();
    let config = config.replace(wrong, token["SecretID"].as_str().unwrap());
    std::fs::write(world.daemon.config(), config).unwrap();
    world.daemon.start().await;
    world.until_reason(jobs[0], "lacks the capability dispatch-job").await;
    assert!(world.daemon.api("/readyz").await["ready"].as_bool().unwrap());

    let enough = r#""list-jobs", "read-job", "dispatch-job", "submit-job""#;
    allow(&world.agent, enough).await;
    world.each_ran_once(&jobs, LIMIT).await;
    assert_eq!(world.children().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn githubs_refusals_name_the_permission_that_is_missing() {
    let credential = |owner: &str| {
        format!("[[github.credentials]]\nowners = [{owner:?}]\ntoken = \"ghp_{owner}\"\n")
    };
    let plan = Plan {
        credentials: ["unknown", "weak", "blind"].map(credential).concat(),
        pool: format!(
            "delivery = \"payload\"{}",
            pool("any", "github-runner-x64", "delivery = \"payload\"")
        ),
        ..Plan::default()
    };
    let world = Proxied::planned(plan).await;
    let repositories = ["unknown/app", "weak/app", "blind/app"]
        .map(|name| world.add_repository(name, Visibility::Private));
    world.github.with(|github, _| {
        let weak = github.add_user("weak");
        github.add_token("ghp_weak", weak, &[("actions", Level::Read), ("metadata", Level::Read)]);
        let stranger = github.add_user("stranger");
        github.add_full_token("ghp_blind", stranger);
    });
    let missing = "\"Administration: write\" on the repository";
    for (repository, status) in repositories.into_iter().zip(["401", "403", "404"]) {
        let job = world.queue_for("any", repository, 1)[0];
        world.until_reason(job, status).await;
        world.until_reason(job, missing).await;
        world.cancel(&[job]);
    }
    // One credential's trouble is not another's.
    let degraded = world.daemon.api("/readyz").await["degraded"].to_string();
    assert!(degraded.contains("github: ") && degraded.contains("unknown"), "{degraded}");
    let jobs = world.queue(world.app, 1, 200);
    world.each_ran_once(&jobs, LIMIT).await;
    let degraded = world.daemon.api("/readyz").await["degraded"].to_string();
    assert!(degraded.contains("401"), "{degraded}");
    assert_eq!(world.github_proxy.count("POST", TOKEN), 4, "one request each, no storm");
}

fn fault(world: &Proxied, kind: FaultKind) {
    let rule =
        FaultRule { method: "POST".to_owned(), path_contains: TOKEN.to_owned(), times: 1, kind };
    world.github.with(|github, _| github.fault(rule));
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_is_obeyed_by_everything_on_that_credential() {
    for status in [403, 429] {
        let world = Proxied::start().await;
        fault(&world, FaultKind::RetryAfter { status, seconds: 4 });
        let jobs = world.queue(world.app, 1, 200);
        world.until_reason(jobs[0], "rate limited until").await;
        let others = world.queue(world.lib, 1, 200);
        world.each_ran_once(&[jobs, others].concat(), LIMIT).await;
        let asked = world.github_proxy.seen("POST", TOKEN);
        // Both repositories are asked for, and the second only once the time is over.
        let waited = asked[1].at.duration_since(asked[0].at);
        assert!(waited >= Duration::from_millis(3_900), "{status}: asked again after {waited:?}");
        assert!(waited < Duration::from_secs(15), "{status}: and not much later: {waited:?}");
        assert_eq!(asked.len(), 3, "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_5xx_it_is_asked_again_with_backoff() {
    let world = Proxied::start().await;
    fault(&world, FaultKind::Status(502, json!({ "message": "Server Error" })));
    let jobs = world.queue(world.app, 3, 200);
    world.until_reason(jobs[0], "502").await;
    let more = world.queue(world.app, 1, 200);
    until("GitHub is asked again", LIMIT, async || world.github_proxy.count("POST", TOKEN) > 1)
        .await;
    let asked = world.github_proxy.seen("POST", TOKEN);
    let waited = asked[1].at.duration_since(asked[0].at);
    assert!(waited >= Duration::from_secs(10), "asked again after {waited:?}");
    world.each_ran_once(&[jobs, more].concat(), LIMIT).await;
    assert_eq!(world.github_proxy.count("POST", TOKEN), 2);
}
