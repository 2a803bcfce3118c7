//! What survives, what is refused, what is forgotten.

use super::*;
use crate::ledger::{DeliveryId, JobId};

fn delivery(id: &str) -> Delivery {
    serde_json::from_value(serde_json::json!({
        "id": id, "received_at": 1000,
        "repository": {"id": 1, "full_name": "octo/app", "html_url": "https://github.com/octo/app",
            "visibility": "private", "forkable": false, "owned_by_organization": true},
        "report": {"id": 7, "run": 3, "run_attempt": 1, "name": "build", "workflow": null,
            "head_branch": null, "labels": ["linux"], "status": "queued", "conclusion": null,
            "runner_name": null, "url": null, "created_at": null}
    }))
    .unwrap()
}

fn folded(id: &str) -> Record {
    Record::Folded { delivery: DeliveryId::from(id), received_at: Time(1000) }
}

#[tokio::test]
async fn a_delivery_is_kept_once_and_stays_until_it_is_folded() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("a.db")).unwrap();
    assert_eq!(store.keep(delivery("one")).await.unwrap(), Kept::New);
    assert_eq!(store.keep(delivery("one")).await.unwrap(), Kept::Duplicate);
    let reader = store.reader().unwrap();
    assert_eq!(reader.unfinished().unwrap().inbox, [delivery("one")]);
    store.commit(Arc::new(vec![folded("one")])).await.unwrap();
    assert!(reader.unfinished().unwrap().inbox.is_empty());
    assert_eq!(store.keep(delivery("one")).await.unwrap(), Kept::Duplicate);
}

#[tokio::test]
async fn a_delivery_that_is_folded_at_once_is_kept_and_was_never_in_the_inbox() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("a.db")).unwrap();
    let reader = store.reader().unwrap();
    assert!(!reader.is_kept(&DeliveryId::from("one")).unwrap());
    store.commit(Arc::new(vec![folded("one")])).await.unwrap();
    assert!(reader.is_kept(&DeliveryId::from("one")).unwrap());
    assert!(reader.unfinished().unwrap().inbox.is_empty());
    assert_eq!(store.keep(delivery("one")).await.unwrap(), Kept::Duplicate);
}

#[tokio::test]
async fn one_reader_sees_between_hold_and_release_what_was_there_at_first() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("a.db")).unwrap();
    let reader = store.reader().unwrap();
    let one = DeliveryId::from("one");
    reader.hold();
    assert!(!reader.is_kept(&one).unwrap());
    store.commit(Arc::new(vec![folded("one")])).await.unwrap();
    assert!(!reader.is_kept(&one).unwrap());
    reader.release();
    assert!(reader.is_kept(&one).unwrap());
}

#[tokio::test]
async fn a_locked_database_refuses_and_keeps_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let store = Store::open(&path).unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(matches!(store.keep(delivery("one")).await, Err(StoreError::Write(_))));
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(store.keep(delivery("one")).await.unwrap(), Kept::New);
}

#[tokio::test]
async fn only_the_last_hundred_unreadable_deliveries_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let store = Store::open(&path).unwrap();
    for number in 0..120u32 {
        let unparsed = Unparsed {
            id: Some(DeliveryId(number.to_string())),
            received_at: Time(0),
            event: None,
            error: "no".into(),
            body: vec![1],
        };
        store.keep_unparsed(unparsed).await.unwrap();
    }
    let other = rusqlite::Connection::open(&path).unwrap();
    let count: i64 = other.query_row("SELECT COUNT(*) FROM unparsed", [], |r| r.get(0)).unwrap();
    assert_eq!(count, 100);
}

#[tokio::test]
async fn what_ended_long_ago_is_forgotten_and_what_is_open_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("a.db")).unwrap();
    let report = delivery("x").report.unwrap();
    let job = |id: u64, ended_at: Option<Time>| {
        let mut report = report.clone();
        report.id = JobId(id);
        Record::Job(Box::new(Job {
            report,
            repository: crate::ledger::RepositoryId(1),
            repository_name: "octo/app".into(),
            delivery: None,
            received_at: Time(0),
            pool: None,
            verdict: crate::ledger::Verdict::Serve,
            robot: false,
            fork: None,
            ended_attempt: None,
            cause_of: None,
            ended_at,
        }))
    };
    let rows = vec![job(1, Some(Time(10))), job(2, Some(Time(90))), job(3, None)];
    store.commit(Arc::new(rows)).await.unwrap();
    store.prune(Time(50)).await.unwrap();
    let reader = store.reader().unwrap();
    let left: Vec<u64> = reader.jobs(10).unwrap().iter().map(|job| job.id().0).collect();
    assert_eq!(left, [3, 2]);
    assert_eq!(reader.unfinished().unwrap().jobs.len(), 1);
}

#[test]
fn a_newer_schema_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    drop(Store::open(&path).unwrap());
    let other = rusqlite::Connection::open(&path).unwrap();
    other.pragma_update(None, "user_version", VERSION + 1).unwrap();
    assert!(matches!(Store::open(&path), Err(OpenError::Newer { .. })));
}

#[tokio::test]
async fn one_daemon_a_database_and_the_files_are_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let store = Store::open(&path).unwrap();
    store.probe().await.unwrap();
    let second = Store::open(&path).err().unwrap().to_string();
    assert!(second.contains("another roustabout uses the store"), "{second}");
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", file.file_name());
    }
    drop(store);
    // The writing thread ends by itself.
    while Store::open(&path).is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
