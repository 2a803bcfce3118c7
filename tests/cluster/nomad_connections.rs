//! Every way to Nomad, each on an agent of its own: HTTPS with a CA of one's own, mutual TLS, the socket
//! that a task gets, a token file that is renewed, and pools in namespaces of their own.

use crate::support;

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use local_parts::agent::{Agent, AgentOptions};
use roustabout::nomad::{
    Address, Client, ClientStatus, Connection, DispatchRequest, Error, JobStatus, Place,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use support::certificates::{Certificates, read};
use support::checking::{self, Checked};
use support::cluster;
use support::only_nomad::OnlyNomad;
use support::parents::{self, pool};
use support::proxied::Proxied;
use support::until;
use support::world::{self, Parts, Plan, World};

const LIMIT: Duration = Duration::from_secs(60);

fn to(agent: &Agent) -> Connection {
    Connection::to(Address::Http(agent.address()))
}

async fn ask(connection: Connection) -> Result<String, Error> {
    Client::new(connection).unwrap().leader().await
}

/// The reason why there is no connection.
#[track_caller]
fn refused(answer: Result<String, Error>) -> String {
    match answer {
        Err(Error::Unavailable { reason, .. }) => reason,
        other => panic!("not refused: {other:?}"),
    }
}

/// Everything that the daemon does with a connection: registers, dispatches, is told by the
/// stream, waits in a blocking query, and stops.
async fn works_in_full(client: &Client) {
    parents::register_script(client, "sleeper", "sleep 600").await;
    let place = client.place();
    let mut events = client.events(place).await.unwrap();
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let request = DispatchRequest {
        idempotency_token: &format!("roustabout-{}", NEXT.fetch_add(1, Ordering::Relaxed)),
        payload: None,
        meta: &[("runner_name".to_owned(), SecretString::from("x"))].into(),
    };
    let child = client.dispatch(place, "sleeper", &request).await.unwrap().child;
    let told = tokio::time::timeout(LIMIT, async {
        loop {
            if events.next().await.unwrap().iter().any(|event| event.job == child) {
                return;
            }
        }
    });
    told.await.expect("the stream tells of the child");
    let ids = [child.clone()];
    let running = async || {
        let found = client.statuses(place, &ids, None, Duration::ZERO).await.unwrap();
        found.jobs[0].allocations.iter().any(|one| one.client_status == ClientStatus::Running)
    };
    until("the child runs", LIMIT, running).await;
    let before = client.statuses(place, &ids, None, Duration::ZERO).await.unwrap().index;
    let waiting = client.statuses(place, &ids, Some(before), Duration::from_secs(120));
    let stop = async {
        // Nobody shows that the question waits by now; whether or not, its answer has to come.
        tokio::time::sleep(Duration::from_millis(500)).await;
        client.stop(place, &child).await.unwrap();
    };
    let began = Instant::now();
    let (answer, ()) = tokio::join!(waiting, stop);
    assert!(answer.unwrap().index > before, "the question came back without news");
    assert!(began.elapsed() < Duration::from_secs(100), "it waited to its end");
}

#[tokio::test(flavor = "multi_thread")]
async fn https_with_a_ca_of_ones_own_does_everything() {
    let certificates = Certificates::make();
    let tls = Some(certificates.of_server(false));
    let agent = Agent::start(AgentOptions { tls, ..cluster::options() }).await.unwrap();
    let ca_cert_pem = Some(read(&certificates.ca()));
    let trusting = || Connection { ca_cert_pem: ca_cert_pem.clone(), ..to(&agent) };
    works_in_full(&Client::new(trusting()).unwrap()).await;

    // Its certificate is for this name, which no resolver knows.
    let named = |name: &str| Connection { tls_server_name: Some(name.to_owned()), ..trusting() };
    ask(named("server.global.nomad")).await.unwrap();
    works_in_full(&Client::new(named("server.global.nomad")).unwrap()).await;
    let reason = refused(ask(named("server.mars.nomad")).await);
    assert!(reason.contains("certificate"), "{reason}");

    let stranger = Certificates::make();
    for ca_cert_pem in [None, Some(read(&stranger.ca()))] {
        let reason = refused(ask(Connection { ca_cert_pem, ..to(&agent) }).await);
        assert!(reason.contains("certificate"), "{reason}");
    }
    ask(Connection { tls_skip_verify: true, ..to(&agent) }).await.unwrap();
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nomad_tls_makes_is_enough() {
    let Some(nomad) = OnlyNomad::ItsCertificates.nomad() else { return };
    let certificates = Certificates::made_by(&nomad);
    let tls = Some(certificates.of_server(true));
    let agent = Agent::start(AgentOptions { tls, ..cluster::options() }).await.unwrap();
    ask(Connection {
        ca_cert_pem: Some(read(&certificates.ca())),
        client_identity_pem: Some(certificates.client_identity()),
        tls_server_name: Some("server.global.nomad".to_owned()),
        ..to(&agent)
    })
    .await
    .unwrap();
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mutual_tls_wants_a_certificate_of_ours() {
    let certificates = Certificates::make();
    let tls = Some(certificates.of_server(true));
    let agent = Agent::start(AgentOptions { tls, ..cluster::options() }).await.unwrap();
    let ca_cert_pem = Some(read(&certificates.ca()));
    let without = || Connection { ca_cert_pem: ca_cert_pem.clone(), ..to(&agent) };
    refused(ask(without()).await);
    let stranger = Certificates::make();
    let client_identity_pem = Some(stranger.client_identity());
    refused(ask(Connection { client_identity_pem, ..without() }).await);
    let client_identity_pem = Some(certificates.client_identity());
    let ours = Connection { client_identity_pem, ..without() };
    works_in_full(&Client::new(ours).unwrap()).await;
    agent.stop().await;
}

/// The daemon itself, with everything said in its config.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_served_over_mutual_tls_with_a_token_from_a_file() {
    let certificates = Certificates::make();
    let parts = Parts::with(|options| {
        options.tls = Some(certificates.of_server(true));
        options.acl = true;
    })
    .await;
    let token = certificates.0.path().join("token");
    std::fs::write(&token, parts.agent.token().unwrap().expose_secret()).unwrap();
    let before_pools = format!(
        "token_file = {token:?}\nca_cert_file = {:?}\nclient_cert_file = {:?}\nclient_key_file = {:?}\n\
         tls_server_name = \"server.global.nomad\"",
        certificates.ca(),
        certificates.client_cert(),
        certificates.client_key()
    );
    let mut world = World::around(parts, Plan { before_pools, ..Plan::default() }).await;
    world.daemon.start().await;
    world.queue(world.app, 2, 200);
    world.until_nothing_is_left(LIMIT).await;
    assert_eq!(world.children().await.len(), 2);
}

/// `check` with a config that says nothing of Nomad.
async fn check_with(variables: &[(&str, &str)]) -> Checked {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("roustabout.toml");
    let store = folder.path().join("roustabout.db");
    let text = format!(
        "[webhook]\nsecret = \"0123456789abcdef\"\n[store]\nurl = \"sqlite://{}\"\n\
         [[github.credentials]]\nowners = [\"*\"]\ntoken = \"t\"\n[github]\napi_url = \"http://127.0.0.1:9\"\n{}",
        store.display(),
        pool("x64", "runner", "delivery = \"payload\"")
    );
    std::fs::write(&config, text).unwrap();
    let mut command = checking::command(&config);
    command.envs(variables.iter().copied());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    checking::read(&output)
}

fn nomad_findings(checked: &Checked, level: &str) -> Vec<String> {
    let of_nomad = checked.findings.iter().filter(|one| one.subject == "nomad");
    of_nomad.filter(|one| one.level == level).map(|one| one.message.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_variables_of_the_nomad_command_are_enough() {
    let certificates = Certificates::make();
    let options =
        AgentOptions { tls: Some(certificates.of_server(true)), acl: true, ..cluster::options() };
    let agent = Agent::start(options).await.unwrap();
    let client = world::client(&agent);
    put(&agent, "/v1/namespace/ci", json!({ "Name": "ci" })).await;
    let ci = Place { namespace: "ci".to_owned(), region: None };
    let wants = ["runner_name", "runner_url", "runner_labels"];
    let mut parent = parents::parameterized("runner", "required", &wants);
    let group = &mut parent["TaskGroups"][0];
    group["RestartPolicy"] = json!({ "Attempts": 0, "Mode": "fail" });
    group["ReschedulePolicy"] = json!({ "Attempts": 0, "Unlimited": false });
    group["Tasks"][0]["DispatchPayload"] = json!({ "File": "token" });
    client.register(&ci, &parent).await.unwrap();

    let path = |path: PathBuf| path.to_str().unwrap().to_owned();
    let (ca, cert, key) = (
        path(certificates.ca()),
        path(certificates.client_cert()),
        path(certificates.client_key()),
    );
    let address = agent.address();
    let all = [
        ("NOMAD_ADDR", address.as_str()),
        ("NOMAD_TOKEN", agent.token().unwrap().expose_secret()),
        ("NOMAD_NAMESPACE", "ci"),
        ("NOMAD_REGION", "global"),
        ("NOMAD_CACERT", &ca),
        ("NOMAD_CLIENT_CERT", &cert),
        ("NOMAD_CLIENT_KEY", &key),
        ("NOMAD_TLS_SERVER_NAME", "server.global.nomad"),
    ];
    // Nomad's own command understands the same.
    if let Some(nomad) = OnlyNomad::ItsCommand.nomad() {
        let mut status = Command::new(nomad);
        status.args(["job", "status", "runner"]).env_clear().envs(all);
        let output = status.output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    let checked = check_with(&all).await;
    assert_eq!(nomad_findings(&checked, "fail"), [""; 0], "{}", checked.said);
    checked.found("ok", "pool x64", "namespace \"ci\" exists", "");

    // Each of them matters: without it, or with another value, it goes wrong.
    for (name, value) in [
        ("NOMAD_ADDR", "http://127.0.0.1:9"),
        ("NOMAD_TOKEN", ""),
        ("NOMAD_NAMESPACE", ""),
        ("NOMAD_REGION", "mars"),
        ("NOMAD_CACERT", ""),
        ("NOMAD_TLS_SERVER_NAME", "server.mars.nomad"),
    ] {
        let changed = all.map(|(one, said)| (one, if one == name { value } else { said }));
        let checked = check_with(&changed).await;
        let subjects = ["nomad", "pool x64"];
        let fails = checked
            .findings
            .iter()
            .any(|one| one.level == "fail" && subjects.contains(&&*one.subject));
        assert!(fails, "{name}={value:?} changes nothing: {}", checked.said);
    }
    let open: Vec<_> =
        all.into_iter().filter(|(name, _)| !name.starts_with("NOMAD_CLIENT")).collect();
    let checked = check_with(&open).await;
    assert!(!nomad_findings(&checked, "fail").is_empty(), "{}", checked.said);
    let mut unverified: Vec<_> =
        all.into_iter().filter(|(name, _)| *name != "NOMAD_CACERT").collect();
    unverified.push(("NOMAD_SKIP_VERIFY", "true"));
    let checked = check_with(&unverified).await;
    assert_eq!(nomad_findings(&checked, "fail"), [""; 0], "{}", checked.said);
    agent.stop().await;
}

/// A call of Nomad's API that the daemon has no need of.
async fn put(agent: &Agent, path: &str, body: Value) {
    let mut request = raw(agent).put(agent.address().join(path).unwrap()).json(&body);
    if let Some(token) = agent.token() {
        request = request.header("X-Nomad-Token", token.expose_secret());
    }
    request.send().await.unwrap().error_for_status().unwrap();
}

async fn get(agent: &Agent, path: &str) -> Value {
    let mut request = raw(agent).get(agent.address().join(path).unwrap());
    if let Some(token) = agent.token() {
        request = request.header("X-Nomad-Token", token.expose_secret());
    }
    request.send().await.unwrap().error_for_status().unwrap().json().await.unwrap()
}

fn raw(agent: &Agent) -> reqwest::Client {
    let mut builder = reqwest::Client::builder().no_proxy();
    if let Some(tls) = &agent.options().tls {
        let identity = [read(&tls.cert), read(&tls.key)].concat();
        builder = builder
            .identity(reqwest::Identity::from_pem(&identity).unwrap())
            .tls_certs_only([reqwest::Certificate::from_pem(&read(&tls.ca_cert)).unwrap()]);
    }
    builder.build().unwrap()
}

const MAY_DISPATCH: &str = r#"namespace "default" { policy = "write" }"#;

/// A token that may what [`works_in_full`] does; its id at Nomad, and its secret.
async fn mint(agent: &Agent) -> (String, String) {
    let rules = json!({ "Name": "daemon", "Rules": MAY_DISPATCH });
    put(agent, "/v1/acl/policy/daemon", rules).await;
    let body = json!({ "Name": "daemon", "Type": "client", "Policies": ["daemon"] });
    let request = raw(agent).put(agent.address().join("/v1/acl/token").unwrap()).json(&body);
    let request = request.header("X-Nomad-Token", agent.token().unwrap().expose_secret());
    let token: Value = request.send().await.unwrap().json().await.unwrap();
    let text = |key: &str| token[key].as_str().unwrap().to_owned();
    (text("AccessorID"), text("SecretID"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_file_that_changes_is_read_again() {
    let agent = Agent::start(AgentOptions { acl: true, ..cluster::options() }).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let (first, secret) = mint(&agent).await;
    std::fs::write(&file, format!("{secret}\n")).unwrap();
    let token_file = Some(file.clone());
    let client = Client::new(Connection { token_file, ..to(&agent) }).unwrap();
    parents::register_script(&client, "sleeper", "true").await;
    client.job(client.place(), "sleeper").await.unwrap();

    let (_, secret) = mint(&agent).await;
    let url = agent.address().join(&format!("/v1/acl/token/{first}")).unwrap();
    let request = raw(&agent).delete(url);
    let request = request.header("X-Nomad-Token", agent.token().unwrap().expose_secret());
    request.send().await.unwrap().error_for_status().unwrap();
    let answer = client.job(client.place(), "sleeper").await;
    assert!(matches!(answer, Err(Error::Forbidden { .. })), "the old token holds: {answer:?}");
    std::fs::write(&file, &secret).unwrap();
    client.job(client.place(), "sleeper").await.unwrap();
    agent.stop().await;
}

/// As a task of Nomad: the socket in its secrets folder, and a workload identity that Nomad renews
/// there. (That the new one is used shows above: Nomad honours the old one for another minute.)
#[tokio::test(flavor = "multi_thread")]
async fn a_tasks_socket_and_its_renewed_identity_do_everything() {
    const TTL: u64 = 20;
    let agent = Agent::start(AgentOptions { acl: true, ..cluster::options() }).await.unwrap();
    let admin = world::client(&agent);
    let rules = json!({
        "Name": "daemon", "Rules": MAY_DISPATCH,
        "JobACL": { "Namespace": "default", "JobID": "daemon" },
    });
    put(&agent, "/v1/acl/policy/daemon", rules).await;
    let job = json!({
        "ID": "daemon", "Name": "daemon", "Type": "service", "Datacenters": ["*"],
        "TaskGroups": [{ "Name": "g", "Tasks": [{
            "Name": "t", "Driver": "raw_exec",
            "Config": { "command": "/bin/sleep", "args": ["600"] },
            "Identities": [{
                "Name": "api", "Audience": ["nomad"], "File": true, "TTL": TTL * 1_000_000_000,
            }],
        }] }],
    });
    admin.register(admin.place(), &job).await.unwrap();
    let mut allocation = Value::Null;
    until("the task runs", LIMIT, async || {
        allocation = get(&agent, "/v1/job/daemon/allocations").await[0].clone();
        allocation["TaskStates"]["t"]["State"] == "running"
    })
    .await;
    let id = allocation["ID"].as_str().unwrap();
    let secrets = agent.folder().join("alloc").join(id).join("t/secrets");
    let file = secrets.join("nomad_api.jwt");
    let first = read(&file);

    let socket = || Connection::to(Address::Unix(secrets.join("api.sock")));
    let through = |token_file| Client::new(Connection { token_file, ..socket() }).unwrap();
    let anonymous = through(None);
    let answer = anonymous.leader().await;
    assert!(matches!(answer, Err(Error::Forbidden { .. })), "{answer:?}");
    let client = through(Some(file.clone()));
    works_in_full(&client).await;

    until("Nomad renews the identity", LIMIT, async || {
        // Good all the while.
        client.job(client.place(), "daemon").await.unwrap();
        read(&file) != first
    })
    .await;
    client.job(client.place(), "daemon").await.unwrap();

    // The daemon's own way there: the variables that a task gets.
    let address = format!("unix://{}", secrets.join("api.sock").display());
    let token = String::from_utf8(read(&file)).unwrap();
    for variable in ["NOMAD_UNIX_ADDR", "NOMAD_ADDR"] {
        let checked = check_with(&[(variable, &address), ("NOMAD_TOKEN", &token)]).await;
        assert_eq!(nomad_findings(&checked, "fail"), [""; 0], "{}", checked.said);
        checked.found("fail", "pool x64", "there is no job \"runner\"", "");
    }
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_pool_has_its_namespace_and_region() {
    let parts = Parts::start().await;
    put(&parts.agent, "/v1/namespace/ci", json!({ "Name": "ci" })).await;
    let ci = Place { namespace: "ci".to_owned(), region: Some("global".to_owned()) };
    let mut job = parents::parameterized("nowhere", "optional", &["runner_name"]);
    job["Namespace"] = "ci".into();
    parts.nomad.register(&ci, &job).await.unwrap();
    let more = "delivery = \"payload\"\nnamespace = \"ci\"\nregion = \"global\"";
    let plan = Plan {
        pool: format!("delivery = \"payload\"{}", pool("ci", "nowhere", more)),
        ..Plan::default()
    };
    let mut world = Proxied::around(parts, plan).await;
    world.daemon.start().await;
    let here = world.queue(world.app, 1, 200);
    let there = world.queue_for("ci", world.app, 1);
    let in_ci = async || world.nomad.children_by_token_prefix(&ci, "roustabout-").await.unwrap();
    until("a child in either namespace", LIMIT, async || {
        in_ci().await.len() == 1 && world.children().await.len() == 1
    })
    .await;
    assert!(in_ci().await[0].id.starts_with("nowhere/dispatch-"));
    until("the job in the default namespace has run", LIMIT, async || {
        world.daemon.job(here[0]).await["status"] == "completed"
    })
    .await;
    // Withdrawn where it is.
    world.cancel(&there);
    until("the child in ci is stopped", LIMIT, async || {
        in_ci().await.iter().all(|child| child.status == JobStatus::Dead)
    })
    .await;
    world.until_nothing_is_left(LIMIT).await;
    // Every request says its pool's namespace, and the region where the pool has one.
    for (method, path) in [("PUT", "/dispatch"), ("GET", "/v1/jobs?"), ("DELETE", "/v1/job/")] {
        for request in world.nomad_proxy.seen(method, path) {
            let (in_ci, region) =
                (request.path.contains("namespace=ci"), request.path.contains("region=global"));
            assert_eq!(in_ci, region, "{request:?}");
        }
    }
    let of_ci = |method: &str| {
        let seen = world.nomad_proxy.seen(method, "/v1/job/");
        seen.iter().filter(|request| request.path.contains("region=global")).count()
    };
    assert_eq!((of_ci("PUT"), of_ci("DELETE")), (1, 1));
}
