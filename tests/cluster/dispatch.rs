//! What a dispatch carries, read from the children that Nomad made of it: payload, meta and
//! token of each delivery, as `docs/` and the README promise it to those who write jobspecs.

use crate::support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use simulated::github::{JobSpec, RunSpec};
use support::parents::{Parent, pool};
use support::proxied::Proxied;
use support::until;
use support::world::{Parts, Plan};

const LIMIT: Duration = Duration::from_secs(60);

/// Every key that a job of `delivery = "meta"` can have.
const KEYS: [&str; 22] = [
    "runner_labels",
    "runner_scope",
    "runner_group",
    "repository",
    "owner",
    "repository_name",
    "workflow_job_id",
    "run_id",
    "run_attempt",
    "workflow_job_name",
    "workflow_name",
    "head_branch",
    "delivery_id",
    "allow_repositories",
    "allow_public",
    "allow_forks",
    "allow_events",
    "allow_actors",
    "REPO_FULL_NAME",
    "runner_jit_config",
    "claim_url",
    "somebody_elses",
];

fn meta(child: &Value) -> BTreeMap<String, String> {
    serde_json::from_value(child["Meta"].clone()).unwrap()
}

fn payload(child: &Value) -> String {
    let encoded = child["Payload"].as_str().unwrap_or_default();
    String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap()
}

/// The runner's name, which has to be the part of the token before `scope`.
fn named(child: &Value, scope: &str) -> String {
    let name = meta(child)["runner_name"].clone();
    assert_eq!(child["DispatchIdempotencyToken"], json!(format!("{name}@{scope}")));
    assert!(name.starts_with("roustabout-") && name.len() <= 64, "{name}");
    name
}

fn of<'a>(children: &'a [Value], parent: &str) -> &'a Value {
    children.iter().find(|child| child["ParentID"] == parent).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_delivery_carries_what_it_should_and_no_more() {
    let parts = Parts::start().await;
    let nomad = &parts.nomad;
    let name: &[&str] = &["runner_name"];
    let url: &[&str] = &["runner_name", "runner_url", "runner_token"];
    let job = |id, payload, required, optional| Parent { id, payload, required, optional };
    job("by-payload", "required", name, &[]).register(nomad).await;
    job("by-meta", "forbidden", url, &KEYS).register(nomad).await;
    job("by-none", "optional", &[], &["runner_name", "runner_token"]).register(nomad).await;
    job("by-run", "required", name, &["runner_labels"]).register(nomad).await;
    let scoped = ["runner_url", "runner_scope", "repository", "owner"];
    job("by-organization", "required", name, &scoped).register(nomad).await;
    let run_labels = "\n[[pools]]\nname = \"run\"\nnomad_job = \"by-run\"\ndelivery = \"payload\"\n\
         labels = [\"self-hosted\", \"run-{run_id}\"]\nrepositories = [\"*/*\"]\n";
    let pools = [
        "delivery = \"payload\"".to_owned(),
        pool("payload", "by-payload", "delivery = \"payload\""),
        pool(
            "meta",
            "by-meta",
            "delivery = \"meta\"\n[pools.meta]\nREPO_FULL_NAME = \"{owner}:{repository_name}\"",
        ),
        pool(
            "none",
            "by-none",
            "delivery = \"none\"\npayload = \"{repository} {workflow_job_id}\"",
        ),
        run_labels.to_owned(),
        pool("org", "by-organization", "delivery = \"payload\"\nscope = \"organization\""),
    ];
    let mut world = Proxied::around(parts, Plan { pool: pools.concat(), ..Plan::default() }).await;
    world.daemon.start().await;

    let by_meta = world.queue_for("meta", world.app, 1)[0];
    let by_none = world.queue_for("none", world.lib, 1)[0];
    let mut jobs = vec![by_meta, by_none];
    jobs.extend(world.queue_for("payload", world.app, 1));
    jobs.extend(world.queue_for("org", world.app, 1));
    // A run's id is one more than that of the run before.
    let (run, by_run) = world.github.with(|github, now| {
        let before = github.add_run(world.app, RunSpec::default(), Vec::new(), now);
        let label = format!("run-{}", before + 1);
        let spec = JobSpec::new("per run", &["self-hosted", &label]);
        let run = github.add_run(world.app, RunSpec::default(), vec![spec], now);
        assert_eq!(run, before + 1);
        (run, github.run(run).unwrap().jobs[0])
    });
    jobs.push(by_run);
    let children = world.until_children(5, LIMIT).await;
    let page = world.github.url();

    let child = of(&children, "by-payload");
    let name = named(child, "octo/app");
    assert_eq!(meta(child), BTreeMap::from([("runner_name".to_owned(), name)]));
    let token = payload(child);
    assert!(token.len() >= 20 && !token.contains('{'), "the credential alone: {token}");

    let child = of(&children, "by-meta");
    let (name, told) = (named(child, "octo/app"), world.daemon.job(by_meta).await);
    assert_eq!(payload(child), "");
    let mut carried = meta(child);
    assert_eq!(carried.remove("runner_token").unwrap(), token, "one token a scope");
    let expected = json!({
        "runner_name": name, "runner_url": format!("{page}/octo/app"),
        "runner_labels": "self-hosted,meta", "runner_scope": "repository", "runner_group": "",
        "repository": "octo/app", "owner": "octo", "repository_name": "app",
        "workflow_job_id": by_meta.to_string(), "run_id": told["run_id"].to_string(),
        "run_attempt": "1", "workflow_job_name": "job 0", "workflow_name": "CI",
        "head_branch": "main", "delivery_id": told["delivery"], "allow_repositories": "*/*",
        "allow_public": "false", "allow_forks": "false", "allow_events": "*",
        "allow_actors": "*", "REPO_FULL_NAME": "octo:app",
    });
    assert_eq!(json!(carried), expected);

    let child = of(&children, "by-none");
    named(child, "octo/lib");
    assert_eq!(meta(child).len(), 1, "no credential for an operator's own job");
    assert_eq!(payload(child), format!("octo/lib {by_none}"));

    let child = of(&children, "by-run");
    named(child, &format!("octo/app#{run}"));
    assert_eq!(meta(child)["runner_labels"], format!("self-hosted,run-{run}"));

    let child = of(&children, "by-organization");
    named(child, "octo");
    let carried = meta(child);
    assert_eq!(carried["runner_url"], format!("{page}/octo"));
    assert_eq!(carried["runner_scope"], "organization");
    assert_eq!((&*carried["repository"], &*carried["owner"]), ("octo/app", "octo"));
    assert_eq!(world.github_proxy.count("POST", "/repos/octo/app/actions/runners/"), 1);
    assert_eq!(world.github_proxy.count("POST", "/repos/octo/lib/actions/runners/"), 0);

    // Another repository of the organization needs no token of its own.
    jobs.extend(world.queue_for("org", world.lib, 1));
    world.until_children(6, LIMIT).await;
    assert_eq!(world.github_proxy.count("POST", "/orgs/octo/actions/runners/"), 1);

    // All are cancelled in the queue: none was placed, so all are withdrawn.
    world.cancel(&jobs);
    world.until_nothing_is_left(LIMIT).await;
    assert_eq!(world.children().await.len(), 6);
}

/// One registration token serves a burst, and whoever comes later.
#[tokio::test(flavor = "multi_thread")]
async fn a_burst_needs_one_token() {
    let parts = Parts::start().await;
    let parent = Parent {
        id: "burst",
        payload: "required",
        required: &["runner_name"],
        optional: &["workflow_job_id"],
    };
    parent.register(&parts.nomad).await;
    let more = pool("burst", "burst", "delivery = \"payload\"\nmax_runners = 1000");
    let plan = Plan {
        before_pools: "[runners]\nmax = 1000".to_owned(),
        pool: format!("delivery = \"payload\"{more}"),
        ..Plan::default()
    };
    let mut world = Proxied::around(parts, plan).await;
    world.daemon.start().await;
    let mut jobs = world.queue_for("burst", world.app, 20);
    world.until_children(20, LIMIT).await;
    jobs.extend(world.queue_for("burst", world.app, 1));
    let children = world.until_children(21, LIMIT).await;
    assert_eq!(world.github_proxy.count("POST", "registration-token"), 1);
    let mut causes: Vec<String> =
        children.iter().map(|child| meta(child)["workflow_job_id"].clone()).collect();
    causes.sort();
    let mut ids: Vec<String> = jobs.iter().map(ToString::to_string).collect();
    ids.sort();
    assert_eq!(causes, ids, "each waiting job is named by one dispatch");

    let started = Instant::now();
    let burst = world.queue_for("burst", world.lib, 256);
    until("all are dispatched", LIMIT, async || {
        world.nomad_proxy.count("PUT", "/dispatch") == 21 + 256
    })
    .await;
    println!("a burst of 256 queued jobs was dispatched within {:?}", started.elapsed());
    jobs.extend(burst);
    world.until_children(277, LIMIT).await;
    world.cancel(&jobs);
    world.until_nothing_is_left(LIMIT).await;
}

/// The keys a job declares are believed for a while; a new registration is noticed all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_registered_anew_is_dispatched_as_it_is_now() {
    let parts = Parts::start().await;
    let first = Parent {
        id: "own",
        payload: "forbidden",
        required: &["runner_name"],
        optional: &["owner"],
    };
    first.register(&parts.nomad).await;
    let more = pool("own", "own", "delivery = \"none\"");
    let plan = Plan { pool: format!("delivery = \"payload\"{more}"), ..Plan::default() };
    let mut world = Proxied::around(parts, plan).await;
    world.daemon.start().await;
    let mut jobs = world.queue_for("own", world.app, 1);
    world.until_children(1, LIMIT).await;
    Parent { required: &["runner_name", "run_id"], optional: &[], ..first }
        .register(&world.nomad)
        .await;
    jobs.extend(world.queue_for("own", world.app, 1));
    let children = world.until_children(2, LIMIT).await;
    let newer = children.iter().find(|child| child["Meta"]["run_id"].is_string()).unwrap();
    assert_eq!(meta(newer).len(), 2, "{newer}");
    assert!(!world.daemon.log().contains("dispatch refused"));
    world.cancel(&jobs);
    world.until_nothing_is_left(LIMIT).await;
}
