//! A runner's whole life on a real Nomad: never placed, never registered, ended unused, stopped
//! by hand, its node or its whole agent away, its parameterized job gone. And how its end is
//! noticed.

use crate::support;

use std::time::{Duration, Instant};

use local_parts::runner_job;
use roustabout::nomad::{ChildStub, JobStatus};
use serde_json::Value;
use simulated::github::{RunSpec, Status, Visibility};
use support::parents::{Parent, pool, register_script};
use support::proxied::Proxied;
use support::proxy::Fate;
use support::until;
use support::world::{LABELS, PARENT, Parts, Plan};

const LIMIT: Duration = Duration::from_secs(60);
const OFTEN: &str = "sweep_interval = \"1s\"\nfull_sweep_interval = \"5s\"";

/// The usual pool and `pools` besides.
fn with(pools: &str) -> Plan {
    Plan {
        pool: format!("delivery = \"payload\"\n{pools}"),
        github_keys: OFTEN.to_owned(),
        ..Plan::default()
    }
}

/// Nobody is let go before the first sweep after a start is through.
async fn until_swept(world: &Proxied) {
    until("everything has been seen once", LIMIT, async || {
        world.github_proxy.count("GET", "/actions/runners?") >= 2
    })
    .await;
    // What was answered last has yet to be folded, which nothing shows.
    tokio::time::sleep(Duration::from_millis(500)).await;
}

async fn until_logged(world: &Proxied, text: &str) {
    until(&format!("it is logged: {text}"), LIMIT, async || world.daemon.log().contains(text))
        .await;
}

async fn children_of(world: &Proxied, parent: &str) -> Vec<ChildStub> {
    let mut children = world.children().await;
    children.retain(|child| child.parent_id.as_deref() == Some(parent));
    children
}

/// How many of them are not stopped.
async fn standing(world: &Proxied, parent: &str) -> usize {
    let children = children_of(world, parent).await;
    children.iter().filter(|child| !child.stop && child.status != JobStatus::Dead).count()
}

async fn ever(world: &Proxied, parent: &str) -> usize {
    children_of(world, parent).await.len()
}

/// Pools whose runners are of no use, each in its own way; beside each other, for they mostly
/// wait.
#[tokio::test(flavor = "multi_thread")]
async fn runners_of_no_use() {
    let parts = Parts::start().await;
    for (id, payload) in [("full", "required"), ("own", "optional")] {
        let parent = Parent { id, payload, required: &["runner_name"], optional: &[] };
        parent.register(&parts.nomad).await;
    }
    for id in ["mute", "idle"] {
        register_script(&parts.nomad, id, "exec sleep 600").await;
    }
    register_script(&parts.nomad, "broken", "exit 3").await;
    register_script(&parts.nomad, "old", "exit 7").await;
    let payload = "delivery = \"payload\"\n";
    let pools = [
        ("full", format!("{payload}placement_timeout = \"2s\"")),
        ("own", "delivery = \"none\"\nplacement_timeout = \"2s\"".to_owned()),
        ("mute", format!("{payload}boot_timeout = \"2s\"")),
        ("idle", format!("{payload}idle_timeout = \"2s\"\nrelease_grace = \"1s\"")),
        ("broken", payload.to_owned()),
        ("old", payload.to_owned()),
    ];
    let pools: String = pools.iter().map(|(name, more)| pool(name, name, more)).collect();
    let mut world = Proxied::around(parts, with(&pools)).await;
    let third = world.add_repository("octo/third", Visibility::Private);
    world.daemon.start().await;
    until_swept(&world).await;
    let ((), (), (), repaired) = tokio::join!(
        never_placed(&world),
        never_registered(&world),
        idle_for_too_long(&world),
        ended_unused(&world, third),
    );
    world.each_ran_once(&repaired, LIMIT).await;
}

/// What waits with a token is withdrawn in time and hired again; what waits with none stays.
async fn never_placed(world: &Proxied) {
    let full = world.queue_for("full", world.app, 1);
    let own = world.queue_for("own", world.lib, 1);
    until("it is withdrawn and hired again, twice", LIMIT, async || ever(world, "full").await >= 3)
        .await;
    assert!(world.daemon.log().contains("not placed within placement_timeout"));
    until("one of them stands", LIMIT, async || standing(world, "full").await == 1).await;
    assert_eq!(ever(world, "own").await, 1, "nothing of it ends by waiting");
    assert_eq!(standing(world, "own").await, 1);
    world.cancel(&[full, own].concat());
}

async fn never_registered(world: &Proxied) {
    let jobs = world.queue_for("mute", world.app, 1);
    until_logged(world, "not registered within boot_timeout").await;
    let first = Instant::now();
    until("another is hired", LIMIT, async || ever(world, "mute").await == 2).await;
    assert!(first.elapsed() > Duration::from_secs(5), "not at once: {:?}", first.elapsed());
    assert_eq!(standing(world, "mute").await, 1);
    world.cancel(&jobs);
}

/// It is registered, and GitHub gives it nothing although a job waits: its registration is
/// deleted, and only then it is stopped.
async fn idle_for_too_long(world: &Proxied) {
    let jobs = world.queue_for("idle", world.app, 1);
    until("it is hired for", LIMIT, async || ever(world, "idle").await == 1).await;
    let child = world.child(&children_of(world, "idle").await[0].id).await;
    let id = world.register_by_hand(child["Meta"]["runner_name"].as_str().unwrap());
    until_logged(world, "no job within idle_timeout although jobs wait").await;
    until("its registration is deleted", LIMIT, async || {
        world.github.with(|github, _| github.runner(id).is_none())
    })
    .await;
    until("another is hired", LIMIT, async || ever(world, "idle").await == 2).await;
    until("the first is stopped", LIMIT, async || standing(world, "idle").await == 1).await;
    world.cancel(&jobs);
    // The second has ten minutes to boot.
    let second = children_of(world, "idle").await.into_iter().find(|child| !child.stop).unwrap();
    world.stop_by_hand(&second.id).await;
}

/// For three repositories in a row, those together once: the pool tries one at a time, says why, and goes
/// on when one works. The jobs that run then.
async fn ended_unused(world: &Proxied, third: u64) -> Vec<u64> {
    let mut broken = Vec::new();
    let mut old = Vec::new();
    for repository in [world.app, world.lib, third] {
        broken.extend(world.queue_for("broken", repository, 1));
        old.extend(world.queue_for("old", repository, 1));
    }
    until_logged(world, "circuit breaker of pool broken open").await;
    until_logged(world, "circuit breaker of pool old open").await;
    assert!(world.daemon.log().contains("exited with 3"));
    assert!(world.daemon.log().contains("its actions/runner is outdated"));
    world.cancel(&old);
    let archive = world.github.runner_archive_url().parse().unwrap();
    runner_job::register(&world.nomad, "broken", &archive).await.unwrap();
    // Somebody repaired it and does not want to wait for the next try.
    for job in &broken {
        let retry = world.daemon.at_private_door("POST", &format!("/api/v1/jobs/{job}/retry"));
        let answer = retry.json(&serde_json::json!({})).send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
    }
    until_logged(world, "circuit breaker of pool broken closed").await;
    broken
}

/// The node takes nothing: the children wait, and one is stopped by hand. Then it is back.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_takes_nothing_and_a_stop_by_hand() {
    let world = Proxied::planned(with("")).await;
    until_swept(&world).await;
    world.set_eligible(false).await;
    let jobs = world.queue(world.app, 3, 200);
    until("they are hired for", LIMIT, async || world.children().await.len() == 3).await;
    world.until_reason(jobs[0], "Nomad has no room for it").await;
    let by_hand = world.children().await.remove(0).id;
    world.stop_by_hand(&by_hand).await;
    until("another is hired", LIMIT, async || world.children().await.len() == 4).await;
    world.set_eligible(true).await;
    world.each_ran_once(&jobs, LIMIT).await;
    assert_eq!(world.children().await.len(), 4);
}

/// One at work is stopped by hand: its job ends with it, and nothing is left.
#[tokio::test(flavor = "multi_thread")]
async fn a_busy_one_stopped_by_hand() {
    let world = Proxied::planned(with("")).await;
    let jobs = world.queue(world.app, 1, 20_000);
    let so = world
        .github
        .until(LIMIT, |github| github.job(jobs[0]).unwrap().status == Status::InProgress);
    so.await.unwrap();
    let child = world.children().await.remove(0).id;
    world.stop_by_hand(&child).await;
    world.until_nothing_is_left(LIMIT).await;
    assert_eq!(world.children().await.len(), 1, "nobody is hired for a job that has run");
}

/// Older than `max_lifetime`: who is busy is told of and left alone, who is idle is let go.
#[tokio::test(flavor = "multi_thread")]
async fn a_life_that_lasts_too_long() {
    let parts = Parts::start().await;
    register_script(&parts.nomad, "idle", "exec sleep 600").await;
    let short = "delivery = \"payload\"\nmax_lifetime = \"4s\"\nrelease_grace = \"1s\"";
    let plan = Plan { pool: format!("{short}\n{}", pool("idle", "idle", short)), ..with("") };
    let mut world = Proxied::around(parts, plan).await;
    world.daemon.start().await;
    until_swept(&world).await;
    let busy = world.queue(world.lib, 1, 9_000);
    let waits = world.queue_for("idle", world.app, 1);
    until("it is hired for", LIMIT, async || ever(&world, "idle").await == 1).await;
    let child = world.child(&children_of(&world, "idle").await[0].id).await;
    let id = world.register_by_hand(child["Meta"]["runner_name"].as_str().unwrap());
    until_logged(&world, "older than max_lifetime, and not busy").await;
    until("its registration is deleted", LIMIT, async || {
        world.github.with(|github, _| github.runner(id).is_none())
    })
    .await;
    until("it is stopped, and another is hired", LIMIT, async || {
        ever(&world, "idle").await >= 2 && standing(&world, "idle").await <= 1
    })
    .await;
    world.cancel(&waits);
    until("nobody of it is left", LIMIT, async || {
        for child in children_of(&world, "idle").await.iter().filter(|child| !child.stop) {
            world.stop_by_hand(&child.id).await;
        }
        standing(&world, "idle").await == 0
    })
    .await;
    world.each_ran_once(&busy, LIMIT).await;
    assert!(world.daemon.log().contains("runner is older than max_lifetime"));
    assert_eq!(ever(&world, PARENT).await, 1, "who is at work is left alone");
}

/// `nomad alloc stop` of one at work: its job fails, Nomad starts the same child again, and that
/// one registers under the same name. It is let go, or has the next job: nothing is doubled.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_allocation_of_the_same_child() {
    let world = Proxied::planned(with("")).await;
    until_swept(&world).await;
    let jobs = world.queue(world.app, 1, 30_000);
    let so = world
        .github
        .until(LIMIT, |github| github.job(jobs[0]).unwrap().status == Status::InProgress);
    so.await.unwrap();
    let first = world.nomad_get("/v1/allocations").await[0]["ID"].as_str().unwrap().to_owned();
    world.nomad_send("PUT", &format!("/v1/allocation/{first}/stop"), Value::Null).await;
    until("there is a second allocation", LIMIT, async || {
        world.nomad_get("/v1/allocations").await.as_array().unwrap().len() == 2
    })
    .await;
    let next = world.queue(world.app, 1, 300);
    world.until_nothing_is_left(LIMIT).await;
    world.github.with(|github, _| {
        assert_ne!(github.job(jobs[0]).unwrap().conclusion.unwrap().as_str(), "success");
        assert_eq!(github.job(next[0]).unwrap().conclusion.unwrap().as_str(), "success");
    });
    assert!(world.children().await.len() <= 2, "nobody was hired for the job that has run");
}

/// The drain ends what waits on the node; after it everything is as before.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_drained_and_back_while_nomad_forgets() {
    let world = Proxied::planned(with("")).await;
    let jobs = [world.queue(world.app, 3, 1_500), world.queue(world.lib, 3, 300)].concat();
    until("some are placed", LIMIT, async || world.children().await.len() >= 3).await;
    let node = world.nomad_get("/v1/nodes").await[0]["ID"].as_str().unwrap().to_owned();
    let path = format!("/v1/node/{node}/drain");
    let drain = serde_json::json!({ "DrainSpec": { "Deadline": 30_000_000_000_u64 } });
    world.nomad_send("PUT", &path, drain).await;
    let late = world.queue(world.lib, 2, 200);
    // As often as that while the node drains, and then for as long after it.
    for _ in 0..10 {
        world.collect_garbage().await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let back = serde_json::json!({ "DrainSpec": null, "MarkEligible": true });
    world.nomad_send("PUT", &path, back).await;
    let over = Instant::now() + Duration::from_secs(3);
    while Instant::now() < over {
        world.collect_garbage().await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    world.each_ran_once(&[jobs, late].concat(), LIMIT).await;
}

/// `kill -9` of the agent while runners start, run and wait. It keeps its state.
#[tokio::test(flavor = "multi_thread")]
async fn the_agent_killed_under_load() {
    let parts = Parts::with(|options| options.persistent = true).await;
    let plan = Plan { before_pools: "[runners]\nmax = 5".to_owned(), ..with("") };
    let mut world = Proxied::around(parts, plan).await;
    world.daemon.start().await;
    let jobs = [world.queue(world.app, 5, 2_000), world.queue(world.lib, 5, 300)].concat();
    until("some are hired", LIMIT, async || world.children().await.len() >= 4).await;
    for pause in [0, 1_500] {
        // Moments at which runners start, run and wait; then the time that it is away.
        tokio::time::sleep(Duration::from_millis(pause)).await;
        world.agent.kill_hard();
        tokio::time::sleep(Duration::from_millis(700)).await;
        world.world.agent.restart().await.unwrap();
    }
    world.each_ran_once(&jobs, Duration::from_secs(90)).await;
}

/// The parameterized job is purged while a child of it runs, and registered again.
#[tokio::test(flavor = "multi_thread")]
async fn the_parameterized_job_purged_and_back() {
    let world = Proxied::planned(with("")).await;
    let running = world.queue(world.app, 1, 3_000);
    until("its child is there", LIMIT, async || world.children().await.len() == 1).await;
    world.nomad_send("DELETE", &format!("/v1/job/{PARENT}?purge=true"), Value::Null).await;
    let waiting = world.queue(world.lib, 2, 200);
    world.until_reason(waiting[0], "Nomad refused the dispatch").await;
    let archive = world.github.runner_archive_url().parse().unwrap();
    runner_job::register(&world.nomad, PARENT, &archive).await.unwrap();
    let back = Instant::now();
    world.each_ran_once(&[running, waiting].concat(), LIMIT).await;
    assert!(back.elapsed() < Duration::from_secs(20), "{:?}", back.elapsed());
    assert_eq!(world.children().await.len(), 3);
}

/// A robot's jobs came first and have their one; people elsewhere get the rest.
#[tokio::test(flavor = "multi_thread")]
async fn robots_wait_while_people_do() {
    let plan = Plan {
        pool: "delivery = \"payload\"\nrobots_per_repository = 1".to_owned(),
        before_pools: "[runners]\nmax = 3".to_owned(),
        ..Plan::default()
    };
    let mut world = Proxied::prepared(plan).await;
    world.nomad_proxy.set_away(true);
    world.daemon.start().await;
    let robot = RunSpec { actor: "dependabot[bot]".to_owned(), ..RunSpec::default() };
    let robots = world.queue_run(world.app, robot, &LABELS, 4, 1_000);
    world.until_delivered(4).await;
    let people = world.queue(world.lib, 4, 1_000);
    world.until_reason(robots[3], "Nomad is unreachable").await;
    world.until_reason(people[3], "Nomad is unreachable").await;
    until("there is a token for either repository", LIMIT, async || {
        world.github_proxy.count("POST", "registration-token") == 2
    })
    .await;
    world.nomad_proxy.set_away(false);
    until("the room is full", LIMIT, async || world.children().await.len() >= 3).await;
    let mut scopes = Vec::new();
    for runner in world.daemon.api("/api/v1/runners").await.as_array().unwrap() {
        scopes.push(runner["scope"].as_str().unwrap().to_owned());
    }
    let robots_have = scopes.iter().filter(|scope| *scope == "octo/app").count();
    assert_eq!(robots_have, 1, "{scopes:?}");
    world.each_ran_once(&[robots, people].concat(), LIMIT).await;
}

/// The one child there is, and its tasks to the last.
async fn has_ended(world: &Proxied) -> bool {
    let allocations = world.nomad_get("/v1/allocations").await;
    allocations.as_array().unwrap().iter().all(|one| one["ClientStatus"] == "complete")
        && standing(world, PARENT).await == 0
}

/// With the stream nobody waits at `/v1/jobs/statuses`, and an end is noticed at once. Where it
/// is denied, a blocking query does the same.
#[tokio::test(flavor = "multi_thread")]
async fn the_event_stream_and_without_it() {
    tokio::join!(an_end_is_noticed(false), an_end_is_noticed(true));
}

async fn an_end_is_noticed(denied: bool) {
    let mut world = Proxied::prepared(with("")).await;
    world.nomad_proxy.let_streams_pass();
    if denied {
        let _ = world.nomad_proxy.rule("GET", "/event/stream", 0, 1_000, Fate::Refuse(403));
    }
    world.daemon.start().await;
    let jobs = world.queue(world.app, 1, 6_000);
    let so = world
        .github
        .until(LIMIT, |github| github.job(jobs[0]).unwrap().status == Status::InProgress);
    so.await.unwrap();
    assert!(world.nomad_proxy.count("GET", "/event/stream") > 0);
    // Past the looks that its start has caused.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = world.nomad_proxy.count("POST", "/jobs/statuses");
    until("its child has ended", LIMIT, async || has_ended(&world).await).await;
    let ended = Instant::now();
    until("the daemon has seen it", LIMIT, async || {
        world.daemon.api("/api/v1/status").await["capacity"]["alive"] == 0
    })
    .await;
    assert!(ended.elapsed() < Duration::from_secs(1), "{:?}", ended.elapsed());
    let statuses = world.nomad_proxy.seen("POST", "/jobs/statuses");
    let waiting = statuses[before..].iter().filter(|one| one.path.contains("index=")).count();
    if denied {
        assert!(waiting + before > 0);
    } else {
        assert_eq!(waiting, 0, "{statuses:?}");
    }
    world.each_ran_once(&jobs, LIMIT).await;
}
