//! The ACL policies that we ship, on a Nomad with ACLs: with them alone everything works, with any right taken
//! away `check` names it, and a pool's tasks read the credentials of their own pool and no other.

use crate::support;

use std::collections::BTreeMap;
use std::time::Duration;

use local_parts::runner_job;
use reqwest::StatusCode;
use roustabout::nomad::{
    Address, Client, Connection, DispatchError, DispatchRequest, Place, Refusal,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use simulated::github::Status;
use support::daemon::{GITHUB_TOKEN, here, roustabout};
use support::parents::parameterized;
use support::world::{PARENT, Parts, Plan, World};
use support::{free_port, until};

const LIMIT: Duration = Duration::from_secs(60);

/// A file of deploy/nomad/acl, for the namespace of the tests.
fn policy(file: &str) -> String {
    let text = std::fs::read_to_string(here(&format!("deploy/nomad/acl/{file}"))).unwrap();
    text.replace("namespace \"runners\"", "namespace \"default\"")
}

async fn manage(parts: &Parts, path: &str, body: Value) -> Value {
    let url = parts.agent.address().join(path).unwrap();
    let token = parts.agent.token().unwrap().expose_secret();
    let request = reqwest::Client::new().put(url).header("X-Nomad-Token", token).json(&body);
    let answer = request.send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert!(status.is_success(), "{path}: {text}");
    serde_json::from_str(&text).unwrap_or_default()
}

async fn with_acl() -> Parts {
    Parts::with(|options| options.acl = true).await
}

/// A client token with these rules and nothing else.
async fn token(parts: &Parts, name: &str, rules: &str) -> String {
    let body = json!({ "Name": name, "Rules": rules });
    manage(parts, &format!("/v1/acl/policy/{name}"), body).await;
    let token = json!({ "Name": name, "Type": "client", "Policies": [name] });
    manage(parts, "/v1/acl/token", token).await["SecretID"].as_str().unwrap().to_owned()
}

async fn attach(parts: &Parts, name: &str, job: &str, rules: &str) {
    let attached = json!({ "Namespace": "default", "JobID": job });
    let body = json!({ "Name": name, "Rules": rules, "JobACL": attached });
    manage(parts, &format!("/v1/acl/policy/{name}"), body).await;
}

async fn write(parts: &Parts, path: &str) {
    let secret = SecretString::from("left behind");
    let items = BTreeMap::from([("token", &secret)]);
    parts.nomad.put_variable(parts.nomad.place(), path, &items, 0).await.unwrap();
}

/// What `check` says of a daemon with that token.
fn checked(world: &World, token: &str) -> String {
    world.daemon.configure(|text| {
        let lines = text.lines().map(|line| match line.starts_with("token = \"") {
            // The one of [nomad]; GitHub's is followed by it.
            true if !line.contains(GITHUB_TOKEN) => format!("token = \"{token}\""),
            _ => line.to_owned(),
        });
        lines.collect::<Vec<_>>().join("\n")
    });
    let checked = roustabout().arg("check").arg("--config").arg(world.daemon.config()).output();
    String::from_utf8(checked.unwrap().stdout).unwrap()
}

fn plan(token: &str, delivery: &str) -> Plan {
    Plan {
        before_pools: format!("token = \"{token}\"\n"),
        pool: format!("delivery = \"{delivery}\""),
        ..Plan::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_policies_alone_jobs_run_by_variables_and_what_a_crash_left_is_removed() {
    let parts = with_acl().await;
    let daemon = token(&parts, "daemon", &policy("daemon-variable.hcl")).await;
    attach(&parts, "runner-x64", PARENT, &policy("runner-variable.hcl")).await;
    write(&parts, "roustabout/x64/roustabout-x64-0123456789abc").await;
    let mut world = World::around(parts, plan(&daemon, "variable")).await;
    world.daemon.start().await;
    let jobs = world.queue(world.app, 2, 200);
    world.until_nothing_is_left(LIMIT).await;
    for job in jobs {
        let conclusion = world.github.with(|github, _| github.job(job).unwrap().conclusion);
        assert_eq!(conclusion.unwrap().as_str(), "success");
    }
    let nomad = &world.nomad;
    until("no variable is left", LIMIT, async || {
        nomad.variable_paths(nomad.place(), "").await.unwrap().is_empty()
    })
    .await;
}

/// The file as it is shipped, with a namespace of its own; in any other nothing is allowed.
#[rstest::rstest]
#[tokio::test(flavor = "multi_thread")]
async fn with_the_policy_alone_jobs_run(#[values("payload", "claim")] delivery: &str) {
    let parts = with_acl().await;
    let shipped = std::fs::read_to_string(here("deploy/nomad/acl/daemon.hcl")).unwrap();
    let daemon = token(&parts, "daemon", &shipped).await;
    manage(&parts, "/v1/namespace/runners", json!({ "Name": "runners" })).await;
    let client = |token: SecretString| {
        Client::new(Connection {
            namespace: "runners".to_owned(),
            token: Some(token),
            ..Connection::to(Address::Http(parts.agent.address()))
        })
        .unwrap()
    };
    let manager = client(parts.agent.token().unwrap().clone());
    let archive = parts.github.runner_archive_url().parse().unwrap();
    runner_job::register(&manager, PARENT, &archive).await.unwrap();
    let request = DispatchRequest { idempotency_token: "a", payload: None, meta: &BTreeMap::new() };
    let elsewhere = Place { namespace: "default".to_owned(), region: None };
    let refused = client(daemon.clone().into()).dispatch(&elsewhere, PARENT, &request).await;
    assert!(
        matches!(refused, Err(DispatchError::Refused { kind: Refusal::Forbidden { .. }, .. })),
        "{refused:?}"
    );

    let mut plan = plan(&daemon, delivery);
    plan.before_pools.push_str("namespace = \"runners\"\n");
    let port = free_port();
    if delivery == "claim" {
        plan.before_pools.push_str(&format!(
            "[claims]\nlisten = \"127.0.0.1:{port}\"\nurl = \"http://127.0.0.1:{port}\"\n"
        ));
    }
    let mut world = World::around(parts, plan).await;
    world.daemon.start().await;
    let job = world.queue(world.app, 1, 200)[0];
    let done =
        world.github.until(LIMIT, |github| github.job(job).unwrap().status == Status::Completed);
    done.await.unwrap();
    let conclusion = world.github.with(|github, _| github.job(job).unwrap().conclusion);
    assert_eq!(conclusion.unwrap().as_str(), "success");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_missing_is_a_reason_of_the_job_and_check_names_it() {
    let parts = with_acl().await;
    let whole = policy("daemon-variable.hcl");
    let mut tokens = BTreeMap::new();
    for right in ["write", "destroy", "list"] {
        let rules = whole.replace(&format!("\"{right}\""), "\"deny-nothing\"");
        let rules = rules.replace("\"deny-nothing\", ", "").replace(", \"deny-nothing\"", "");
        assert_ne!(rules, whole);
        tokens.insert(right, token(&parts, right, &rules).await);
    }
    let nothing = token(&parts, "whole", &whole).await;
    let mut world = World::around(parts, plan(&nothing, "variable")).await;
    for (right, token) in tokens.iter().chain([(&"nothing", &nothing)]) {
        let said = checked(&world, token);
        let lacks = format!("the token lacks {right} on the Variables roustabout/x64/");
        assert_eq!(said.contains(&lacks), *right != "nothing", "{right}: {said}");
        let all = "the token may write, list and delete the Variables roustabout/x64/";
        assert_eq!(said.contains(all), *right == "nothing", "{right}: {said}");
    }
    let nomad = world.nomad.clone();
    assert!(nomad.variable_paths(nomad.place(), "").await.unwrap().is_empty());
    checked(&world, &tokens["write"]);
    world.daemon.start().await;
    world.queue(world.app, 1, 200);
    until("its job says why", LIMIT, async || {
        world.daemon.log().contains("credential not written: PUT /v1/var/roustabout/x64/")
    })
    .await;
    assert!(world.daemon.log().contains("its policy needs variables"));
    assert!(world.children().await.is_empty());
}

/// As the task of a pool that has told its identity.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_reads_the_credentials_of_its_own_pool_and_nothing_else() {
    let parts = with_acl().await;
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("told");
    let script = format!(
        "printf %s \"$NOMAD_TOKEN\" >{0}.new && mv {0}.new {0} && exec sleep 600",
        told.display()
    );
    let mut job = parameterized("teller", "optional", &[]);
    job["Constraints"] = json!([]);
    job["TaskGroups"][0]["RestartPolicy"] = json!({ "Attempts": 0, "Mode": "fail" });
    job["TaskGroups"][0]["Tasks"][0] = json!({
        "Name": "t", "Driver": "raw_exec", "Config": { "command": "/bin/sh", "args": ["-c", script] },
        "Resources": { "CPU": 50, "MemoryMB": 32 },
        "Identity": { "Env": true },
    });
    let nomad = &parts.nomad;
    nomad.register(nomad.place(), &job).await.unwrap();
    attach(&parts, "runner-x64", "teller", &policy("runner-variable.hcl")).await;
    for path in ["roustabout/x64/a", "roustabout/big/a", "roustabout/x64-big/a", "nomad/jobs/other"]
    {
        write(&parts, path).await;
    }
    let request = DispatchRequest { idempotency_token: "a", payload: None, meta: &BTreeMap::new() };
    let child = nomad.dispatch(nomad.place(), "teller", &request).await.unwrap().child;
    until("the task tells its identity", LIMIT, async || told.exists()).await;
    let identity = std::fs::read_to_string(&told).unwrap();
    let ask = async |method: reqwest::Method, path: &str| {
        let url = parts.agent.address().join(path).unwrap();
        let request = reqwest::Client::new().request(method, url);
        request.header("X-Nomad-Token", &identity).send().await.unwrap().status()
    };
    let read = async |path: &str| ask(reqwest::Method::GET, &format!("/v1/var/{path}")).await;
    assert_eq!(read("roustabout/x64/a").await, StatusCode::OK);
    for path in ["roustabout/big/a", "roustabout/x64-big/a", "nomad/jobs/other", "roustabout"] {
        assert_eq!(read(path).await, StatusCode::FORBIDDEN, "{path}");
    }
    let delete = ask(reqwest::Method::DELETE, "/v1/var/roustabout/x64/a").await;
    assert_eq!(delete, StatusCode::FORBIDDEN);
    let job = ask(reqwest::Method::GET, &format!("/v1/job/{child}")).await;
    assert_eq!(job, StatusCode::FORBIDDEN);
    nomad.stop(nomad.place(), &child).await.unwrap();
}
