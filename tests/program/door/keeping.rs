//! What is acknowledged is kept, whatever happens; what cannot be kept is not acknowledged.

use std::process::Command;
use std::time::{Duration, Instant};

use super::rows;
use crate::support::daemon::{Daemon, signal};
use crate::support::until;
use crate::support::webhook::{NOBODY_THERE, Raw, Request, assert_accepts, door, queued};

const SOON: Duration = Duration::from_secs(10);

async fn until_known(daemon: &Daemon, job: u64) {
    until("the job is known", SOON, async || daemon.job(job).await["id"] == job).await;
}

#[tokio::test]
async fn a_webhook_that_was_accepted_survives_kill_9() {
    let mut daemon = door().await;
    for round in 0..5u64 {
        let jobs = || (0..20).map(move |n| 100 * round + n);
        let mut raw = Raw::open(daemon.door).await;
        raw.say(
            jobs()
                .flat_map(|n| Request::job(&n.to_string(), &queued(n)).bytes())
                .collect::<Vec<_>>(),
        )
        .await;
        for _ in jobs() {
            assert_eq!(raw.reply().await.outcome(), (202, "accepted".into()));
        }
        daemon.kill_hard();
        daemon.start().await;
        for job in jobs() {
            until_known(&daemon, job).await;
        }
        let again = Request::job(&(100 * round).to_string(), &queued(100 * round));
        assert_eq!(again.send(daemon.door).await.outcome(), (202, "duplicate".into()));
    }
}

#[tokio::test]
async fn while_the_store_is_locked_it_is_503_and_nothing_is_kept_or_acknowledged() {
    let daemon = door().await;
    let lock = rusqlite::Connection::open(daemon.database()).unwrap();
    lock.busy_timeout(SOON).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let good = Request::job("one", &queued(7));
    let unreadable = Request::hook("workflow_job", "two", "{");
    for request in [&good, &unreadable] {
        let started = Instant::now();
        let reply = request.send(daemon.door).await;
        assert_eq!(reply.outcome(), (503, "unavailable".into()));
        assert_eq!(reply.header("retry-after"), Some("10"));
        assert!(reply.reason().contains("locked"), "{}", reply.reason());
        assert!(started.elapsed() < Duration::from_secs(9), "GitHub waits 10 s");
    }
    lock.execute_batch("ROLLBACK").unwrap();
    assert_eq!(rows(&daemon, "deliveries") + rows(&daemon, "unparsed"), 0);
    assert_eq!(good.send(daemon.door).await.outcome(), (202, "accepted".into()));
    assert_eq!(unreadable.send(daemon.door).await.status, 400);
    until_known(&daemon, 7).await;
}

#[tokio::test]
async fn while_the_disk_is_full_it_is_503_and_nothing_is_kept_or_acknowledged() {
    let mut daemon = Daemon::prepare(NOBODY_THERE);
    // A full disk is an error to whoever writes, and no signal.
    daemon.start_by(&["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"]).await;
    let fill = |limit: &str| {
        let process = daemon.process().to_string();
        let done = Command::new("prlimit").args(["--pid", &process, limit]).status();
        assert!(done.expect("prlimit (util-linux) is needed").success());
    };
    assert_accepts(daemon.door).await;
    until_known(&daemon, 4242).await;
    let before = rows(&daemon, "deliveries");
    fill("--fsize=1:unlimited");
    for number in 0..3 {
        let reply = Request::job(&number.to_string(), &queued(number)).send(daemon.door).await;
        assert_eq!(reply.outcome(), (503, "unavailable".into()));
        assert_eq!(reply.header("retry-after"), Some("10"));
    }
    assert_eq!(rows(&daemon, "deliveries"), before);
    fill("--fsize=unlimited:unlimited");
    for number in 0..3 {
        let reply = Request::job(&number.to_string(), &queued(number)).send(daemon.door).await;
        assert_eq!(reply.outcome(), (202, "accepted".into()));
        until_known(&daemon, number).await;
    }
}

#[tokio::test]
async fn a_delivery_that_became_durable_is_worked_on_although_its_sender_hung_up() {
    let daemon = door().await;
    let lock = rusqlite::Connection::open(daemon.database()).unwrap();
    lock.busy_timeout(SOON).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut raw = Raw::open(daemon.door).await;
    raw.say(Request::job("one", &queued(7)).bytes()).await;
    // Long enough to be judged, shorter than the store waits for the lock.
    tokio::time::sleep(Duration::from_millis(200)).await;
    // Closed with a reset, which the door cannot overlook.
    raw.stream.set_zero_linger().unwrap();
    drop(raw);
    // For the reset to be noticed, which nothing shows.
    tokio::time::sleep(Duration::from_millis(100)).await;
    lock.execute_batch("ROLLBACK").unwrap();
    until_known(&daemon, 7).await;
}

#[tokio::test]
async fn after_sigterm_requests_on_open_connections_are_kept_and_told_to_close() {
    let mut daemon = door().await;
    let first = Request::job("one", &queued(1));
    let (mut idle, mut fresh, mut half_head, mut half_body) = (
        Raw::open(daemon.door).await,
        Raw::open(daemon.door).await,
        Raw::open(daemon.door).await,
        Raw::open(daemon.door).await,
    );
    idle.say(first.bytes()).await;
    assert_eq!(idle.reply().await.header("connection"), None);
    let (in_head, in_body) = (Request::job("two", &queued(2)), Request::job("three", &queued(3)));
    half_head.say(&in_head.bytes()[..50]).await;
    half_body.say(&in_body.bytes()[..in_body.head().len() + 10]).await;
    // So that all of that has arrived.
    assert_accepts(daemon.door).await;

    signal(daemon.process(), "TERM");
    until("nobody new is let in", SOON, async || {
        tokio::net::TcpStream::connect(("127.0.0.1", daemon.door)).await.is_err()
    })
    .await;
    half_head.say(&in_head.bytes()[50..]).await;
    half_body.say(&in_body.bytes()[in_body.head().len() + 10..]).await;
    idle.say(Request::job("four", &queued(4)).bytes()).await;
    fresh.say(Request::job("five", &queued(5)).bytes()).await;
    for raw in [&mut half_head, &mut half_body, &mut idle, &mut fresh] {
        let reply = raw.reply().await;
        assert_eq!(reply.outcome(), (202, "accepted".into()));
        assert_eq!(reply.header("connection"), Some("close"));
        raw.end().await;
    }
    assert_eq!(daemon.ended().await, Some(0));
    daemon.start().await;
    for job in 1..=5 {
        until_known(&daemon, job).await;
    }
}

#[tokio::test]
async fn after_sigterm_idle_connections_do_not_hold_up_the_end() {
    let mut daemon = door().await;
    let mut used = Raw::open(daemon.door).await;
    used.say(Request::job("one", &queued(1)).bytes()).await;
    assert_eq!(used.reply().await.status, 202);
    let _never_used = Raw::open(daemon.door).await;
    let started = Instant::now();
    assert_eq!(daemon.terminate().await, Some(0));
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
}

#[tokio::test]
async fn who_is_slow_is_cut_off_after_the_grace_and_the_exit_code_is_still_0() {
    let mut daemon = Daemon::prepare_with("shutdown_grace = \"1s\"", "", NOBODY_THERE);
    daemon.start().await;
    let mut slow = Raw::open(daemon.door).await;
    slow.say(Request::job("one", &queued(1)).head()).await;
    assert_accepts(daemon.door).await;
    let started = Instant::now();
    assert_eq!(daemon.terminate().await, Some(0));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(slow.reply_or_end().await.is_none());
}

#[tokio::test]
async fn a_log_that_nobody_reads_any_more_does_not_end_the_daemon() {
    let mut daemon = Daemon::prepare(NOBODY_THERE);
    // What it writes goes into a pipe whose reader is gone.
    daemon.start_by(&["bash", "-c", "exec 2> >(exec true); sleep 0.2; exec \"$@\"", "bash"]).await;
    for number in 0..20 {
        let reply = Request::job(&number.to_string(), &queued(number)).send(daemon.door).await;
        assert_eq!(reply.status, 202);
    }
    until_known(&daemon, 19).await;
    assert!(daemon.is_running());
}
