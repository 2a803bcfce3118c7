//! The jobspec for Gitea's runners that we ship, on a Nomad with a real Gitea and its real
//! runner: that a job runs, what it can find of the registration token, and what is left.

use crate::support;

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use local_parts::runner_job;
use secrecy::ExposeSecret;
use support::gitea::{until_jobs, workflow};
use support::gitea_world::{GiteaParts, PARENT};
use support::parts::{self, Part};
use support::until;

const LIMIT: Duration = Duration::from_secs(60);

/// A pattern that finds the secret and not itself.
fn pattern(secret: &str) -> String {
    let (first, rest) = secret.split_at(1);
    format!("[{first}]{rest}")
}

/// Goes before the real runner: looks who has the token while it registers.
fn spy(parts: &GiteaParts, pattern: &str) -> String {
    format!(
        "#!/bin/sh\n\
         if [ \"$1\" = register ]; then\n\
         printf '%s\\n' \"$@\" >{arguments}\n\
         grep -la '{pattern}' /proc/[0-9]*/cmdline /proc/[0-9]*/environ >{found} 2>/dev/null\n\
         ls \"$NOMAD_TASK_DIR\" >>{found}\n\
         fi\n\
         exec {runner} \"$@\"\n",
        arguments = parts.outside("arguments").display(),
        found = parts.outside("found-by-spy").display(),
        runner = parts.gitea.runner_program().display(),
    )
}

/// Looks as a job would.
fn search(parts: &GiteaParts, pattern: &str) -> String {
    let found = parts.outside("found-by-job");
    let found = found.display();
    format!(
        "steps:\n\
         \x20 - run: |\n\
         \x20     echo it ran\n\
         \x20     env >{environment}\n\
         \x20     : >{found}\n\
         \x20     env | grep '{pattern}' >>{found} || true\n\
         \x20     grep -rla '{pattern}' \"$HOME/../..\" >>{found} 2>/dev/null || true\n\
         \x20     grep -la '{pattern}' /proc/[0-9]*/cmdline /proc/[0-9]*/environ >>{found} 2>/dev/null || true\n\
         \x20     ls \"$HOME/../../configure/local\" >>{found}",
        environment = parts.outside("environment").display(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_is_fetched_runs_one_job_that_finds_no_token_and_leaves_nothing() {
    if parts::is_missing(Part::Gitea, "the jobspec for a Gitea's runners") {
        return;
    }
    let parts = GiteaParts::start().await;
    let owner = &parts.owner;
    owner.add_repository("app", true).await.unwrap();
    let token = owner.registration_token("repos/owner/app").await.unwrap();
    let pattern = pattern(token.expose_secret());
    let (spy, search) = (spy(&parts, &pattern), search(&parts, &pattern));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/gitea-runner", listener.local_addr().unwrap());
    let app = Router::new().route("/gitea-runner", get(async move || spy));
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let program = url.parse().unwrap();
    runner_job::register_for_gitea_from(&parts.nomad, "fetched", &program).await.unwrap();

    let jobs = workflow(&[("search", &search)]);
    owner.push("owner/app", "main", ".gitea/workflows/ci.yml", &jobs).await.unwrap();
    let child = parts.dispatch("fetched", "repos/owner/app", "roustabout-x64-1").await;
    let allocation = parts.allocation_after(&child, LIMIT).await;
    let job = until_jobs(owner, "owner/app", 1, "completed", LIMIT).await.remove(0);
    let log = owner.log("owner/app", job["id"].as_u64().unwrap()).await.unwrap();
    assert_eq!(job["conclusion"], "success", "{log}");
    assert!(log.contains("it ran"), "{log}");
    assert_eq!(job["runner_name"], "roustabout-x64-1");
    assert_eq!(allocation["ClientStatus"], "complete", "{allocation:#}");
    assert!(parts.registered().await.is_empty());

    let read = |name: &str| std::fs::read_to_string(parts.outside(name)).unwrap();
    let arguments = read("arguments");
    let url = parts.gitea.url();
    let wanted = [
        "register",
        "--ephemeral",
        "--instance",
        &url,
        "--name",
        "roustabout-x64-1",
        "--labels",
        "self-hosted:host,linux:host,x64:host",
    ];
    assert_eq!(arguments.lines().collect::<Vec<_>>(), wanted);
    assert_eq!(read("found-by-spy"), "", "who had the token, and the prestart's files");
    assert_eq!(read("found-by-job"), "", "where a job finds the token, or the prestart's files");
    assert!(
        !std::path::Path::new("/tmp/roustabout-was-here").exists(),
        "a workflow's name was run"
    );
    let environment = read("environment");
    assert!(environment.contains("NOMAD_ALLOC_ID="), "{environment}");
    assert!(!environment.contains("NOMAD_META"), "{environment}");

    let id = allocation["ID"].as_str().unwrap();
    let left = parts.nomad_api(&format!("/v1/client/fs/ls/{id}?path=alloc")).await;
    let left: Vec<&str> =
        left.as_array().unwrap().iter().filter_map(|it| it["Name"].as_str()).collect();
    assert!(!left.contains(&"runner") && !left.contains(&"home"), "{left:?}");
    parts.agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_runner_says_so_to_gitea_and_one_that_cannot_register_fails() {
    if parts::is_missing(Part::Gitea, "the end of a Gitea's runner before its time") {
        return;
    }
    let parts = GiteaParts::start().await;
    let owner = &parts.owner;
    owner.add_organization("octo").await.unwrap();
    owner.add_repository("octo/app", true).await.unwrap();
    // The shell of the step is not the last that has to end.
    let then = format!("sleep 100; touch {}", parts.outside("after").display());
    let jobs = workflow(&[("long", &parts.says("long", &then))]);
    owner.push("octo/app", "main", ".gitea/workflows/ci.yml", &jobs).await.unwrap();
    let child = parts.dispatch(PARENT, "orgs/octo", "roustabout-x64-1").await;
    until("the job is at work", LIMIT, async || !parts.said().is_empty()).await;
    parts.nomad.stop(parts.nomad.place(), &child).await.unwrap();
    let allocation = parts.allocation_after(&child, LIMIT).await;
    assert_eq!(allocation["ClientStatus"], "complete");
    // Long before the zombie time-out.
    let ended = until_jobs(owner, "octo/app", 1, "completed", Duration::from_secs(15)).await;
    assert_eq!(ended[0]["conclusion"], "failure", "it was cut short");
    assert!(!parts.outside("after").exists(), "the step went on");
    assert!(parts.registered().await.is_empty());

    // A token that is no more.
    let taken = parts.dispatch_with(PARENT, "roustabout-x64-2", "nobody's".into()).await;
    let allocation = parts.allocation_after(&taken, LIMIT).await;
    assert_eq!(allocation["ClientStatus"], "failed");
    let evaluations = parts.nomad_api(&format!("/v1/job/{taken}/evaluations")).await;
    assert_eq!(evaluations.as_array().unwrap().len(), 1, "Nomad tries again: {evaluations:#}");
    parts.agent.stop().await;
}
