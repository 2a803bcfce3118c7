//! The simulated GitHub and the stand-in runner together, over HTTP: one job from the webhook that
//! announces it to the last leftover.

#![expect(clippy::unwrap_used, reason = "helpers of tests say what they expect by unwrapping")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;
use simulated::github::{
    Conclusion, FaultKind, FaultRule, HookSpec, JobSpec, RunSpec, Scope, Server, Visibility,
};
use simulated::runner::{self, Environment};
use tokio::net::TcpListener;

const PATIENCE: Duration = Duration::from_secs(20);

struct World {
    github: Server,
    repository: u64,
    http: reqwest::Client,
}

impl World {
    async fn new() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let github = Server::start(listener, 7).unwrap();
        let repository = github.with(|github, now| {
            let user = github.add_user("octocat");
            github.add_full_token("pat", user);
            github.add_repository("octocat/app", Visibility::Private, now)
        });
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { github, repository, http }
    }

    fn add_job(&self, job: JobSpec) -> u64 {
        self.github.with(|github, now| {
            let run = github.add_run(self.repository, RunSpec::default(), vec![job], now);
            github.run(run).unwrap().jobs[0]
        })
    }

    async fn mint(&self, what: &str) -> String {
        let url = format!("{}/repos/octocat/app/actions/runners/{what}", self.github.url());
        let answer = self.http.post(url).bearer_auth("pat").send().await.unwrap();
        assert_eq!(answer.status(), 201);
        let answer: Value = answer.json().await.unwrap();
        answer["token"].as_str().unwrap().to_owned()
    }

    /// `config.sh` as a jobspec calls it, the token in the environment.
    async fn configure(&self, root: &std::path::Path, name: &str) -> u8 {
        let token = self.mint("registration-token").await;
        let url = format!("{}/octocat/app", self.github.url());
        let environment = Environment::from([("ACTIONS_RUNNER_INPUT_TOKEN".to_owned(), token)]);
        let labels = ["--labels", "self-hosted,x64", "--no-default-labels"];
        let fixed = ["--name", name, "--ephemeral", "--unattended"];
        let args = ["config", root.to_str().unwrap(), "--url", &url];
        let args = args.into_iter().chain(labels).chain(fixed).map(str::to_owned);
        runner::command(args, &environment).await
    }

    async fn run(root: &std::path::Path, environment: Environment) -> u8 {
        let args = ["run".to_owned(), root.to_str().unwrap().to_owned()];
        runner::command(args, &environment).await
    }
}

type Seen = Arc<Mutex<Vec<(HeaderMap, Value)>>>;

/// Takes webhooks and keeps them.
async fn receiver() -> (String, Seen) {
    let seen = Seen::default();
    let keep = seen.clone();
    let app = axum::Router::new().route(
        "/webhook",
        axum::routing::post(async move |headers: HeaderMap, body: String| {
            keep.lock().unwrap().push((headers, serde_json::from_str(&body).unwrap()));
            StatusCode::ACCEPTED
        }),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/webhook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, seen)
}

#[tokio::test]
async fn one_job_from_its_webhook_to_nothing_left() {
    let world = World::new().await;
    let (url, seen) = receiver().await;
    world.github.with(|github, now| {
        github.add_hook(Scope::Repository(world.repository), HookSpec::new(url, "s3cret"), now)
    });
    let job = world.add_job(JobSpec::new("build", &["self-hosted", "x64"]).lasting(50));
    let root = tempfile::tempdir().unwrap();
    assert_eq!(world.configure(root.path(), "roustabout-x64-1").await, 0);
    assert_eq!(World::run(root.path(), Environment::new()).await, 0);

    world.github.until(PATIENCE, |github| github.leftovers().is_empty()).await.unwrap();
    world.github.until(PATIENCE, |_| seen.lock().unwrap().len() == 4).await.unwrap();
    world.github.with(|github, _| {
        let job = github.job(job).unwrap();
        assert_eq!(job.conclusion, Some(Conclusion::Success));
        assert_eq!(job.runner.as_ref().unwrap().name, "roustabout-x64-1");
    });
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    let mut actions: Vec<&str> =
        seen.iter().filter_map(|(_, event)| event["action"].as_str()).collect();
    actions.sort_unstable();
    assert_eq!(actions, ["completed", "in_progress", "queued"]);
    assert!(seen.iter().all(|(headers, _)| headers.contains_key("x-hub-signature-256")));
    assert!(!root.path().join(".runner").exists(), "an ephemeral runner cleans up");
    world.github.shutdown().await;
}

#[tokio::test]
async fn an_idle_runner_ends_by_itself_when_its_registration_is_gone() {
    let world = World::new().await;
    let root = tempfile::tempdir().unwrap();
    assert_eq!(world.configure(root.path(), "r").await, 0);
    let path = root.path().to_owned();
    let running = tokio::spawn(async move { World::run(&path, Environment::new()).await });
    let scope = Scope::Repository(world.repository);
    let polled = |github: &simulated::github::GitHub| {
        github.runners_of(scope).any(|one| one.last_seen.is_some())
    };
    world.github.until(PATIENCE, polled).await.unwrap();
    let id = world.github.with(|github, _| github.runners_of(scope).next().unwrap().id);
    let url = format!("{}/repos/octocat/app/actions/runners/{id}", world.github.url());
    let answer = world.http.delete(url).bearer_auth("pat").send().await.unwrap();
    assert_eq!(answer.status(), 204);
    assert_eq!(running.await.unwrap(), 0);
    world.github.shutdown().await;
}

#[tokio::test]
async fn a_runner_is_removed_with_a_removal_token() {
    let world = World::new().await;
    let root = tempfile::tempdir().unwrap();
    assert_eq!(world.configure(root.path(), "r").await, 0);
    let token = world.mint("remove-token").await;
    let args = ["config", root.path().to_str().unwrap(), "remove", "--token", &token];
    let args = args.map(str::to_owned);
    assert_eq!(runner::command(args, &Environment::new()).await, 0);
    assert!(world.github.with(|github, _| github.leftovers()).is_empty());
    world.github.shutdown().await;
}

/// actions/runner#2811: the failure of a hook fails the job and keeps only ordinary steps away.
#[tokio::test]
async fn after_a_hook_that_fails_steps_with_always_are_run() {
    let world = World::new().await;
    for (script, conclusion, steps) in [
        ("exit 1", Conclusion::Failure, &["Clean up"][..]),
        ("test -s \"$GITHUB_EVENT_PATH\"", Conclusion::Success, &["Run", "Clean up"]),
    ] {
        let job = JobSpec::new("build", &["self-hosted", "x64"]).lasting(50).cleaning_up();
        let job = world.add_job(job);
        let root = tempfile::tempdir().unwrap();
        let hook = root.path().join("hook.sh");
        std::fs::write(&hook, script).unwrap();
        let hook = hook.to_str().unwrap().to_owned();
        let environment = Environment::from([("ACTIONS_RUNNER_HOOK_JOB_STARTED".to_owned(), hook)]);
        assert_eq!(world.configure(root.path(), "roustabout-x64-1").await, 0);
        assert_eq!(World::run(root.path(), environment).await, 0);
        world.github.with(|github, _| {
            let job = github.job(job).unwrap();
            assert_eq!(job.conclusion, Some(conclusion));
            assert_eq!(job.steps_begun, steps);
        });
    }
    world.github.shutdown().await;
}

#[tokio::test]
async fn an_outdated_runner_says_so_only_when_asked_to() {
    let world = World::new().await;
    world.github.with(|github, _| github.knobs.runner_deprecated = true);
    let root = tempfile::tempdir().unwrap();
    assert_eq!(world.configure(root.path(), "r").await, 0);
    assert_eq!(World::run(root.path(), Environment::new()).await, 0);
    let asking = Environment::from([(
        "ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE".to_owned(),
        "1".to_owned(),
    )]);
    assert_eq!(World::run(root.path(), asking).await, 7);
    world.github.shutdown().await;
}

#[tokio::test]
async fn a_taken_name_and_an_unknown_option_are_refused() {
    let world = World::new().await;
    let roots = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    assert_eq!(world.configure(roots[0].path(), "same").await, 0);
    assert_eq!(world.configure(roots[1].path(), "same").await, 1);
    let args = ["config", roots[1].path().to_str().unwrap(), "--nonsense"].map(str::to_owned);
    assert_eq!(runner::command(args, &Environment::new()).await, 1);
    world.github.shutdown().await;
}

#[tokio::test]
async fn an_answer_can_be_lost_after_it_acted() {
    let world = World::new().await;
    world.github.with(|github, _| {
        github.fault(FaultRule {
            method: "POST".to_owned(),
            path_contains: "registration-token".to_owned(),
            times: 1,
            kind: FaultKind::ActThenDrop,
        });
    });
    let url =
        format!("{}/repos/octocat/app/actions/runners/registration-token", world.github.url());
    let answer = world.http.post(&url).bearer_auth("pat").send().await;
    assert!(answer.is_err(), "the connection was cut");
    let minted = world.github.with(|github, _| github.events().len());
    assert_eq!(minted, 1, "and yet a token was minted");
    world.mint("registration-token").await;
    world.github.shutdown().await;
}

#[tokio::test]
async fn the_archive_is_downloaded_from_the_server() {
    let world = World::new().await;
    world.github.set_runner_binary("/opt/roustabout");
    let answer = world.http.get(world.github.runner_archive_url()).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/gzip");
    assert!(answer.bytes().await.unwrap().starts_with(&[0x1f, 0x8b]));
    world.github.shutdown().await;
}

#[tokio::test]
async fn a_burst_leaves_nothing_over() {
    const JOBS: usize = 40;
    let world = World::new().await;
    let (url, seen) = receiver().await;
    world.github.with(|github, now| {
        github.add_hook(Scope::Repository(world.repository), HookSpec::new(url, "s3cret"), now);
        let job = |n| JobSpec::new(format!("job {n}"), &["x64"]).lasting(10);
        let jobs = (0..JOBS).map(job).collect();
        github.add_run(world.repository, RunSpec::default(), jobs, now);
    });
    let mut runners = tokio::task::JoinSet::new();
    let mut roots = Vec::new();
    for n in 0..JOBS {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(world.configure(root.path(), &format!("roustabout-x64-{n}")).await, 0);
        let path = root.path().to_owned();
        runners.spawn(async move { World::run(&path, Environment::new()).await });
        roots.push(root);
    }
    assert!(runners.join_all().await.into_iter().all(|code| code == 0));
    world.github.until(PATIENCE, |github| github.leftovers().is_empty()).await.unwrap();
    let all = 1 + 3 * JOBS;
    world.github.until(PATIENCE, |_| seen.lock().unwrap().len() == all).await.unwrap();
    world.github.shutdown().await;
}
