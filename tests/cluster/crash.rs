//! `kill -9` at the moments that matter, each held open by a proxy before Nomad or GitHub:
//! nothing is lost, nothing is doubled, nothing is left. What happens to whole restarts is in
//! `restart.rs`.

use crate::support;

use std::time::Duration;

use support::proxied::Proxied;
use support::proxy::Fate;
use support::until;

const LIMIT: Duration = Duration::from_secs(60);
const TOKEN: &str = "registration-token";

#[tokio::test(flavor = "multi_thread")]
async fn killed_right_after_the_2xx() {
    let mut world = Proxied::start().await;
    let held = world.github_proxy.next("POST", TOKEN, Fate::CutRequest);
    let jobs = world.queue(world.app, 1, 200);
    // The answer to the webhook is all that is waited for: whatever follows it may be cut off.
    world.until_delivered(1).await;
    world.daemon.kill_hard();
    drop(held);
    world.github_proxy.clear_rules();
    world.daemon.start().await;
    world.each_ran_once(&jobs, LIMIT).await;
    assert_eq!(world.children().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_the_2xx_and_the_dispatch() {
    let mut world = Proxied::start().await;
    let mut held = world.nomad_proxy.next("PUT", "/dispatch", Fate::HoldRequest);
    let jobs = world.queue(world.app, 1, 200);
    held.arrived().await;
    world.daemon.kill_hard();
    world.daemon.start().await;
    world.each_ran_once(&jobs, LIMIT).await;
    // The request of the life before arrives after all, much too late.
    held.release();
    until("the late request is through", LIMIT, async || {
        world.nomad_proxy.count("PUT", "/dispatch") == 2
    })
    .await;
    // That a second child comes of it could only be seen after a moment.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(world.children().await.len(), 1, "its token is known to Nomad");
    world.until_nothing_is_left(LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_nomad_acted_and_before_its_answer() {
    let mut world = Proxied::start().await;
    let mut held = world.nomad_proxy.next("PUT", "/dispatch", Fate::HoldAnswer);
    let jobs = world.queue(world.app, 1, 200);
    held.arrived().await;
    world.daemon.kill_hard();
    world.daemon.start().await;
    world.each_ran_once(&jobs, LIMIT).await;
    assert_eq!(world.children().await.len(), 1);
    assert_eq!(world.nomad_proxy.count("PUT", "/dispatch"), 1, "looked up, not sent again");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_as_the_answer_comes_in() {
    let mut world = Proxied::start().await;
    let mut held = world.nomad_proxy.next("PUT", "/dispatch", Fate::HoldAnswer);
    let jobs = world.queue(world.app, 1, 200);
    held.arrived().await;
    held.release();
    world.daemon.kill_hard();
    world.daemon.start().await;
    world.each_ran_once(&jobs, LIMIT).await;
    assert_eq!(world.children().await.len(), 1);
}

/// The answer is in, and cannot be recorded: somebody else holds the database.
#[tokio::test(flavor = "multi_thread")]
async fn killed_between_the_answer_and_its_recording() {
    let mut world = Proxied::start().await;
    let mut held = world.nomad_proxy.next("PUT", "/dispatch", Fate::HoldAnswer);
    let jobs = world.queue(world.app, 1, 2_000);
    held.arrived().await;
    let database = rusqlite::Connection::open(world.daemon.database()).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    held.release();
    // That the answer is in is to be seen nowhere but in the store, which is held.
    tokio::time::sleep(Duration::from_millis(500)).await;
    world.daemon.kill_hard();
    database.execute_batch("ROLLBACK").unwrap();
    drop(database);
    world.daemon.start().await;
    world.each_ran_once(&jobs, LIMIT).await;
    assert_eq!(world.children().await.len(), 1);
    assert_eq!(world.nomad_proxy.count("PUT", "/dispatch"), 1, "looked up, not sent again");
}

/// Nothing is sent that is not on disk as owed: while nothing can be written, nothing leaves.
#[tokio::test(flavor = "multi_thread")]
async fn killed_before_the_dispatch_is_recorded_as_owed() {
    let mut world = Proxied::start().await;
    let mut held = world.github_proxy.next("POST", TOKEN, Fate::HoldAnswer);
    let jobs = world.queue(world.app, 1, 200);
    held.arrived().await;
    let database = rusqlite::Connection::open(world.daemon.database()).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    held.release();
    // Long enough for what must not happen.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.nomad_proxy.count("PUT", "/dispatch"), 0);
    world.daemon.kill_hard();
    database.execute_batch("ROLLBACK").unwrap();
    drop(database);
    world.daemon.start().await;
    world.each_ran_once(&jobs, LIMIT).await;
    assert_eq!(world.children().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_the_token_is_minted() {
    for fate in [Fate::HoldRequest, Fate::HoldAnswer] {
        let mut world = Proxied::start().await;
        let mut held = world.github_proxy.next("POST", TOKEN, fate);
        let jobs = world.queue(world.app, 2, 200);
        held.arrived().await;
        world.daemon.kill_hard();
        world.daemon.start().await;
        world.each_ran_once(&jobs, LIMIT).await;
        assert_eq!(world.children().await.len(), 2);
    }
}

/// Without a crash: the answer is lost, or an error in the middle hides it.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_makes_no_second_runner() {
    for fate in [Fate::CutAnswer, Fate::Spoil(500), Fate::Spoil(503)] {
        let world = Proxied::start().await;
        let mut held = world.nomad_proxy.next("PUT", "/dispatch", fate);
        let jobs = world.queue(world.app, 1, 200);
        held.arrived().await;
        world.each_ran_once(&jobs, LIMIT).await;
        assert_eq!(world.children().await.len(), 1, "{fate:?}");
        assert_eq!(world.nomad_proxy.count("PUT", "/dispatch"), 1, "{fate:?}: looked up");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispatch_that_never_arrived_is_sent_again() {
    for fate in [Fate::CutRequest, Fate::Refuse(500), Fate::Refuse(503)] {
        let world = Proxied::start().await;
        let mut held = world.nomad_proxy.next("PUT", "/dispatch", fate);
        let jobs = world.queue(world.app, 1, 200);
        held.arrived().await;
        world.each_ran_once(&jobs, LIMIT).await;
        assert_eq!(world.children().await.len(), 1, "{fate:?}");
        assert_eq!(
            world.nomad_proxy.count("PUT", "/dispatch"),
            2,
            "{fate:?}: the same token again"
        );
    }
}

/// Every answer is an error: it is looked up, sent again, and not in a storm.
#[tokio::test(flavor = "multi_thread")]
async fn dispatches_that_never_arrive_are_no_storm() {
    let world = Proxied::start().await;
    let mut held = world.nomad_proxy.rule("PUT", "/dispatch", 0, 1_000, Fate::Refuse(500));
    world.queue(world.app, 2, 200);
    held.arrived().await;
    // So many requests in so long is what is measured.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let sent = world.nomad_proxy.count("PUT", "/dispatch");
    assert!(sent <= 6, "{sent} dispatches of two runners within 6 s");
    assert!(world.nomad_proxy.total() < 60, "{} requests", world.nomad_proxy.total());
}
