//! A GitHub App in place of tokens and webhooks: one webhook for every repository of its owners, and
//! tokens that may do no more than each use needs.

use crate::support;

use std::time::Duration;

use serde_json::json;
use simulated::github::{AppSpec, JobSpec, RunSpec, Server, Visibility};
use support::daemon::{Daemon, SECRET};
use support::until;
use support::world::{LABELS, PARENT, Parts};

const LIMIT: Duration = Duration::from_secs(60);
const APP_SECRET: &str = "the secret of the App's webhook";
const OTHER_SECRET: &str = "the secret of the organization's App";

/// A user and an organization, each with an App of its own, and a daemon that has no token.
struct World {
    github: Server,
    daemon: Daemon,
    nomad: roustabout::nomad::Client,
    _agent: local_parts::agent::Agent,
    app: u64,
    user: u64,
    installation: u64,
    repository: u64,
    inner: u64,
}

fn credential(owner: &str, issuer: u64, secret: &str) -> String {
    format!(
        "[[github.credentials]]\nowners = [{owner:?}]\n[github.credentials.app]\nid = {issuer}\n\
         private_key = '''{}'''\nwebhook_secret = {secret:?}\n",
        simulated::app_key()
    )
}

impl World {
    async fn start() -> Self {
        let Parts { github, agent, nomad } = Parts::start().await;
        let (app, other, user, installation, repository, inner) = github.with(|github, now| {
            let user = github.add_user("octocat");
            let octo = github.add_organization("octo", &[user]);
            let repository = github.add_repository("octocat/app", Visibility::Private, now);
            let inner = github.add_repository("octo/inner", Visibility::Private, now);
            let app = github.add_app(AppSpec::new("of octocat", user), now);
            let other = github.add_app(AppSpec::new("of octo", octo), now);
            let installation = github.install(app, user, None, now);
            github.install(other, octo, None, now);
            (app, other, user, installation, repository, inner)
        });
        let pool = |name: &str, owner: &str, scope: &str| {
            format!(
                "[[pools]]\nname = {name:?}\nnomad_job = \"{PARENT}\"\nscope = {scope:?}\n\
                 labels = [\"self-hosted\", \"linux\", \"x64\"]\nrepositories = [\"{owner}/*\"]\n\
                 delivery = \"payload\"\n"
            )
        };
        let config = format!(
            "[github]\napi_url = \"{}\"\nfull_sweep_interval = \"2s\"\n{}{}[nomad]\naddress = \"{}\"\n{}{}",
            github.url(),
            credential("octocat", app, APP_SECRET),
            credential("octo", other, OTHER_SECRET),
            agent.address().to_string().trim_end_matches('/'),
            pool("x64", "octocat", "repository"),
            pool("org", "octo", "organization"),
        );
        let mut daemon = Daemon::prepare(&config);
        daemon.configure(|text| text.replace(&format!("secret = \"{SECRET}\"\n"), ""));
        let url = daemon.url();
        github.with(|github, now| {
            github.lead_app_hook(app, &url, APP_SECRET, now);
            github.lead_app_hook(other, &url, OTHER_SECRET, now);
        });
        daemon.start().await;
        Self { github, daemon, nomad, _agent: agent, app, user, installation, repository, inner }
    }

    fn queue(&self, repository: u64, count: usize) -> Vec<u64> {
        self.github.with(|github, now| {
            let job = |n| JobSpec::new(format!("job {n}"), &LABELS).lasting(200);
            let jobs = (0..count).map(job).collect();
            let run = github.add_run(repository, RunSpec::default(), jobs, now);
            github.run(run).unwrap().jobs.clone()
        })
    }

    async fn until_completed(&self, jobs: &[u64]) {
        until("the jobs have run", LIMIT, async || {
            self.github.with(|github, _| {
                jobs.iter().all(|job| github.job(*job).unwrap().status.as_str() == "completed")
            })
        })
        .await;
    }

    async fn until_nothing_is_left(&self) {
        until("nothing is left over", LIMIT, async || {
            let children = self.nomad.children_by_token_prefix(self.nomad.place(), "roustabout-");
            let alive = children.await.unwrap().into_iter();
            let alive =
                alive.filter(|one| one.status != roustabout::nomad::JobStatus::Dead).count();
            self.github.with(|github, _| github.leftovers()).is_empty() && alive == 0
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_webhook_and_no_token_serve_every_repository_of_an_owner() {
    let world = World::start().await;
    let jobs = [world.queue(world.repository, 2), world.queue(world.inner, 2)].concat();
    world.until_completed(&jobs).await;
    world.until_nothing_is_left().await;
    let asked = |path: &str| world.github.with(|github, _| github.count_requests("POST", path));
    assert!(asked("access_tokens") <= 4, "read and runners, for each of the two");
    let log = world.daemon.log();
    assert!(!log.contains("ghs_") && !log.contains("PRIVATE KEY"), "no secret in the log");
}

/// It is delivered with a good signature, of an account that we have nothing to do with.
#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_webhook_is_ignored_and_launches_nothing() {
    let world = World::start().await;
    let payload = json!({
        "action": "queued",
        "workflow_job": {"id": 5, "run_id": 6, "labels": LABELS, "status": "queued", "name": "j"},
        "repository": {"id": 7, "full_name": "octo/inner", "private": true,
            "owner": {"login": "octo", "type": "Organization"}},
        "installation": {"id": 99},
    });
    let send = async |secret: &str, event: &str, payload: &serde_json::Value| {
        let body = payload.to_string();
        let signature = roustabout::webhook::signature::sign(&secret.into(), body.as_bytes());
        let sent = reqwest::Client::new()
            .post(world.daemon.url())
            .header("content-type", "application/json")
            .header("x-github-event", event)
            .header("x-github-delivery", format!("{event}-{secret}").replace([' ', '\''], "-"))
            .header("x-hub-signature-256", signature)
            .body(body)
            .send()
            .await
            .unwrap();
        (sent.status().as_u16(), sent.json::<serde_json::Value>().await.unwrap())
    };
    let (status, answer) = send(APP_SECRET, "workflow_job", &payload).await;
    assert_eq!((status, answer["outcome"].as_str()), (202, Some("ignored")), "{answer}");
    assert!(answer["reason"].as_str().unwrap().contains("not among the owners"), "{answer}");
    assert_eq!(
        world.daemon.at_private_door("GET", "/api/v1/jobs/5").send().await.unwrap().status(),
        404
    );
    // Its own App's secret makes it one of ours, and a secret of nobody's is refused.
    let (status, answer) = send(OTHER_SECRET, "workflow_job", &payload).await;
    assert_eq!((status, answer["outcome"].as_str()), (202, Some("accepted")), "{answer}");
    assert_eq!(send("somebody else's secret", "workflow_job", &payload).await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_installation_is_told_and_what_waits_runs_when_it_is_back() {
    let world = World::start().await;
    let first = world.queue(world.repository, 1);
    world.until_completed(&first).await;
    world.github.with(|github, now| github.suspend(world.installation, true, now));
    until("it is told", LIMIT, async || {
        let ready = world.daemon.api("/readyz").await;
        ready["degraded"].to_string().contains("on octocat is suspended")
    })
    .await;
    // No webhook tells of it meanwhile.
    let jobs = world.queue(world.repository, 1);
    world.github.with(|github, now| github.suspend(world.installation, false, now));
    world.until_completed(&jobs).await;
    // Reinstalled: another id, and nobody has to restart anything.
    world.github.with(|github, now| {
        github.uninstall(world.installation, now);
        github.install(world.app, world.user, None, now);
    });
    let jobs = world.queue(world.repository, 1);
    world.until_completed(&jobs).await;
    world.until_nothing_is_left().await;
}

/// Its log mixes repositories and attempts; what one attempt has delivered has not failed.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_apps_webhook_failed_to_deliver_is_fetched() {
    let mut world = World::start().await;
    let first = world.queue(world.repository, 1);
    world.until_completed(&first).await;
    world.daemon.terminate().await;
    let jobs = [world.queue(world.repository, 1), world.queue(world.inner, 1)].concat();
    let failed = |github: &simulated::github::GitHub| {
        let failed = github.events().iter().filter(|one| {
            matches!(one.what, simulated::github::What::Delivered { status_code: 0, .. })
        });
        failed.count() >= 2
    };
    world.github.until(LIMIT, failed).await.unwrap();
    world.daemon.start().await;
    until("both Apps' logs have been read", LIMIT, async || {
        world.daemon.count_of("missed webhook fetched") >= 2
    })
    .await;
    world.until_completed(&jobs).await;
    world.until_nothing_is_left().await;
}

/// A public App can be installed by anyone, and a permission may be taken back.
#[tokio::test(flavor = "multi_thread")]
async fn a_permission_that_is_granted_after_all_is_used_at_once() {
    let world = World::start().await;
    let set = |level| {
        world.github.with(|github, now| {
            let app = github.app_mut(world.app).unwrap();
            app.permissions.insert("administration".to_owned(), level);
            github.accept_permissions(world.installation, now);
        });
    };
    set(simulated::github::Level::Read);
    until("the daemon has heard of it", LIMIT, async || {
        world.daemon.count_of("access of the GitHub App changed") >= 1
    })
    .await;
    let jobs = world.queue(world.repository, 1);
    until("it is told what is missing", LIMIT, async || {
        let job = world.daemon.job(jobs[0]).await;
        job["reason"].to_string().contains("does not grant administration: write")
    })
    .await;
    set(simulated::github::Level::Write);
    world.until_completed(&jobs).await;
    world.until_nothing_is_left().await;
}
