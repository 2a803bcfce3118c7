//! A report over a million jobs of 90 days: how long it takes and what memory, while nothing else is asked.
//! What it costs the door is in `watchers`.

use std::path::Path;
use std::time::{Duration, Instant};

use roustabout::store::{Brief, Store};
use rusqlite::{Connection, params};

use crate::figures::{median, millis};
use crate::process::{peak, used};
use crate::support::daemon::Daemon;
use crate::support::webhook::NOBODY_THERE;

pub const JOBS: i64 = 1_000_000;
const REPOSITORIES: i64 = 167;
const PERIOD: i64 = 90 * 86_400_000;
const TIMES: usize = 5;

pub async fn measure() {
    let mut daemon = Daemon::prepare(NOBODY_THERE);
    let since = fill(&daemon.database());
    let size = std::fs::metadata(daemon.database()).unwrap().len() / 1_000_000;
    daemon.start().await;
    println!("\n## A report over {JOBS} jobs ({size} MB), medians of {TIMES}\n");
    println!("| | time | processor | most resident |\n|---|---|---|---|");
    println!("| before | | | {:.1} MB |", peak(daemon.process()));
    for by in ["repository", "actor", "branch"] {
        let path = format!("/api/v1/report?since={since}&by={by}");
        let (mut times, mut works) = (Vec::new(), Vec::new());
        for _ in 0..TIMES {
            let (started, before) = (Instant::now(), used(daemon.process()));
            let report = daemon.api(&path).await;
            times.push(started.elapsed().as_secs_f64());
            works.push((used(daemon.process()) - before).as_secs_f64());
            assert!(report["totals"]["jobs"].as_i64().unwrap() > JOBS - JOBS / 10);
        }
        let time = |values| millis(Duration::from_secs_f64(median(values)));
        let (took, work, resident) = (time(times), time(works), peak(daemon.process()));
        println!("| by {by} | {took} | {work} | {resident:.1} MB |");
    }
}

/// As the daemon would have left it: rows of ten steps, a third of them of bots. The day of the first.
pub fn fill(database: &Path) -> String {
    let first = jiff::Timestamp::now().as_millisecond() - PERIOD;
    drop(Store::open(database).unwrap());
    let mut store = Connection::open(database).unwrap();
    store.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -200000").unwrap();
    for piece in 0..JOBS / 10_000 {
        let rows = store.transaction().unwrap();
        for number in piece * 10_000..(piece + 1) * 10_000 {
            let (id, run) = (1_000_000 + number, 1_000_000 + number / 4);
            let created = first + number * (PERIOD / JOBS);
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
    jiff::Timestamp::from_millisecond(first).unwrap().strftime("%Y-%m-%d").to_string()
}
