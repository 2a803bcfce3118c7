//! SIGHUP: the daemon reads its config and every secret again. What is wrong changes nothing,
//! what is bound to its start is named, everything else holds from then on; no webhook is lost.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use std::time::Duration;

use support::daemon::{Daemon, SECRET, roustabout, signal};
use support::until;
use support::webhook::{NOBODY_THERE, Raw, Request, assert_accepts, door, queued};

const SOON: Duration = Duration::from_secs(30);

const SECOND: &str = "the secret after the first";

fn job(id: u64, secret: &str) -> Request {
    Request::job(&format!("{id} {secret}"), &queued(id)).signed(secret)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_secret_is_changed_without_a_gap() {
    let daemon = door().await;
    // A connection that stays open follows too.
    let mut open = Raw::open(daemon.door).await;
    let status = async |open: &mut Raw, request: Request| {
        open.say(request.bytes()).await;
        open.reply().await.status
    };
    assert_eq!(status(&mut open, job(1, SECRET)).await, 202);
    assert_eq!(status(&mut open, job(2, SECOND)).await, 401);

    let first = format!("secret = \"{SECRET}\"");
    let both = format!("secret = \"{SECOND}\"\nprevious_secret = \"{SECRET}\"");
    daemon.configure(|config| config.replace(&first, &both));
    daemon.reload().await;
    assert_eq!(status(&mut open, job(3, SECRET)).await, 202);
    assert_eq!(status(&mut open, job(4, SECOND)).await, 202);

    daemon.configure(|config| config.replace(&both, &format!("secret = \"{SECOND}\"")));
    daemon.reload().await;
    assert_eq!(status(&mut open, job(5, SECRET)).await, 401);
    assert_eq!(status(&mut open, job(6, SECOND)).await, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_in_a_file_is_read_again() {
    let mut daemon = Daemon::prepare(NOBODY_THERE);
    let file = daemon.folder.path().join("secret");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    daemon.configure(|config| {
        config.replace(
            &format!("secret = \"{SECRET}\""),
            &format!("secret_file = \"{}\"", file.display()),
        )
    });
    daemon.start().await;
    std::fs::write(&file, format!("{SECOND}\n")).unwrap();
    daemon.reload().await;
    assert_eq!(job(1, SECOND).send(daemon.door).await.status, 202);
    assert_eq!(job(2, SECRET).send(daemon.door).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_config_is_told_whole_and_the_one_before_stays() {
    let daemon = door().await;
    let good = std::fs::read_to_string(daemon.config()).unwrap();
    daemon.configure(|config| {
        let config = config.replace("name = \"x64\"", "name = \"x64\"\nmax_runers = 3");
        config.replace(SECRET, SECOND).replace("[admin]", "[admin]\ncolour = \"red\"")
    });
    let complaint = "the new config is wrong; going on with the one before";
    signal(daemon.process(), "HUP");
    until("it complains", SOON, async || daemon.count_of(complaint) == 1).await;
    let log = daemon.log();
    for key in ["max_runers", "admin.colour"] {
        assert!(log.contains(key), "{key}");
    }
    assert_accepts(daemon.door).await;
    // A secret's file that cannot be read is a wrong config too.
    std::fs::write(
        daemon.config(),
        good.replace(&format!("secret = \"{SECRET}\""), "secret_file = \"/nowhere/secret\""),
    )
    .unwrap();
    signal(daemon.process(), "HUP");
    until("it complains", SOON, async || daemon.count_of(complaint) == 2).await;
    assert!(daemon.log().contains("/nowhere/secret"));
    assert_accepts(daemon.door).await;
    // And no config at all.
    std::fs::remove_file(daemon.config()).unwrap();
    signal(daemon.process(), "HUP");
    until("it complains", SOON, async || daemon.count_of(complaint) == 3).await;
    assert_accepts(daemon.door).await;
    std::fs::write(daemon.config(), good).unwrap();
    daemon.reload().await;
    assert_accepts(daemon.door).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_restart_is_named_and_stays() {
    let mut daemon = door().await;
    let (door, admin) = (daemon.door, daemon.admin);
    let (new_door, new_admin) = (support::free_port(), support::free_port());
    daemon.configure(|config| {
        let config = config.replace(&format!("127.0.0.1:{door}"), &format!("127.0.0.1:{new_door}"));
        let config =
            config.replace(&format!("127.0.0.1:{admin}"), &format!("127.0.0.1:{new_admin}"));
        config.replace("roustabout.db", "another.db").replace("\"json\"", "\"text\"")
    });
    daemon.reload().await;
    let log = daemon.log();
    for key in ["webhook.listen", "admin.listen", "store.url", "log.format"] {
        let line = log.lines().find(|line| line.contains("takes effect with the next restart"));
        assert!(line.is_some());
        assert!(log.contains(&format!("\"key\":\"{key}\"")), "{key}\n{log}");
    }
    assert_accepts(door).await;
    assert!(!daemon.folder.path().join("another.db").exists());
    assert_eq!(daemon.terminate().await, Some(0));
    daemon.admin = new_admin;
    daemon.start().await;
    assert_accepts(new_door).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pools_are_told_by_name_and_the_doors_answer_by_them() {
    let daemon = door().await;
    let mut windows = queued(7);
    windows["workflow_job"]["labels"] = serde_json::json!(["windows"]);
    let ask = async |delivery: &str| Request::job(delivery, &windows).send(daemon.door).await;
    assert_eq!(ask("before").await.outcome(), (202, "ignored".into()));
    daemon.configure(|config| {
        config.replace("name = \"x64\"", "name = \"x86\"")
            + "[[pools]]\nname = \"windows\"\nnomad_job = \"w\"\ndelivery = \"payload\"\n\
               labels = [\"windows\"]\nrepositories = [\"octo/*\"]\n"
    });
    daemon.reload().await;
    let log = daemon.log();
    let line = log.lines().find(|line| line.contains("the new config holds")).unwrap();
    assert!(
        line.contains("\"added\":\"x86, windows\"") && line.contains("\"gone\":\"x64\""),
        "{line}"
    );
    // The ledger has taken up what it was told of before, and the door says what it will do.
    let known = daemon.job(7).await;
    assert_eq!(known["pool"], "windows", "{known}");
    assert_eq!(ask("after").await.outcome(), (202, "accepted".into()));
    let pools = daemon.api("/api/v1/pools").await;
    let names: Vec<&str> =
        pools.as_array().unwrap().iter().map(|pool| pool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["x86", "windows"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_private_door_asks_for_the_token_of_today() {
    let daemon = door().await;
    let status = async |token: Option<&str>| {
        let request =
            reqwest::Client::new().get(format!("http://127.0.0.1:{}/api/v1/status", daemon.admin));
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(status(None).await, 200);
    daemon.configure(|config| config.replace("[admin]", "[admin]\ntoken = \"first\""));
    daemon.reload().await;
    assert_eq!((status(None).await, status(Some("first")).await), (401, 200));
    daemon.configure(|config| config.replace("token = \"first\"", "token = \"second\""));
    daemon.reload().await;
    assert_eq!((status(Some("first")).await, status(Some("second")).await), (401, 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_level_follows_unless_rust_log_says_it() {
    let mut daemon = door().await;
    assert_accepts(daemon.door).await;
    assert_eq!(daemon.count_of("webhook kept"), 0);
    daemon.configure(|config| config.replace("[log]", "[log]\nlevel = \"debug\""));
    daemon.reload().await;
    assert_accepts(daemon.door).await;
    until("it is told", SOON, async || daemon.count_of("webhook kept") == 1).await;
    assert_eq!(daemon.terminate().await, Some(0));
    daemon.configure(|config| config.replace("level = \"debug\"", "level = \"error\""));
    let info = |command: &mut std::process::Command| {
        command.env("RUST_LOG", "info");
    };
    daemon.start_with(&[], info).await;
    daemon.reload().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_judges_by_the_rules_of_today() {
    let daemon = door().await;
    let mut other = queued(8);
    other["repository"]["full_name"] = "elsewhere/app".into();
    Request::job("one", &other).send(daemon.door).await;
    let explain = async || {
        let mut command = roustabout();
        command.args(["explain", "8", "--config"]).arg(daemon.config());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    until("it is known", SOON, async || daemon.job(8).await["id"] == 8).await;
    let text = explain().await;
    assert!(text.contains("no pool serves the repository elsewhere/app"), "{text}");
    daemon.configure(|config| config.replace("[\"octo/*\"]", "[\"octo/*\", \"elsewhere/*\"]"));
    daemon.reload().await;
    let text = explain().await;
    assert!(!text.lines().next().unwrap().contains("no pool"), "{text}");
}

/// With a GitHub and a real Nomad around it.
#[cfg(feature = "real-parts")]
mod around {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use roustabout::demo::runner_job;
    use roustabout::nomad::{Address, Client, Connection};
    use roustabout::simulated::github::{HookSpec, JobSpec, RunSpec, Scope, Status, Visibility};

    use secrecy::ExposeSecret;
    use serde_json::json;

    use super::support::daemon::{GITHUB_TOKEN, SECRET};
    use super::support::parents::{Parent, pool};
    use super::support::proxied::Proxied;
    use super::support::until;
    use super::support::world::{LABELS, PARENT, Parts, Plan, connection};

    const LIMIT: Duration = Duration::from_secs(90);

    #[tokio::test(flavor = "multi_thread")]
    async fn a_new_pool_is_served_and_no_webhook_is_lost_meanwhile() {
        let world = Proxied::start().await;
        let url = world.daemon.url();
        let (repository, hook) = world.github.with(|github, now| {
            let repository = github.add_repository("octo/busy", Visibility::Private, now);
            let hook = HookSpec::new(&url, SECRET);
            (repository, github.add_hook(Scope::Repository(repository), hook, now))
        });
        // Queued while no pool has it.
        let early = world.queue_for("big", repository, 1);
        let mut jobs = world.queue_run(repository, RunSpec::default(), &LABELS, 1, 200);
        let over = Arc::new(AtomicBool::new(false));
        let load = async {
            let mut queued = Vec::new();
            while !over.load(Ordering::Relaxed) && queued.len() < 40 {
                queued.extend(world.queue_run(repository, RunSpec::default(), &LABELS, 1, 100));
                tokio::time::sleep(Duration::from_millis(60)).await;
            }
            queued
        };
        let reloads = async {
            for extra in ["", "\nmax_runners = 7", "\nforks = true"] {
                tokio::time::sleep(Duration::from_millis(500)).await;
                world.daemon.configure(|config| {
                    let config =
                        config.split("\n[[pools]]\nname = \"big\"").next().unwrap().to_owned();
                    config + &pool("big", PARENT, &format!("delivery = \"payload\"{extra}"))
                });
                world.daemon.reload().await;
            }
            over.store(true, Ordering::Relaxed);
        };
        let (queued, ()) = tokio::join!(load, reloads);
        assert!(queued.len() >= 10);
        jobs.extend(queued);
        jobs.extend(early);
        jobs.extend(world.queue_for("big", repository, 2));
        world.each_ran_once(&jobs, LIMIT).await;
        world.github.with(|github, _| {
            let deliveries = github.deliveries(hook);
            assert!(deliveries.len() >= 3 * jobs.len(), "{}", deliveries.len());
            for delivery in deliveries {
                assert_eq!(delivery.status(), "OK");
            }
        });
    }

    /// One runner of it is at work, one is blocked in Nomad, and one job has yet to get its.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_pool_that_is_gone_lets_the_idle_go_and_follows_the_busy() {
        let plan = Plan {
            pool: format!(
                "delivery = \"payload\"\n{}{}",
                pool("big", PARENT, "delivery = \"payload\"\nmax_runners = 1"),
                pool("blocked", "nowhere", "delivery = \"payload\""),
            ),
            ..Plan::default()
        };
        let mut world = Proxied::prepared(plan).await;
        let nowhere = Parent {
            id: "nowhere",
            payload: "optional",
            required: &["runner_name"],
            optional: &[],
        };
        nowhere.register(&world.nomad).await;
        world.world.daemon.start().await;
        let labels = ["self-hosted", "big"];
        let busy = world.queue_run(world.app, RunSpec::default(), &labels, 1, 6_000)[0];
        let started = world
            .github
            .until(LIMIT, |github| github.job(busy).unwrap().status == Status::InProgress);
        started.await.unwrap();
        let waiting = world.queue_for("big", world.app, 1)[0];
        let blocked = world.queue_for("blocked", world.lib, 1)[0];
        world.until_children(2, LIMIT).await;
        world.until_reason(waiting, "max_runners").await;

        world
            .daemon
            .configure(|config| config.split("\n[[pools]]\nname = \"big\"").next().unwrap().into());
        world.daemon.reload().await;
        world.until_reason(waiting, "no pool").await;
        world.until_reason(blocked, "no pool").await;
        let alive = async || world.daemon.api("/api/v1/status").await["capacity"]["alive"].as_u64();
        until("the blocked one is let go", LIMIT, async || alive().await == Some(1)).await;
        world.github.with(|github, _| {
            assert_eq!(github.job(busy).unwrap().status, Status::InProgress, "not stopped");
        });
        let done = world
            .github
            .until(LIMIT, |github| github.job(busy).unwrap().status == Status::Completed);
        done.await.unwrap();
        world.github.with(|github, _| {
            assert_eq!(github.job(busy).unwrap().conclusion.unwrap().as_str(), "success");
        });
        until("its runner's end is seen", LIMIT, async || alive().await == Some(0)).await;
        world.cancel(&[waiting, blocked]);
        world.until_nothing_is_left(LIMIT).await;
    }

    /// The one in the file is no good; the new one holds at once, whatever backoff says.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_token_in_a_file_is_read_again_and_what_failed_is_tried_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("github-token");
        std::fs::write(&file, "ghp_expired\n").unwrap();
        let credentials = format!(
            "[[github.credentials]]\nowners = [\"octo\"]\ntoken_file = \"{}\"",
            file.display()
        );
        let world = Proxied::planned(Plan { credentials, ..Plan::default() }).await;
        let jobs = world.github.with(|github, now| {
            let jobs = vec![JobSpec::new("build", &LABELS).lasting(200)];
            let run = github.add_run(world.app, RunSpec::default(), jobs, now);
            github.run(run).unwrap().jobs.clone()
        });
        world.until_reason(jobs[0], "401").await;
        std::fs::write(&file, format!("{GITHUB_TOKEN}\n")).unwrap();
        world.daemon.reload().await;
        world.each_ran_once(&jobs, LIMIT).await;
        until("nobody is in trouble any more", LIMIT, async || {
            world.daemon.api("/readyz").await["degraded"] == serde_json::json!([])
        })
        .await;
    }

    /// Nomad refuses the one in the file; the new one holds at once.
    #[tokio::test(flavor = "multi_thread")]
    async fn nomads_token_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("nomad-token");
        std::fs::write(&file, "9c6f8d80-6f21-4b14-8a4a-1f6b3f0a7f10\n").unwrap();
        let parts = Parts::with(|options| options.acl = true).await;
        let token = parts.agent.token().unwrap().expose_secret().to_owned();
        let before_pools = format!("token_file = \"{}\"", file.display());
        let mut world = Proxied::around(parts, Plan { before_pools, ..Plan::default() }).await;
        world.world.daemon.start().await;
        let jobs = world.queue(world.app, 1, 200);
        world.until_reason(jobs[0], "needs read-job").await;
        std::fs::write(&file, token).unwrap();
        world.daemon.reload().await;
        world.each_ran_once(&jobs, LIMIT).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_new_pool_in_another_namespace_is_followed_there() {
        let world = Proxied::start().await;
        let namespace = world.agent.address().join("/v1/namespace/ci").unwrap();
        let request = reqwest::Client::new().put(namespace).json(&json!({ "Name": "ci" }));
        assert!(request.send().await.unwrap().status().is_success());
        let there = Client::new(Connection {
            namespace: "ci".to_owned(),
            ..connection(Address::Http(world.agent.address()))
        })
        .unwrap();
        let archive = world.github.runner_archive_url().parse().unwrap();
        runner_job::register(&there, PARENT, &archive).await.unwrap();
        let more = "delivery = \"payload\"\nnamespace = \"ci\"";
        world.daemon.configure(|config| config + &pool("elsewhere", PARENT, more));
        world.daemon.reload().await;
        let jobs = world.queue_for("elsewhere", world.app, 2);
        world.each_ran_once(&jobs, LIMIT).await;
        assert!(world.children().await.is_empty(), "none in the namespace of the connection");
    }
}
