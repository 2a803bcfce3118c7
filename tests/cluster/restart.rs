//! Whole restarts: with jobs in all states, after Nomad has forgotten what ended meanwhile, and
//! many times at random moments of a long evening.

use crate::support;

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use simulated::github::Status;
use support::proxied::Proxied;
use support::proxy::Fate;
use support::until;
use support::world::Plan;

const LIMIT: Duration = Duration::from_secs(60);

async fn until_status(world: &Proxied, job: u64, status: Status) {
    let so = world.github.until(LIMIT, |github| github.job(job).unwrap().status == status);
    so.await.unwrap();
}

/// Everything about the job happens while the daemon is down, and Nomad forgets it all.
#[tokio::test(flavor = "multi_thread")]
async fn nomad_forgot_while_we_were_down() {
    let mut world = Proxied::start().await;
    let jobs = world.queue(world.app, 1, 1_500);
    until_status(&world, jobs[0], Status::InProgress).await;
    world.daemon.kill_hard();
    until_status(&world, jobs[0], Status::Completed).await;
    let child = world.children().await.remove(0);
    forget(&world, &child.id).await;
    world.daemon.start().await;
    world.each_ran_once(&jobs, LIMIT).await;
    assert!(world.children().await.is_empty(), "nobody was hired for a job that has run");
    assert_eq!(world.nomad_proxy.count("PUT", "/dispatch"), 1);
}

/// As before, and the daemon does not even know that its dispatch was taken.
#[tokio::test(flavor = "multi_thread")]
async fn nomad_forgot_a_dispatch_whose_answer_was_never_seen() {
    let mut world = Proxied::start().await;
    let mut held = world.nomad_proxy.next("PUT", "/dispatch", Fate::HoldAnswer);
    let jobs = world.queue(world.app, 1, 200);
    held.arrived().await;
    world.daemon.kill_hard();
    until_status(&world, jobs[0], Status::Completed).await;
    let child = world.children().await.remove(0);
    forget(&world, &child.id).await;
    world.daemon.start().await;
    world.each_ran_once(&jobs, LIMIT).await;
    assert_eq!(world.nomad_proxy.count("PUT", "/dispatch"), 1, "its job names it: not sent again");
}

async fn forget(world: &Proxied, child: &str) {
    let id = child.replace('/', "%2F");
    until("Nomad has forgotten the child", LIMIT, async || {
        world.collect_garbage().await;
        let url = world.agent.address().join(&format!("/v1/job/{id}")).unwrap();
        reqwest::get(url).await.unwrap().status() == 404
    })
    .await;
}

/// Ten jobs: running, starting, waiting for room, cancelled, ended while down, queued later.
#[tokio::test(flavor = "multi_thread")]
async fn ten_jobs_in_all_states_survive_a_restart() {
    let plan = Plan { before_pools: "[runners]\nmax = 4".to_owned(), ..Plan::default() };
    let mut world = Proxied::planned(plan).await;
    let running = world.queue(world.app, 2, 6_000);
    for job in &running {
        until_status(&world, *job, Status::InProgress).await;
    }
    let ending = world.queue(world.lib, 1, 1_000);
    until_status(&world, ending[0], Status::InProgress).await;
    let waiting = world.queue(world.lib, 4, 300);
    until("one of them is being started", LIMIT, async || world.children().await.len() == 4).await;
    let cancelled = waiting[3];
    world.github.with(|github, now| github.cancel_job(cancelled, now));
    world.daemon.kill_hard();
    until_status(&world, ending[0], Status::Completed).await;
    world.daemon.start().await;
    let late = world.queue(world.app, 3, 300);
    let mut all = [running, ending, waiting, late].concat();
    all.retain(|job| *job != cancelled);
    world.each_ran_once(&all, LIMIT).await;
}

/// `kill -9` at random moments while jobs come in, in two repositories: ten times and forty
/// jobs, or with `ROUSTABOUT_LONG=1` fifty times and two hundred.
#[tokio::test(flavor = "multi_thread")]
async fn kills_at_random_moments_lose_and_double_nothing() {
    let seed = std::env::var("ROUSTABOUT_TEST_SEED").map_or_else(
        |_| StdRng::from_os_rng().random_range(0..1_000_000),
        |seed| seed.parse::<u64>().unwrap(),
    );
    println!("ROUSTABOUT_TEST_SEED={seed}");
    let rounds = if std::env::var_os("ROUSTABOUT_LONG").is_some() { 50 } else { 10 };
    let mut rng = StdRng::seed_from_u64(seed);
    let plan = Plan {
        before_pools: "[runners]\nmax = 8".to_owned(),
        github_keys: "sweep_interval = \"2s\"\nfull_sweep_interval = \"5s\"".to_owned(),
        ..Plan::default()
    };
    let mut world = Proxied::planned(plan).await;
    let mut jobs = Vec::new();
    for round in 0..rounds {
        let (here, there) = (world.app, world.lib);
        jobs.extend(world.queue(here, 2, rng.random_range(50..800)));
        jobs.extend(world.queue(there, 2, rng.random_range(50..800)));
        // In half of the rounds nothing is waited for: what is not delivered is the sweep's.
        let before = jobs.len();
        if round % 2 == 0 {
            until_known(&world, &jobs[before - 4..]).await;
        }
        // The moments are the point: whatever is under way just then.
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..1_200))).await;
        world.daemon.kill_hard();
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..300))).await;
        let started = Instant::now();
        world.daemon.start().await;
        assert!(started.elapsed() < Duration::from_secs(10), "round {round}: a slow start");
    }
    assert_eq!(jobs.len(), rounds * 4);
    world.each_ran_once(&jobs, Duration::from_secs(180)).await;
    println!("{} children for {} jobs", world.children().await.len(), jobs.len());
}

async fn until_known(world: &Proxied, jobs: &[u64]) {
    until("the webhooks are kept", LIMIT, async || {
        let mut known = true;
        for job in jobs {
            known &= world.daemon.job(*job).await["id"].is_u64();
        }
        known
    })
    .await;
}
