//! The day after: a database of every schema there has been, a backup made while the daemon runs,
//! and a second daemon beside an older database. `docs/upgrade.md` says the same to people.

use crate::support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use serde_json::Value;
use support::daemon::{Daemon, here, roustabout};
use support::until;
use support::webhook::{NOBODY_THERE, Request, door, queued};

/// The job and the pause that each fixture has.
const JOB: u64 = 41;
const WORDS: &str = "words of an earlier version";

/// The fixtures, oldest schema first, with their numbers.
fn fixtures() -> Vec<(i64, PathBuf)> {
    let file = |schema| (schema, here(&format!("tests/fixtures/schemas/{schema}.sql")));
    (1..).map(file).take_while(|(_, file)| file.exists()).collect()
}

fn schema_of(database: &Path) -> i64 {
    let database = Connection::open(database).unwrap();
    database.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
}

fn make(fixture: &Path, database: &Path) {
    let sql = std::fs::read_to_string(fixture).unwrap();
    Connection::open(database).unwrap().execute_batch(&sql).unwrap();
}

async fn assert_knows_the_old_rows(daemon: &Daemon, schema: i64) {
    let job = daemon.api(&format!("/api/v1/explain/{JOB}")).await.to_string();
    assert!(job.contains("octo/app") && job.contains(WORDS), "schema {schema}: {job}");
    let status: Value = daemon.api("/api/v1/status").await;
    assert_eq!(status["pools"][0]["paused"], true, "schema {schema}: {status}");
}

/// A new schema needs a fixture of its own: the migrations' tables, this job, its words, the pause.
#[test]
fn there_is_a_fixture_of_every_schema() {
    let numbers: Vec<i64> = fixtures().into_iter().map(|(schema, _)| schema).collect();
    let all: Vec<i64> = (1..=roustabout::store::VERSION).collect();
    assert_eq!(numbers, all, "add tests/fixtures/schemas/N.sql for each new schema");
}

#[tokio::test]
async fn a_database_of_every_schema_opens_with_its_rows_and_a_copy_is_kept() {
    for (schema, fixture) in fixtures() {
        let mut daemon = Daemon::prepare(NOBODY_THERE);
        make(&fixture, &daemon.database());
        daemon.start().await;
        assert_knows_the_old_rows(&daemon, schema).await;
        assert_eq!(schema_of(&daemon.database()), roustabout::store::VERSION);
        let copy = daemon.folder.path().join(format!("roustabout.db.schema-{schema}"));
        match schema == roustabout::store::VERSION {
            true => assert!(!copy.exists()),
            false => assert_eq!(schema_of(&copy), schema),
        }
    }
}

#[tokio::test]
async fn a_backup_made_while_it_runs_restores() {
    let mut daemon = door().await;
    assert_eq!(Request::job("one", &queued(77)).send(daemon.door).await.status, 202);
    until("the job is stored", Duration::from_secs(10), async || {
        daemon.job(77).await.to_string().contains("octo/app")
    })
    .await;
    let backup = daemon.folder.path().join("backup.db");
    Connection::open(daemon.database())
        .unwrap()
        .execute("VACUUM INTO ?1", [backup.to_string_lossy()])
        .unwrap();
    daemon.kill_hard();
    for end in ["", "-wal", "-shm"] {
        // The last two are there only sometimes.
        let _ = std::fs::remove_file(format!("{}{end}", daemon.database().display()));
    }
    std::fs::copy(&backup, daemon.database()).unwrap();
    daemon.start().await;
    let job = daemon.job(77).await.to_string();
    assert!(job.contains("octo/app"), "{job}");
}

#[test]
fn a_second_daemon_is_refused_before_an_older_database_is_migrated() {
    let daemon = Daemon::prepare(NOBODY_THERE);
    make(&here("tests/fixtures/schemas/1.sql"), &daemon.database());
    let first = std::fs::File::create(daemon.folder.path().join("roustabout.db.lock")).unwrap();
    first.lock().unwrap();
    let second = roustabout().args(["serve", "--config"]).arg(daemon.config()).output().unwrap();
    let said = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains("another roustabout uses the store"), "{said}");
    assert_eq!(schema_of(&daemon.database()), 1);
    assert!(!daemon.folder.path().join("roustabout.db.schema-1").exists());
}
