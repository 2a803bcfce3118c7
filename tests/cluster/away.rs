//! GitHub or Nomad away, at the start or later: the door keeps what comes, `/readyz` stays 200
//! and says who is away, work goes on when they are back, and nobody is asked in a storm. And
//! what must never be seen, whatever happened: a secret.

use crate::support;

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use roustabout::nomad::JobStatus;
use simulated::github::Status;
use support::daemon::{GITHUB_TOKEN, SECRET};
use support::parents::pool;
use support::proxied::Proxied;
use support::proxy::Fate;
use support::until;
use support::world::Plan;

const LIMIT: Duration = Duration::from_secs(60);

/// `/readyz` answers 200 and names who is away.
async fn until_degraded(world: &Proxied, who: &str) {
    let url = format!("http://127.0.0.1:{}/readyz", world.daemon.admin);
    until(&format!("{who} is told as degraded"), Duration::from_secs(40), async || {
        let answer = reqwest::get(&url).await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.text().await.unwrap().contains(&format!("\"{who}: "))
    })
    .await;
}

async fn until_ended(world: &Proxied, jobs: &[u64]) {
    until("the jobs have ended", LIMIT, async || {
        world.github.with(|github, _| {
            jobs.iter().all(|id| github.job(*id).unwrap().status == Status::Completed)
        })
    })
    .await;
}

async fn until_well(world: &Proxied) {
    until("nobody is degraded", Duration::from_secs(40), async || {
        world.daemon.api("/readyz").await["degraded"].as_array().unwrap().is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nomad_away_at_the_start() {
    let mut world = Proxied::prepared(Plan::default()).await;
    world.nomad_proxy.set_away(true);
    world.daemon.start().await;
    let jobs = world.queue(world.app, 2, 200);
    world.until_delivered(2).await;
    until_degraded(&world, "nomad").await;
    world.until_reason(jobs[0], "Nomad is unreachable").await;
    world.nomad_proxy.set_away(false);
    let back = Instant::now();
    world.each_ran_once(&jobs, LIMIT).await;
    assert!(back.elapsed() < Duration::from_secs(15), "{:?}", back.elapsed());
    until_well(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nomad_away_later() {
    let world = Proxied::start().await;
    let mut jobs = world.queue(world.app, 1, 2_000);
    until("its child is there", LIMIT, async || world.children().await.len() == 1).await;
    world.nomad_proxy.set_away(true);
    jobs.extend(world.queue(world.lib, 2, 200));
    until_degraded(&world, "nomad").await;
    world.until_reason(jobs[1], "Nomad is unreachable").await;
    until("its child has ended meanwhile", LIMIT, async || {
        world.children().await[0].status == JobStatus::Dead
    })
    .await;
    world.nomad_proxy.set_away(false);
    let back = Instant::now();
    world.each_ran_once(&jobs, LIMIT).await;
    assert!(back.elapsed() < Duration::from_secs(15), "{:?}", back.elapsed());
    assert_eq!(world.children().await.len(), 3);
    until_well(&world).await;
}

/// A region that cannot be reached and a namespace that shows nothing hold back their own pools;
/// the daemon is started twice, for a start has to list children everywhere.
#[tokio::test(flavor = "multi_thread")]
async fn one_place_of_nomad_in_trouble_holds_back_nobody_elsewhere() {
    let elsewhere = |name: &str, more: &str| pool(name, "absent", more);
    let far = elsewhere("far", "delivery = \"payload\"\nregion = \"nowhere\"");
    let shut = elsewhere("shut", "delivery = \"payload\"\nnamespace = \"shut\"");
    let usual = Plan::default();
    let plan = Plan { pool: usual.pool.clone() + &far + &shut, ..usual };
    let mut world = Proxied::prepared(plan).await;
    for method in ["GET", "POST"] {
        let refused = Fate::Refuse(403);
        world.nomad_proxy.rule(method, "namespace=shut", 0, 1_000_000, refused);
    }
    world.daemon.start().await;
    let far = world.queue_for("far", world.app, 1)[0];
    let shut = world.queue_for("shut", world.app, 1)[0];
    let mut jobs = world.queue(world.app, 2, 200);
    until_ended(&world, &jobs).await;
    until_degraded(&world, "nomad").await;
    world.until_reason(far, "Nomad in region \"nowhere\" is unreachable: ").await;
    world.until_reason(shut, "Nomad in namespace \"shut\" does not list our children: ").await;

    world.world.daemon.kill_hard();
    world.world.daemon.start().await;
    jobs = world.queue(world.lib, 2, 200);
    until_ended(&world, &jobs).await;
    until("no runner is left", LIMIT, async || {
        world.children().await.iter().all(|child| child.status == JobStatus::Dead)
            && world.daemon.api("/api/v1/status").await["capacity"]["alive"] == 0
    })
    .await;
    world.until_reason(far, "Nomad in region \"nowhere\" is unreachable: ").await;

    // Once it shows its children, what its own parameterized job says counts.
    world.nomad_proxy.clear_rules();
    world.until_reason(shut, "\"absent\" does not exist in namespace \"shut\"").await;
}

/// It answers, and only with errors.
#[tokio::test(flavor = "multi_thread")]
async fn a_nomad_without_a_leader_is_not_stormed() {
    let world = Proxied::start().await;
    let mut jobs = world.queue(world.app, 1, 1_000);
    until("its child is there", LIMIT, async || world.children().await.len() == 1).await;
    for method in ["GET", "PUT", "POST", "DELETE"] {
        world.nomad_proxy.rule(method, "/v1/", 0, 1_000_000, Fate::Refuse(500));
    }
    let before = world.nomad_proxy.total();
    jobs.extend(world.queue(world.app, 20, 100));
    // So many requests in so long is what is measured.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let asked = world.nomad_proxy.total() - before;
    assert!(asked <= 45, "{asked} requests within 6 s");
    world.nomad_proxy.clear_rules();
    world.each_ran_once(&jobs, LIMIT).await;
    assert_eq!(world.children().await.len(), 21);
}

#[tokio::test(flavor = "multi_thread")]
async fn github_away_at_the_start_and_later() {
    let mut world = Proxied::prepared(Plan::default()).await;
    world.github_proxy.set_away(true);
    world.daemon.start().await;
    let mut jobs = world.queue(world.app, 2, 200);
    world.until_delivered(2).await;
    until_degraded(&world, "github").await;
    world.until_reason(jobs[0], "no registration token").await;
    world.github_proxy.set_away(false);
    world.each_ran_once(&jobs, LIMIT).await;
    until_well(&world).await;

    // Answers with errors only: one request, and the next after its backoff.
    for method in ["GET", "POST"] {
        world.github_proxy.rule(method, "/", 0, 1_000_000, Fate::Refuse(503));
    }
    let before = world.github_proxy.total();
    jobs = world.queue(world.lib, 10, 100);
    world.until_reason(jobs[9], "no registration token").await;
    // Likewise.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let asked = world.github_proxy.total() - before;
    assert!(asked <= 3, "{asked} requests within some seconds");
    world.github_proxy.clear_rules();
    world.each_ran_once(&jobs, LIMIT).await;
}

/// SIGTERM with a dispatch under way: its answer is waited for and recorded.
#[tokio::test(flavor = "multi_thread")]
async fn an_orderly_end_waits_for_what_is_in_flight() {
    let mut world = Proxied::start().await;
    let mut held = world.nomad_proxy.next("PUT", "/dispatch", Fate::HoldAnswer);
    let jobs = world.queue(world.app, 1, 200);
    held.arrived().await;
    let admin = world.daemon.admin;
    let release = async {
        until("it accepts no new connections", LIMIT, async || {
            reqwest::get(format!("http://127.0.0.1:{admin}/healthz")).await.is_err()
        })
        .await;
        held.release();
    };
    let (code, ()) = tokio::join!(world.world.daemon.terminate(), release);
    assert_eq!(code, Some(0));
    world.daemon.start().await;
    world.each_ran_once(&jobs, LIMIT).await;
    // A listing of all that is ours names no parent.
    let asked = world.nomad_proxy.seen("GET", "DispatchIdempotencyToken");
    let look_ups = asked.iter().filter(|one| one.path.contains("prefix=")).count();
    assert_eq!(look_ups, 0, "nothing was in doubt");
}

/// The disk is gone, or somebody holds the database: it ends within its grace all the same.
#[tokio::test(flavor = "multi_thread")]
async fn an_end_does_not_wait_for_ever_for_a_store_that_cannot_be_written() {
    let plan = Plan { top: "shutdown_grace = \"2s\"".to_owned(), ..Plan::default() };
    let mut world = Proxied::planned(plan).await;
    let mut held = world.nomad_proxy.next("PUT", "/dispatch", Fate::HoldAnswer);
    let jobs = world.queue(world.app, 1, 200);
    held.arrived().await;
    let database = rusqlite::Connection::open(world.daemon.database()).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    held.release();
    // That the answer is in is to be seen nowhere but in the store, which is held.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let ended = Instant::now();
    assert_eq!(world.daemon.terminate().await, Some(0));
    assert!(ended.elapsed() < Duration::from_secs(20), "{:?}", ended.elapsed());
    database.execute_batch("ROLLBACK").unwrap();
    world.daemon.start().await;
    world.each_ran_once(&jobs, LIMIT).await;
    assert_eq!(world.children().await.len(), 1);
}

/// Through errors, a restart and refusals: no secret in log, database, or Nomad's lists.
#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_ever_seen() {
    let mut world = Proxied::start().await;
    let mut held = world.nomad_proxy.next("PUT", "/dispatch", Fate::Spoil(500));
    let mut jobs = world.queue(world.app, 2, 200);
    held.arrived().await;
    world.each_ran_once(&jobs, LIMIT).await;
    world.daemon.kill_hard();
    world.daemon.start().await;
    jobs.extend(world.queue(world.lib, 1, 200));
    world.each_ran_once(&jobs, LIMIT).await;

    let mut secrets = vec![GITHUB_TOKEN.to_owned(), SECRET.to_owned()];
    let mut lists = world.nomad_get("/v1/jobs?meta=true").await.to_string();
    for child in world.children().await {
        let child = world.child(&child.id).await;
        let payload = STANDARD.decode(child["Payload"].as_str().unwrap()).unwrap();
        // The jobspec takes the payload and nothing else of the kind.
        lists += &child["Meta"].to_string();
        secrets.push(String::from_utf8(payload).unwrap());
    }
    assert_eq!(secrets.len(), 5);
    assert_eq!(world.daemon.terminate().await, Some(0));
    let mut places = vec![("Nomad's lists".to_owned(), lists.into_bytes())];
    for file in std::fs::read_dir(world.daemon.folder.path()).unwrap() {
        let path = file.unwrap().path();
        if path != world.daemon.config() {
            places.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
    assert!(places.len() >= 4, "two logs, a database, and the lists");
    for (place, bytes) in &places {
        for secret in &secrets {
            let encoded = STANDARD.encode(secret);
            for text in [secret, &encoded] {
                let seen = bytes.windows(text.len()).any(|part| part == text.as_bytes());
                assert!(!seen, "{text} is in {place}");
            }
        }
    }
}
