//! How much memory the daemon takes where everything comes together: 10 000 open jobs, a start with them,
//! 100 webhooks a second, and twenty senders of 25 MB without, or with another's, signature.

use std::sync::Arc;
use std::time::Duration;

use crate::load::{self, Connection};
use crate::process::peak;
use crate::steady;
use crate::support::daemon::Daemon;
use crate::support::webhook::{NOBODY_THERE, Raw, Request};
use crate::{figures, memory};

const OPEN: usize = 10_000;
const SENDERS: usize = 20;
const A_SECOND: u32 = 100;
const SECONDS: u32 = 10;

pub async fn measure() {
    let mut daemon = Daemon::prepare(NOBODY_THERE);
    daemon.start().await;
    println!("\n## Memory where everything comes together\n");
    println!("| | resident | at most |\n|---|---|---|");
    told("at rest", &daemon);
    load::post(daemon.door, load::queued_jobs(OPEN), 16).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    told(&format!("{OPEN} open jobs"), &daemon);
    assert_eq!(daemon.terminate().await, Some(0));
    let started = std::time::Instant::now();
    daemon.start().await;
    Connection::open(daemon.door).await.post(&load::queued_jobs(1)[0]).await;
    let took = figures::millis(started.elapsed());
    told(&format!("a start with them, its first webhook answered after {took}"), &daemon);
    let large = Request::hook("workflow_job", "large", vec![b' '; 25 * 1024 * 1024]);
    let wrong = Arc::new(large.clone().signed("another"));
    let none = Arc::new(large.without("x-hub-signature-256"));
    for (what, request) in [("without", none), ("with another's", wrong)] {
        let crowd: Vec<_> =
            (0..SENDERS).map(|_| tokio::spawn(send(daemon.door, request.clone()))).collect();
        let late = steady::run(daemon.door, A_SECOND, SECONDS).await;
        let mut answered = 0;
        for sender in crowd {
            sender.abort();
            answered += sender.await.unwrap_or_default();
        }
        let longest = figures::millis(late.into_iter().max().unwrap());
        told(
            &format!(
                "{SENDERS} senders of 25 MB {what} signature ({answered} ended), {A_SECOND} webhooks a \
                 second meanwhile (longest answer {longest})"
            ),
            &daemon,
        );
    }
}

/// Twice, as fast as it is taken.
async fn send(port: u16, request: Arc<Request>) -> usize {
    for _ in 0..2 {
        let mut raw = Raw::open(port).await;
        raw.say(request.head()).await;
        raw.say(&request.body).await;
        let status = raw.reply_or_end().await.map(|reply| reply.status);
        assert!(!matches!(status, Some(200..=299)), "{status:?}");
    }
    1
}

fn told(what: &str, daemon: &Daemon) {
    let resident = memory::megabytes(daemon.process());
    println!("| {what} | {resident:.1} MB | {:.1} MB |", peak(daemon.process()));
}
