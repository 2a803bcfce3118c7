//! Whether people who look hold up the door: watchers of `/events` and reports over a million jobs, each beside
//! the same webhooks with nobody there, in turns, so that whatever else the machine does meets all of them.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::figures::{median, millis, percentile};
use crate::process::{peak, used};
use crate::report::{self, JOBS};
use crate::steady;
use crate::support::daemon::Daemon;
use crate::support::webhook::NOBODY_THERE;

const ROUNDS: usize = 3;
const SECONDS: u32 = 8;

/// Who is there while the webhooks come.
struct Company {
    name: &'static str,
    webhooks_a_second: u32,
    watchers: usize,
    /// Between one report and the next.
    pause: Option<Duration>,
}

impl Company {
    const fn new(
        name: &'static str,
        webhooks_a_second: u32,
        watchers: usize,
        pause: Option<u64>,
    ) -> Self {
        let pause = match pause {
            Some(seconds) => Some(Duration::from_secs(seconds)),
            None => None,
        };
        Self { name, webhooks_a_second, watchers, pause }
    }
}

const ALL: [Company; 7] = [
    Company::new("500/s, nobody looks", 500, 0, None),
    Company::new("500/s, ten watchers", 500, 10, None),
    Company::new("500/s, ten watchers, a report, 2 s later the next", 500, 10, Some(2)),
    Company::new("500/s, ten watchers, reports without a pause", 500, 10, Some(0)),
    Company::new("50/s, nobody looks", 50, 0, None),
    Company::new("50/s, ten watchers", 50, 10, None),
    Company::new("50/s, 200 watchers", 50, 200, None),
];

#[derive(Default)]
struct Seen {
    p50: Vec<f64>,
    p99: Vec<f64>,
    longest: Duration,
    /// Share of a core.
    processor: Vec<f64>,
    /// Seconds of each report.
    reports: Vec<f64>,
}

pub async fn measure() {
    let mut daemon = Daemon::prepare(NOBODY_THERE);
    let since = report::fill(&daemon.database());
    daemon.start().await;
    println!("\n## The door while people look, with a store of {JOBS} jobs\n");
    let mut all: Vec<Seen> = ALL.iter().map(|_| Seen::default()).collect();
    for _ in 0..ROUNDS {
        for (company, seen) in ALL.iter().zip(&mut all) {
            beside(&daemon, company, &since, seen).await;
        }
    }
    println!("| | p50 | p99 | longest | processor | a report takes |\n|---|---|---|---|---|---|");
    let time = |values: Vec<f64>| millis(Duration::from_secs_f64(median(values)));
    for (company, seen) in ALL.iter().zip(all) {
        let Company { name, .. } = company;
        let report = if seen.reports.is_empty() { String::new() } else { time(seen.reports) };
        let (p50, p99, longest) = (time(seen.p50), time(seen.p99), millis(seen.longest));
        let processor = 100.0 * median(seen.processor);
        println!("| {name} | {p50} | {p99} | {longest} | {processor:.0} % | {report} |");
    }
    println!("\nMost resident: {:.1} MB.", peak(daemon.process()));
    looks(&daemon).await;
}

async fn beside(daemon: &Daemon, company: &Company, since: &str, seen: &mut Seen) {
    let mut watchers = JoinSet::new();
    for _ in 0..company.watchers {
        watchers.spawn(watch(daemon.admin, daemon.token().unwrap()));
    }
    // Until all of them have their first bytes.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = (Instant::now(), used(daemon.process()));
    let reports = async {
        let Some(pause) = company.pause else { return Vec::new() };
        let (end, mut took) = (Instant::now() + Duration::from_secs(SECONDS.into()), Vec::new());
        while Instant::now() < end {
            let asked = Instant::now();
            daemon.api(&format!("/api/v1/report?since={since}")).await;
            took.push(asked.elapsed().as_secs_f64());
            tokio::time::sleep(pause).await;
        }
        took
    };
    let webhooks = steady::run(daemon.door, company.webhooks_a_second, SECONDS);
    let (mut late, reports) = tokio::join!(webhooks, reports);
    let busy = used(daemon.process()) - before.1;
    seen.processor.push(busy.as_secs_f64() / before.0.elapsed().as_secs_f64());
    seen.p50.push(percentile(&mut late, 0.5).as_secs_f64());
    seen.p99.push(percentile(&mut late, 0.99).as_secs_f64());
    seen.longest = seen.longest.max(late.into_iter().max().unwrap_or_default());
    seen.reports.extend(reports);
    assert_eq!(watchers.len(), company.watchers);
    assert!(watchers.try_join_next().is_none(), "a watcher was dropped");
}

/// What is asked of the loop that folds webhooks: while it answers, they wait.
async fn looks(daemon: &Daemon) {
    let status = daemon.api("/api/v1/status").await;
    println!("\nWith {} waiting jobs, medians of 21:\n", status["pools"][0]["waiting"]);
    println!("| | time | processor |\n|---|---|---|");
    for path in ["/readyz", "/api/v1/status", "/api/v1/status?lists=50", "/metrics"] {
        let (mut times, before) = (Vec::new(), used(daemon.process()));
        for _ in 0..21 {
            let asked = Instant::now();
            let answer = daemon.at_private_door("GET", path).send().await.unwrap();
            answer.bytes().await.unwrap();
            times.push(asked.elapsed().as_secs_f64());
        }
        let each = (used(daemon.process()) - before) / 21;
        println!(
            "| `{path}` | {} | {} |",
            millis(Duration::from_secs_f64(median(times))),
            millis(each)
        );
    }
}

/// Reads as a browser does, and throws it away.
async fn watch(port: u16, token: String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let head = format!(
        "GET /events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut read = vec![0; 64 * 1024];
    while stream.read(&mut read).await.is_ok_and(|count| count > 0) {}
}
