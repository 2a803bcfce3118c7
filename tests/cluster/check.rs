//! `check` against the simulated GitHub and a Nomad: first with everything right, then with
//! one wrong thing of each kind, each told with its mend.

use crate::support;

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use local_parts::agent::{Agent, AgentOptions};
use roustabout::nomad::Client;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use simulated::github::{HookSpec, Level, Scope, Server, Visibility};
use support::checking::{Checked, check};
use support::{cluster, world};
use tokio::net::TcpListener;

const SECRET: &str = "It's a Secret to Everybody";
const TOKEN: &str = "ghp_good";

struct Parts {
    github: Server,
    agent: Agent,
    nomad: Client,
    folder: tempfile::TempDir,
}

impl Parts {
    async fn start(acl: bool) -> Self {
        let options = AgentOptions { acl, ..cluster::options() };
        let agent = Agent::start(options).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let github = Server::start(listener, 7).unwrap();
        let nomad = world::client(&agent);
        let parts = Self { github, agent, nomad, folder: tempfile::tempdir().unwrap() };
        parts.register("runner", "batch", usual()).await;
        parts.github.with(|github, now| {
            let user = github.add_user("octocat");
            github.add_organization("octo", &[user]);
            github.add_full_token(TOKEN, user);
            github.add_repository("octo/app", Visibility::Private, now);
        });
        parts
    }

    /// A job whose task is never run here.
    async fn register(&self, id: &str, kind: &str, parameterized: Value) {
        self.register_with(id, kind, parameterized, Value::Null).await;
    }

    /// Its task group differs from the usual in these keys.
    async fn register_with(&self, id: &str, kind: &str, parameterized: Value, group: Value) {
        let count = i32::from(kind == "service" || parameterized.is_null());
        let mut job = json!({
            "ID": id, "Name": id, "Type": kind, "Datacenters": ["*"],
            "TaskGroups": [{ "Name": "g", "Count": count, "Tasks": [{
                "Name": "t", "Driver": "raw_exec", "Config": { "command": "/bin/true" },
            }] }],
        });
        if kind == "batch" {
            job["TaskGroups"][0]["ReschedulePolicy"] = json!({ "Attempts": 0, "Unlimited": false });
            job["TaskGroups"][0]["RestartPolicy"] = json!({ "Attempts": 0, "Mode": "fail" });
        }
        if parameterized["Payload"] == "required" {
            job["TaskGroups"][0]["Tasks"][0]["DispatchPayload"] = json!({ "File": "token" });
        }
        if !parameterized.is_null() {
            job["TaskGroups"][0]["Count"] = json!(1);
            job["ParameterizedJob"] = parameterized;
        }
        for (key, value) in group.as_object().into_iter().flatten() {
            job["TaskGroups"][0][key] = value.clone();
        }
        self.nomad.register(self.nomad.place(), &job).await.unwrap();
    }

    /// A hook of the repository that is answered so.
    async fn hook(&self, repository: &str, status: u16) -> wiremock::MockServer {
        let door = wiremock::MockServer::start().await;
        wiremock::Mock::given(wiremock::matchers::any())
            .respond_with(wiremock::ResponseTemplate::new(status))
            .mount(&door)
            .await;
        let hook = HookSpec::new(format!("{}/webhook", door.uri()), SECRET);
        let id = self.github.with(|github, now| {
            let repository = github.repository(repository).unwrap().id;
            github.add_hook(Scope::Repository(repository), hook, now)
        });
        let delivered = |github: &simulated::github::GitHub| !github.deliveries(id).is_empty();
        self.github.until(Duration::from_secs(10), delivered).await.unwrap();
        door
    }

    async fn check(&self, credentials: &str, nomad: &str, pools: &str) -> Checked {
        let file = self.folder.path().join("roustabout.toml");
        let text = format!(
            "[webhook]\nsecret = \"{SECRET}\"\n[store]\nurl = \"sqlite://{}\"\n\
             [github]\napi_url = \"{}\"\n{credentials}\n[nomad]\naddress = \"{}\"\n{nomad}\n{pools}",
            self.folder.path().join("r.db").display(),
            self.github.url(),
            self.agent.address(),
        );
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let checked = check(&file).await;
        checked.is_consistent();
        let left: Vec<_> = std::fs::read_dir(self.folder.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "nothing is made: {left:?}");
        self.github.with(|github, _| {
            let written = github.requests().iter().find(|request| {
                request.method != "GET" && !request.path.ends_with("/registration-token")
            });
            assert_eq!(written, None, "beside tokens that nobody uses GitHub is only read");
        });
        checked
    }

    /// At Nomad's API, with the management token.
    async fn put(&self, path: &str, body: Value) -> Value {
        let token = self.agent.token().unwrap().expose_secret().to_owned();
        let url = self.agent.address().join(path).unwrap();
        let request = reqwest::Client::new().put(url).header("X-Nomad-Token", token).json(&body);
        let answer = request.send().await.unwrap().error_for_status().unwrap();
        answer.json().await.unwrap_or_default()
    }
}

fn usual() -> Value {
    json!({ "Payload": "required", "MetaRequired": ["runner_name", "runner_url", "runner_labels"] })
}

fn credential(owner: &str, token: &str) -> String {
    format!("[[github.credentials]]\nowners = [\"{owner}\"]\ntoken = \"{token}\"\n")
}

/// A pool of that name, job and label for a repository.
fn pool(name: &str, job: &str, repository: &str, more: &str) -> String {
    format!(
        "[[pools]]\nname = \"{name}\"\nnomad_job = \"{job}\"\nlabels = [\"linux\", \"{name}\"]\n\
         repositories = [\"{repository}\"]\ndelivery = \"payload\"\n{more}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn where_everything_is_right_nothing_fails() {
    let parts = Parts::start(false).await;
    let _door = parts.hook("octo/app", 202).await;
    let pools = pool("x64", "runner", "octo/app", "")
        + &pool("org", "runner", "octo/*", "scope = \"organization\"");
    let checked = parts.check(&credential("*", TOKEN), "", &pools).await;
    checked.fails_only(&[]);
    assert!(
        checked.findings.iter().all(|finding| finding.level == "ok"),
        "{:#?}",
        checked.findings
    );
    checked.found("ok", "store", "does not exist yet; serve creates it", "");
    checked.found("ok", "clock", "agrees with GitHub's", "");
    checked.found("ok", "github *", "the token belongs to octocat", "");
    checked.found("ok", "github octo/app", "the token reads its runners and its runs", "");
    for minted in ["created for octo/app, and discarded", "created for octo, and discarded"] {
        checked.found("ok", "github octo", minted, "");
    }
    checked.found("ok", "github octo/app", "has an active webhook for jobs", "");
    checked.found("ok", "github octo", "the token reads the organization's runners", "");
    checked.found("ok", "nomad", "version ", "");
    checked.found("ok", "nomad", "ACLs are disabled", "");
    checked.found("ok", "nomad", "has read-job, list-jobs, dispatch-job, deregister-job", "");
    checked.found("ok", "pool x64", "the job \"runner\" in namespace \"default\" exists", "");
    checked.found("ok", "pool org", "octo/* matches octo/app", "");
    assert!(!checked.said.contains(SECRET) && !checked.said.contains(TOKEN), "{}", checked.said);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_wrong_job_is_told() {
    let parts = Parts::start(false).await;
    let _door = parts.hook("octo/app", 202).await;
    let with = |key: &str, value: Value| {
        let mut parameterized = usual();
        parameterized[key] = value;
        parameterized
    };
    parts.register("stopped", "batch", usual()).await;
    parts.nomad.stop(parts.nomad.place(), "stopped").await.unwrap();
    parts.register("plain", "batch", Value::Null).await;
    parts.register("service", "service", Value::Null).await;
    parts.register("sysbatch", "sysbatch", usual()).await;
    parts.register("colour", "batch", with("MetaRequired", json!(["runner_name", "colour"]))).await;
    parts.register("forbidden", "batch", with("Payload", json!("forbidden"))).await;
    parts.register("nameless", "batch", json!({ "Payload": "required" })).await;
    let group = json!({ "Count": 0 });
    parts.register_with("empty", "batch", usual(), group).await;
    let unread = json!({ "Tasks": [{
        "Name": "t", "Driver": "raw_exec", "Config": { "command": "/bin/true" },
    }] });
    parts.register_with("unread", "batch", usual(), unread).await;
    let again = json!({
        "ReschedulePolicy": { "Attempts": 1, "Interval": 86_400_000_000_000_u64, "Delay": 5_000_000_000_u64,
            "DelayFunction": "constant", "Unlimited": false },
        "RestartPolicy": { "Attempts": 3, "Mode": "fail", "Interval": 86_400_000_000_000_u64 },
        "Count": 2,
    });
    parts.register_with("again", "batch", usual(), again).await;
    let names = [
        "missing",
        "stopped",
        "plain",
        "service",
        "sysbatch",
        "colour",
        "forbidden",
        "empty",
        "unread",
        "nameless",
        "again",
    ];
    let pools: String = names.iter().map(|name| pool(name, name, "octo/app", "")).collect();
    // The same labels as the pool `nameless`, and another policy.
    let other = pool("nameless", "runner", "octo/*", "forks = true")
        .replace("name = \"nameless\"", "name = \"other\"");
    let far = pool("far", "runner", "octo/app", "region = \"mars\"")
        + &pool("there", "runner", "octo/app", "namespace = \"ci\"");
    let checked = parts.check(&credential("*", TOKEN), "", &(pools + &other + &far)).await;
    checked.found(
        "fail",
        "pool far",
        "no path to the region \"mars\"",
        "correct region of the pool",
    );
    checked.found(
        "fail",
        "pool there",
        "there is no job \"runner\" in namespace \"ci\"",
        "or correct nomad_job or namespace",
    );
    checked.fails_only(&[
        "pool other",
        "pool missing",
        "pool stopped",
        "pool plain",
        "pool service",
        "pool sysbatch",
        "pool colour",
        "pool forbidden",
        "pool empty",
        "pool unread",
        "pool far",
        "pool there",
    ]);
    checked.found("fail", "pool empty", "the count of its groups is 0", "count = 1");
    checked.found(
        "fail",
        "pool unread",
        "the credential reaches no task",
        "add dispatch_payload { file = \"token\" }",
    );
    checked.found("warn", "pool again", "has 2 allocations", "set count = 1");
    checked.found("warn", "pool again", "reschedules a failed allocation", "reschedule block");
    checked.found("warn", "pool again", "restarts a failed runner", "restart block");
    checked.found(
        "fail",
        "pool missing",
        "there is no job \"missing\" in namespace \"default\"",
        "register it with nomad job run",
    );
    checked.found(
        "fail",
        "pool stopped",
        "is stopped and cannot be dispatched",
        "start it again with nomad job run",
    );
    checked.found("fail", "pool plain", "is not parameterized", "a parameterized block");
    checked.found(
        "fail",
        "pool service",
        "is a service job, not a parameterized one",
        "make it type = \"batch\"",
    );
    checked.found(
        "fail",
        "pool sysbatch",
        "is a sysbatch job",
        "register it with type = \"batch\"",
    );
    checked.found(
        "fail",
        "pool colour",
        "requires the meta key colour, which is neither",
        "add colour = \"…\" to [pools.meta]",
    );
    checked.found(
        "fail",
        "pool forbidden",
        "forbids a payload, but delivery = \"payload\" sends one",
        "payload = \"required\"",
    );
    checked.found(
        "warn",
        "pool nameless",
        "does not declare runner_name",
        "its jobspec must limit a runner's lifetime",
    );
    checked.found("fail", "pool other", "although forks differ", "give each pool a label");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_thing_wrong_at_github_is_told() {
    let parts = Parts::start(false).await;
    parts.github.with(|github, now| {
        for owner in ["weak", "solo"] {
            let user = github.add_user(owner);
            github.add_token(&format!("ghp_{owner}"), user, &[("metadata", Level::Read)]);
        }
        github.add_repository("weak/app", Visibility::Private, now);
        github.add_repository("octo/open", Visibility::Public, now);
        let old = github.add_repository("octo/old", Visibility::Private, now);
        github.repository_mut(old).unwrap().archived = true;
        let renamed = github.add_repository("octo/before", Visibility::Private, now);
        github.rename_repository(renamed, "after");
    });
    parts.github.with(|github, now| {
        let user = github.add_user("reader");
        let read =
            [("metadata", Level::Read), ("actions", Level::Read), ("administration", Level::Read)];
        github.add_token("ghp_reader", user, &read);
        github.add_repository("reader/app", Visibility::Private, now);
    });
    let _door = parts.hook("octo/app", 401).await;
    let credentials = credential("octo", TOKEN)
        + &credential("weak", "ghp_weak")
        + &credential("solo", "ghp_solo")
        + &credential("bad", "ghp_wr0ng")
        + &credential("reader", "ghp_reader");
    let served = "reader/app\", \"octo/app\", \"octo/none\", \"octo/open\", \"octo/old\", \"octo/before\", \"weak/app\", \"bad/app";
    let pools = pool("x64", "runner", served, "")
        + &pool("org", "runner", "solo/*", "scope = \"organization\"")
        + &pool("wide", "runner", "octo/*", "")
        + &pool("typo", "runner", "octo/aap*", "");
    let checked = parts.check(&credentials, "", &pools).await;
    checked.fails_only(&[
        "github octo/none",
        "github octo/before",
        "github weak/app",
        "github solo",
        "github bad",
        "github reader",
    ]);
    checked.found(
        "fail",
        "github reader",
        "POST /repos/reader/app/actions/runners/registration-token: 403",
        "\"Administration: write\"",
    );
    checked.found("fail", "github bad", "401 Bad credentials", "create a new token");
    checked.found("fail", "github bad", "not checked because of this: ", "");
    checked.found(
        "fail",
        "github octo/none",
        "404 not found",
        "correct the name in repositories of pool x64",
    );
    checked.found(
        "fail",
        "github octo/before",
        "is now called octo/after",
        "use octo/after in repositories of pool x64",
    );
    checked.found(
        "fail",
        "github weak/app",
        "requires administration=read",
        "Administration: write",
    );
    checked.found("fail", "github weak/app", "requires actions=read", "Actions: read");
    checked.found(
        "ok",
        "github weak/app",
        "webhooks are not checked: this requires \"Webhooks: read\"",
        "",
    );
    checked.found("fail", "github solo", "404", "a personal account has no runners of its own");
    checked.found(
        "warn",
        "github octo/open",
        "is public, but pool x64 refuses",
        "public_repositories = true in pool x64",
    );
    checked.found(
        "warn",
        "github octo/old",
        "is archived",
        "remove it from repositories of pool x64",
    );
    checked.found(
        "warn",
        "github octo/open",
        "has no webhook for jobs",
        "/octo/open/settings/hooks): payload URL https://THIS-HOST/webhook",
    );
    checked.found(
        "warn",
        "github octo/app",
        "failed: 401",
        "the secret differs from that of [webhook]",
    );
    checked.found("ok", "pool wide", "octo/* matches 3 repositories, 1 of them public", "");
    checked.found("ok", "github octo/after", "the token reads its runners", "");
    checked.found(
        "warn",
        "pool typo",
        "octo/aap* matches no repository that the token can see",
        "correct the pattern",
    );
    let minted = parts.github.with(|github, _| {
        let posts = github.requests().iter().filter(|request| request.method == "POST");
        posts.map(|request| request.path.clone()).collect::<Vec<_>>()
    });
    assert_eq!(minted.len(), 2, "one for each owner: {minted:?}");
    assert!(!checked.said.contains("ghp_"), "{}", checked.said);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organizations_hook_is_seen() {
    let parts = Parts::start(false).await;
    let door = wiremock::MockServer::start().await;
    wiremock::Mock::given(wiremock::matchers::any())
        .respond_with(wiremock::ResponseTemplate::new(202))
        .mount(&door)
        .await;
    let id = parts.github.with(|github, now| {
        let organization = github.account("octo").unwrap().id;
        let hook = HookSpec::new(format!("{}/webhook", door.uri()), SECRET);
        github.add_hook(Scope::Organization(organization), hook, now)
    });
    let delivered = |github: &simulated::github::GitHub| !github.deliveries(id).is_empty();
    parts.github.until(Duration::from_secs(10), delivered).await.unwrap();
    let pools = pool("x64", "runner", "octo/app", "");
    let checked = parts.check(&credential("*", TOKEN), "", &pools).await;
    checked.fails_only(&[]);
    checked.found("ok", "github octo/app", "has an active webhook for jobs", "");
}

async fn node_name(parts: &Parts) -> String {
    let nodes = parts.nomad.nodes(parts.nomad.place()).await.unwrap();
    nodes[0].name.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_no_node_can_take_is_told() {
    let parts = Parts::start(false).await;
    let _door = parts.hook("octo/app", 202).await;
    let group = |driver: &str, memory: u64| {
        json!({ "Tasks": [{
            "Name": "t", "Driver": driver, "Config": { "command": "/bin/true" },
            "Resources": { "CPU": 100, "MemoryMB": memory },
            "DispatchPayload": { "File": "token" },
        }] })
    };
    parts.register_with("greedy", "batch", usual(), group("raw_exec", 90_000_000)).await;
    parts.register_with("foreign", "batch", usual(), group("nosuchdriver", 10)).await;
    let mut elsewhere = group("raw_exec", 10);
    elsewhere["Constraints"] =
        json!([{ "LTarget": "${attr.cpu.arch}", "Operand": "=", "RTarget": "s390x" }]);
    parts.register_with("mainframe", "batch", usual(), elsewhere).await;
    let pools = pool("x64", "runner", "octo/app", "")
        + &pool("big", "greedy", "octo/app", "")
        + &pool("odd", "foreign", "octo/app", "")
        + &pool("far", "mainframe", "octo/app", "");
    let checked = parts.check(&credential("*", TOKEN), "", &pools).await;
    checked.fails_only(&["pool big", "pool odd", "pool far"]);
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let told = format!(
        "the constraints of \"mainframe\" require; its nodes: {} ({arch})",
        node_name(&parts).await
    );
    checked.found("fail", "pool far", &told, "-var arch=");
    checked.found(
        "ok",
        "pool x64",
        "at least one node has the drivers and resources for \"runner\"",
        "",
    );
    let told = "\"greedy\" asks for 90000000 MB of memory, but the largest of its nodes has ";
    checked.found("fail", "pool big", told, "reduce the resources of the job");
    checked.found(
        "fail",
        "pool odd",
        "no node has a healthy driver nosuchdriver for \"foreign\"",
        "nomad node status",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_nomad_token_may_not_do_is_told() {
    let parts = Parts::start(true).await;
    let _door = parts.hook("octo/app", 202).await;
    let token = async |name: &str, capabilities: &[&str]| {
        let rules = format!("namespace \"default\" {{ capabilities = {capabilities:?} }}");
        parts.put(&format!("/v1/acl/policy/{name}"), json!({ "Name": name, "Rules": rules })).await;
        let token = json!({ "Name": name, "Type": "client", "Policies": [name] });
        parts.put("/v1/acl/token", token).await["SecretID"].as_str().unwrap().to_owned()
    };
    let check = async |token: &str| {
        let nomad = format!("token = \"{token}\"");
        let pools = pool("x64", "runner", "octo/app", "");
        let checked = parts.check(&credential("*", TOKEN), &nomad, &pools).await;
        assert!(!checked.said.contains(token), "{}", checked.said);
        checked
    };
    let needed = ["list-jobs", "read-job", "dispatch-job", "deregister-job"];

    let checked = check(&token("all", &needed).await).await;
    checked.fails_only(&[]);
    checked.found("ok", "nomad", "the token \"all\", with the policies all", "");
    checked.found("ok", "nomad", "has read-job, list-jobs, dispatch-job, deregister-job", "");
    checked.found("ok", "nomad", "its version is not visible", "");
    checked.found(
        "ok",
        "nomad",
        "the nodes are not visible (this requires node { policy = \"read\" })",
        "",
    );

    for (index, missing) in needed.iter().take(3).enumerate() {
        let rest: Vec<&str> = needed.iter().copied().filter(|one| one != missing).collect();
        let checked = check(&token(&format!("less{index}"), &rest).await).await;
        let told = format!("in namespace \"default\" the token lacks {missing}");
        checked.found("fail", "nomad", &told, "capabilities = [\"list-jobs\", \"read-job\"");
        let job = if *missing == "read-job" { &["nomad", "pool x64"][..] } else { &["nomad"] };
        checked.fails_only(job);
    }

    let checked = check(&token("nostop", &needed[..3]).await).await;
    checked.fails_only(&[]);
    checked.found(
        "warn",
        "nomad",
        "lacks deregister-job, so runners that no job needs are not stopped",
        "\"deregister-job\"",
    );

    let checked = check("11111111-2222-3333-4444-555555555555").await;
    checked.fails_only(&["nomad", "pool x64"]);
    checked.found(
        "fail",
        "nomad",
        "lacks read-job, list-jobs, dispatch-job, deregister-job",
        "check that it is valid",
    );
    checked.found("fail", "pool x64", "may not be read", "check that the token is valid");

    let management = parts.agent.token().unwrap().expose_secret().to_owned();
    let checked = check(&management).await;
    checked.fails_only(&[]);
    checked.found("warn", "nomad", "is a management token", "use one with only what is needed");
    assert_eq!(
        parts
            .nomad
            .children_by_token_prefix(parts.nomad.place(), "roustabout-")
            .await
            .unwrap()
            .len(),
        0,
        "nothing was dispatched"
    );
    let token = parts.agent.token().unwrap().expose_secret();
    let url = parts.agent.address().join("/v1/evaluations").unwrap();
    let asked = reqwest::Client::new().get(url).header("X-Nomad-Token", token);
    let evaluations: Value = asked.send().await.unwrap().json().await.unwrap();
    assert_eq!(evaluations, json!([]), "nothing was stopped");
}
