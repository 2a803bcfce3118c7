//! A report over a million jobs of one month: how long it takes and what memory, while nothing else is asked
//! and while webhooks come.

use std::path::Path;
use std::time::{Duration, Instant};

use roustabout::store::{Brief, Store};
use rusqlite::{Connection, params};

use crate::figures::{millis, percentile};
use crate::process::{peak, used};
use crate::steady;
use crate::support::daemon::Daemon;
use crate::support::webhook::NOBODY_THERE;

const JOBS: i64 = 1_000_000;
const REPOSITORIES: i64 = 167;
const MONTH: i64 = 30 * 86_400_000;
const WEBHOOKS_A_SECOND: u32 = 500;
const SECONDS: u32 = 20;

pub async fn measure() {
    let mut daemon = Daemon::prepare(NOBODY_THERE);
    let first = jiff::Timestamp::now().as_millisecond() - MONTH;
    fill(&daemon.database(), first);
    let size = std::fs::metadata(daemon.database()).unwrap().len() / 1_000_000;
    daemon.start().await;
    println!("\n## A report over {JOBS} jobs ({size} MB)\n");
    println!("| | time | processor | most resident |\n|---|---|---|---|");
    println!("| before | | | {:.1} MB |", peak(daemon.process()));
    let since = jiff::Timestamp::from_millisecond(first).unwrap().strftime("%Y-%m-%d").to_string();
    for by in ["repository", "actor", "branch"] {
        let path = format!("/api/v1/report?since={since}&by={by}");
        let (started, before) = (Instant::now(), used(daemon.process()));
        let report = daemon.api(&path).await;
        let (took, work) = (started.elapsed(), used(daemon.process()) - before);
        assert!(report["totals"]["jobs"].as_i64().unwrap() > JOBS - JOBS / 10);
        let resident = peak(daemon.process());
        println!("| by {by} | {} | {} | {resident:.1} MB |", millis(took), millis(work));
    }
    let alone = steady::run(daemon.door, WEBHOOKS_A_SECOND, SECONDS).await;
    let reports = async {
        let end = Instant::now() + Duration::from_secs(SECONDS.into());
        while Instant::now() < end {
            daemon.api(&format!("/api/v1/report?since={since}")).await;
        }
    };
    let (beside, ()) = tokio::join!(steady::run(daemon.door, WEBHOOKS_A_SECOND, SECONDS), reports);
    println!("\n| the door, {WEBHOOKS_A_SECOND} webhooks a second | p50 | p99 |\n|---|---|---|");
    for (what, mut times) in [("no report", alone), ("a report is always running", beside)] {
        let (p50, p99) = (percentile(&mut times, 0.5), percentile(&mut times, 0.99));
        println!("| {what} | {} | {} |", millis(p50), millis(p99));
    }
}

/// As the daemon would have left it: rows of ten steps, a third of them of bots.
fn fill(database: &Path, first: i64) {
    drop(Store::open(database).unwrap());
    let mut store = Connection::open(database).unwrap();
    store.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -200000").unwrap();
    for piece in 0..JOBS / 10_000 {
        let rows = store.transaction().unwrap();
        for number in piece * 10_000..(piece + 1) * 10_000 {
            let (id, run) = (1_000_000 + number, 1_000_000 + number / 4);
            let created = first + number * (MONTH / JOBS);
            let (started, ended) = (created + 30_000, created + 330_000);
            let repository = run % REPOSITORIES;
            let robot = run % 3 == 0;
            let (actor, branch) = match robot {
                true => ("renovate[bot]".to_owned(), format!("renovate/lib-{}", run % 40)),
                false => (format!("person{}", run % 20), format!("branch-{}", run % 1000)),
            };
            let step = format!("[\"Run a step of the job\",\"success\",{started},{ended}]");
            let steps = [step.as_str(); 10].join(",");
            let body = format!(
                "{{\"report\":{{\"id\":{id},\"run\":{run},\"run_attempt\":1,\"name\":\"build (linux, x64)\",\
                 \"workflow\":\"CI\",\"head_branch\":\"{branch}\",\"labels\":[\"self-hosted\",\"linux\",\"x64\"],\
                 \"status\":\"completed\",\"conclusion\":\"success\",\"runner_name\":\"roustabout-x64-0123456789abc\",\
                 \"url\":\"https://github.com/octo/app{repository}/actions/runs/{run}/job/{id}\",\
                 \"created_at\":{created},\"actor\":\"{actor}\",\"details\":{{\"started_at\":{started},\
                 \"completed_at\":{ended},\"head_sha\":\"{run:0<40x}\",\"runner_id\":{id},\"runner_group_id\":1,\
                 \"runner_group\":\"Default\",\"steps\":[{steps}]}}}},\
                 \"repository\":{repository},\"repository_name\":\"octo/app{repository}\",\"delivery\":\"{id:036x}\",\
                 \"received_at\":{created},\"pool\":\"x64\",\"verdict\":{{\"verdict\":\"serve\"}},\
                 \"unconfirmed\":false,\"robot\":{robot},\"fork\":null,\"ended_attempt\":null,\"in_vain\":null,\
                 \"cause_of\":null,\"vanished\":false,\"ended_at\":{ended}}}"
            );
            let brief = Brief::of_row(&body).unwrap().written().unwrap();
            rows.prepare_cached(
                "INSERT INTO jobs (id, repository, run, status, pool, reason, received_at, ended_at, body, brief)
                 VALUES (?1, ?2, ?3, 'completed', 'x64', NULL, ?4, ?5, ?6, ?7)",
            )
            .unwrap()
            .execute(params![id, format!("octo/app{repository}"), run, created, ended, body, brief])
            .unwrap();
        }
        rows.commit().unwrap();
    }
    store.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    // Else the kernel writes it while the answers are timed.
    std::fs::File::open(database).unwrap().sync_all().unwrap();
}
