//! How much later a runner is there because we are in between: a push of 40 jobs over 4
//! repositories, once with the daemon, once with a loop that asks for the same tokens and
//! dispatches the same runners as soon as the push has returned. Run by hand, on an idle machine:
//! `scripts/test --release --test gitea speed -- --ignored --nocapture`.

use crate::support;

use std::time::Duration;

use jiff::Timestamp;
use support::daemon::{Daemon, SECRET};
use support::gitea::{runs, workflow};
use support::gitea_world::{GiteaParts, LABELS, PARENT};
use support::until;

const REPOSITORIES: [&str; 4] = ["owner/one", "owner/two", "owner/three", "owner/four"];
const EACH: usize = 10;
/// One after the other, for each of both.
const ROUNDS: usize = 3;
const LIMIT: Duration = Duration::from_secs(300);

/// Runners that are let in: what Gitea's `configure` task ended with.
async fn last_registered(parts: &GiteaParts, since: Timestamp) -> Timestamp {
    let mut last = since;
    for allocation in parts.nomad_api("/v1/allocations?task_states=true").await.as_array().unwrap()
    {
        let configured = &allocation["TaskStates"]["configure"];
        assert_eq!(configured["Failed"], false, "{configured:#}");
        last = last.max(configured["FinishedAt"].as_str().unwrap().parse().unwrap());
    }
    last
}

/// Pushes a workflow of ten jobs to each repository; when that was done.
async fn push(parts: &GiteaParts, round: usize) -> Timestamp {
    let names: Vec<String> = (0..EACH).map(|n| format!("job{n}")).collect();
    let command = runs(&format!("echo {round}"));
    let jobs: Vec<(&str, &str)> = names.iter().map(|name| (&**name, &*command)).collect();
    for repository in REPOSITORIES {
        let file = ".gitea/workflows/ci.yml";
        parts.owner.push(repository, "main", file, &workflow(&jobs)).await.unwrap();
    }
    Timestamp::now()
}

/// Until every job has ended well and every runner is gone.
async fn until_over(parts: &GiteaParts, rounds: usize) {
    until("all jobs have ended", LIMIT, async || {
        let mut ended = 0;
        for repository in REPOSITORIES {
            let jobs = parts.owner.jobs(repository).await.unwrap();
            ended += jobs.iter().filter(|job| job["conclusion"] == "success").count();
        }
        ended == rounds * EACH * REPOSITORIES.len()
    })
    .await;
    until("no runner is alive", LIMIT, async || parts.alive().await == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes and needs an idle machine"]
async fn a_burst_of_forty_jobs_beside_a_plain_loop() {
    let parts = GiteaParts::start().await;
    let config = format!(
        "[github]\nkind = \"gitea\"\napi_url = \"{}\"\n\
         [[github.credentials]]\nowners = [\"*\"]\ntoken = \"{}\"\n\
         [nomad]\naddress = \"{}\"\n[runners]\nmax = 40\n\
         [[pools]]\nname = \"x64\"\nnomad_job = {PARENT:?}\nlabels = {LABELS:?}\n\
         repositories = [\"owner/*\"]\ndelivery = \"payload\"\n",
        parts.gitea.api_url(),
        secrecy::ExposeSecret::expose_secret(parts.gitea.token()),
        parts.agent.address().as_str().trim_end_matches('/'),
    );
    let mut daemon = Daemon::prepare(&config);
    for repository in REPOSITORIES {
        parts.owner.add_repository(repository, true).await.unwrap();
        let place = format!("repos/{repository}");
        parts.owner.add_hook(&place, &daemon.url(), SECRET).await.unwrap();
    }
    let (mut by_loop, mut by_daemon) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let pushed = push(&parts, 2 * round).await;
        for n in 0..EACH {
            for (which, repository) in REPOSITORIES.iter().enumerate() {
                let name = format!("roustabout-loop-{round}-{which}-{n}");
                parts.dispatch(PARENT, &format!("repos/{repository}"), &name).await;
            }
        }
        until_over(&parts, 2 * round + 1).await;
        by_loop.push(last_registered(&parts, pushed).await.duration_since(pushed).as_secs_f64());

        daemon.start().await;
        let pushed = push(&parts, 2 * round + 1).await;
        until_over(&parts, 2 * round + 2).await;
        by_daemon.push(last_registered(&parts, pushed).await.duration_since(pushed).as_secs_f64());
        daemon.terminate().await;
    }
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    println!("loop {by_loop:.2?} s, daemon {by_daemon:.2?} s");
    let (by_loop, by_daemon) = (median(&mut by_loop), median(&mut by_daemon));
    println!("medians: {by_loop:.2} s and {by_daemon:.2} s, ratio {:.2}", by_daemon / by_loop);
    parts.agent.stop().await;
}
