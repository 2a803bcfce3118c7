//! A store of 90 days at 5000 jobs a day, of which half is too old: how long a start takes, and how late
//! the door's and people's answers are while it is pruned and ten people look at lists and ask why.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use roustabout::ledger::{
    ClassKey, Job, PoolName, RepositoryId, Runner, RunnerName, RunnerState, ScopeKey, Time, Verdict,
};
use roustabout::store::Store;
use rusqlite::{Connection, params};
use tokio::time::timeout;

use crate::figures::{millis, percentile};
use crate::memory::megabytes;
use crate::steady;
use crate::support::daemon::Daemon;
use crate::support::webhook::NOBODY_THERE;

const DAYS: i64 = 90;
const A_DAY: i64 = 5000;
const DELIVERIES: i64 = 3;
const LINES: i64 = 8;
const FIRST: i64 = 1_000_000;
const WEBHOOKS_A_SECOND: u32 = 100;
const SECONDS: u32 = 30;
const PEOPLE: i64 = 10;

pub async fn measure() {
    let mut daemon = Daemon::prepare(&format!("retention = \"45d\"\n{NOBODY_THERE}"));
    let built = Instant::now();
    fill(&daemon.database());
    let size = std::fs::metadata(daemon.database()).unwrap().len() / 1_000_000;
    println!("\n## A store of {DAYS} days at {A_DAY} jobs a day ({size} MB), pruned to half\n");
    println!("(made in {} s)\n", built.elapsed().as_secs());
    let before = rows(&daemon.database());
    let started = Instant::now();
    daemon.start().await;
    println!("| | p50 | p99 | longest |\n|---|---|---|---|");
    println!("| start | | | {} |", millis(started.elapsed()));
    let people: Vec<_> = (0..PEOPLE).map(|person| look(&daemon, person)).collect();
    let time = Duration::from_secs(SECONDS.into());
    let watching = async {
        let mut all: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
        let mut tasks = tokio::task::JoinSet::new();
        people.into_iter().for_each(|person| drop(tasks.spawn(timeout(time + time, person))));
        while let Some(seen) = tasks.join_next().await {
            for (what, took) in seen.unwrap().unwrap() {
                all.entry(what).or_default().push(took);
            }
        }
        all
    };
    let webhooks = steady::run(daemon.door, WEBHOOKS_A_SECOND, SECONDS);
    let (webhooks, watched) = tokio::join!(webhooks, watching);
    line(&format!("the door, {WEBHOOKS_A_SECOND} webhooks a second"), webhooks);
    watched.into_iter().for_each(|(what, times)| line(what, times));
    let pruned = before - rows(&daemon.database());
    println!(
        "\n{pruned} rows were pruned meanwhile; resident {:.1} MB.",
        megabytes(daemon.process())
    );
}

fn line(what: &str, mut times: Vec<Duration>) {
    let longest = times.iter().max().copied().unwrap();
    let (p50, p99) = (percentile(&mut times, 0.5), percentile(&mut times, 0.99));
    println!("| {what} | {} | {} | {} |", millis(p50), millis(p99), millis(longest));
}

/// One person, who looks at one thing after the other.
fn look(
    daemon: &Daemon,
    person: i64,
) -> impl Future<Output = Vec<(&'static str, Duration)>> + Send + 'static {
    // A job that is not too old, of this person alone.
    let job = FIRST + DAYS * A_DAY - 1 - 100 * person;
    let explain = format!("/api/v1/explain/{job}");
    let paths = [
        ("GET /api/v1/jobs", "/api/v1/jobs"),
        ("GET /api/v1/runners", "/api/v1/runners"),
        ("GET /api/v1/status", "/api/v1/status"),
        ("GET /api/v1/explain/JOB", &explain),
        ("GET /readyz", "/readyz"),
    ];
    let requests = paths.map(|(what, path)| (what, daemon.at_private_door("GET", path)));
    async move {
        let mut times = Vec::new();
        let end = Instant::now() + Duration::from_secs(SECONDS.into());
        while Instant::now() < end {
            for (what, request) in &requests {
                let started = Instant::now();
                let answer = request.try_clone().unwrap().send().await.unwrap();
                assert_eq!(answer.status(), 200, "{what}");
                answer.bytes().await.unwrap();
                times.push((*what, started.elapsed()));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        times
    }
}

fn rows(database: &Path) -> i64 {
    let count = "SELECT (SELECT COUNT(*) FROM jobs) + (SELECT COUNT(*) FROM runners)
        + (SELECT COUNT(*) FROM timeline) + (SELECT COUNT(*) FROM deliveries)";
    Connection::open(database).unwrap().query_row(count, [], |row| row.get(0)).unwrap()
}

/// As the daemon would have left it.
fn fill(database: &Path) {
    drop(Store::open(database).unwrap());
    let mut store = Connection::open(database).unwrap();
    store.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -200000").unwrap();
    let now = jiff::Timestamp::now().as_millisecond();
    let runner_body = serde_json::to_string(&runner()).unwrap();
    let job_body = serde_json::to_string(&job()).unwrap();
    for day in 0..DAYS {
        let rows = store.transaction().unwrap();
        for at in 0..A_DAY {
            let number = day * A_DAY + at;
            let (id, run) = (FIRST + number, FIRST + number / 10);
            let ended = now - (DAYS - day) * 86_400_000 + at * 86_400_000 / A_DAY;
            // Names and ids of deliveries are random: they come in no order.
            let name =
                format!("rb-x64-{:016x}", (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let body = job_body.replace("4242424242", &id.to_string());
            rows.prepare_cached(
                "INSERT INTO jobs (id, repository, run, status, pool, reason, received_at, ended_at, body)
                 VALUES (?1, 'octo/app', ?2, 'completed', 'x64', NULL, ?3, ?3, ?4)",
            )
            .unwrap()
            .execute(params![id, run, ended, body])
            .unwrap();
            let body = runner_body.replace("4242424242", &id.to_string()).replace("NAME", &name);
            rows.prepare_cached(
                "INSERT INTO runners (name, pool, phase, child, reason, hired_at, ended_at, body, cause)
                 VALUES (?1, 'x64', 'gone', NULL, NULL, ?2, ?2, ?3, ?4)",
            )
            .unwrap()
            .execute(params![name, ended, body, id])
            .unwrap();
            for line in 0..LINES {
                rows.prepare_cached(
                    "INSERT INTO timeline (at, job, runner, warn, what) VALUES (?1, ?2, ?3, 0, ?4)",
                )
                .unwrap()
                .execute(params![
                    ended,
                    (line < 4).then_some(id),
                    (line >= 4).then_some(&name),
                    "something happened to the job or to its runner, told in a line"
                ])
                .unwrap();
            }
            for part in 0..DELIVERIES {
                let random =
                    ((number * DELIVERIES + part) as u64).wrapping_mul(0xD6E8_FEB8_6659_FD93);
                rows.prepare_cached("INSERT INTO deliveries (id, received_at) VALUES (?1, ?2)")
                    .unwrap()
                    .execute(params![format!("{random:016x}-8f5c-11ef-8f5c-0242ac"), ended])
                    .unwrap();
            }
        }
        rows.commit().unwrap();
    }
    // The clock has gone on for days, else nothing is pruned.
    for (cursor, at) in [("clock.since", now - 3 * 86_400_000), ("clock.last", now)] {
        store
            .execute("INSERT INTO cursors (name, value) VALUES (?1, ?2)", params![cursor, at])
            .unwrap();
    }
    store.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    // Else the kernel writes these gigabytes while the answers are timed.
    std::fs::File::open(database).unwrap().sync_all().unwrap();
}

fn job() -> Job {
    serde_json::from_value(serde_json::json!({
        "report": {"id": 4_242_424_242_u64, "run": 7, "run_attempt": 1, "name": "build (linux, x64)",
            "workflow": "CI", "head_branch": "main", "labels": ["self-hosted", "linux", "x64"],
            "status": "completed", "conclusion": "success", "runner_name": "rb-x64-0123456789abcdef",
            "url": "https://github.com/octo/app/actions/runs/7/job/4242424242",
            "created_at": 1_700_000_000_000_i64, "actor": "octocat"},
        "repository": RepositoryId(1), "repository_name": "octo/app", "delivery": null,
        "received_at": 1_700_000_000_000_i64, "pool": "x64", "verdict": Verdict::Serve,
        "robot": false, "fork": null, "ended_attempt": null, "cause_of": null,
        "ended_at": 1_700_000_000_000_i64
    }))
    .unwrap()
}

fn runner() -> Runner {
    let class = ClassKey {
        pool: PoolName("x64".to_owned()),
        scope: ScopeKey::Repository(RepositoryId(1)),
        run: None,
    };
    let name = RunnerName("NAME".to_owned());
    let mut runner = Runner::new(name, class, "octo/app".to_owned(), Time(1_700_000_000_000));
    runner.state = RunnerState::Gone;
    runner.cause = Some(roustabout::ledger::JobId(4_242_424_242));
    runner.ended_at = Some(Time(1_700_000_000_000));
    runner
}
