//! What survives, what is refused, what is forgotten.

use super::*;
use crate::ledger::step::testing;
use crate::ledger::{DeliveryId, Job, JobId, ScopeKey};

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

fn job(id: u64, ended_at: Option<Time>) -> Record {
    let mut report = delivery("x").report.unwrap();
    report.id = JobId(id);
    Record::Job(Box::new(Job { ended_at, ..testing::job(report) }))
}

fn job_ids(reader: &Reader, limit: usize) -> Vec<u64> {
    let mut ids = Vec::new();
    let each = |job: Job| {
        ids.push(job.id().0);
        Ok(())
    };
    reader.each_job(limit, each).unwrap();
    ids
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

#[test]
fn what_is_read_together_is_of_one_moment() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    drop(Store::open(&path).unwrap());
    let (reader, other) = (Reader::open(&path).unwrap(), Connection::open(&path).unwrap());
    let one = DeliveryId::from("one");
    reader.at_one_moment(|reader| {
        assert!(!reader.is_kept(&one).unwrap());
        let sql = "INSERT INTO deliveries (id, received_at) VALUES ('one', 1)";
        other.execute(sql, []).unwrap();
        assert!(!reader.is_kept(&one).unwrap());
    });
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

/// What is written to a file without a name is gone with the process.
#[tokio::test]
async fn a_database_that_was_moved_or_replaced_takes_no_more_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let store = Store::open(&path).unwrap();
    store.commit(Arc::new(vec![job(1, None)])).await.unwrap();
    std::fs::rename(&path, folder.path().join("b.db")).unwrap();
    for _ in 0..2 {
        let written = store.commit(Arc::new(vec![job(2, None)])).await;
        let error = written.unwrap_err().to_string();
        assert!(error.contains("moved, deleted or replaced"), "{error}");
        assert!(store.probe().await.is_err(), "nor is it ready");
        // The second time another file is in its place.
        std::fs::write(&path, "").unwrap();
    }
    std::fs::rename(folder.path().join("b.db"), &path).unwrap();
    store.commit(Arc::new(vec![job(3, None)])).await.unwrap();
}

#[test]
fn a_database_is_locked_by_whatever_name_it_is_reached() {
    let folder = tempfile::tempdir().unwrap();
    let (path, link) = (folder.path().join("a.db"), folder.path().join("link.db"));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let _guard = runtime.enter();
    let _store = Store::open(&path).unwrap();
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(matches!(Store::lock(&link), Err(StoreError::InUse { .. })));
}

#[tokio::test]
async fn what_ended_long_ago_is_forgotten_and_what_is_open_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("a.db")).unwrap();
    let rows = vec![job(1, Some(Time(10))), job(2, Some(Time(90))), job(3, None)];
    store.commit(Arc::new(rows)).await.unwrap();
    assert_eq!(store.prune(Time(50)).await.unwrap(), Pruned::All);
    let reader = store.reader().unwrap();
    assert_eq!(job_ids(&reader, 10), [3, 2]);
    assert_eq!(reader.lately_served(Time(90)).unwrap(), ["octo/app"]);
    assert!(reader.lately_served(Time(91)).unwrap().is_empty(), "open is not ended");
    let mut open = Vec::new();
    reader.each_open_job(|job| open.push(job.id().0)).unwrap();
    assert_eq!(open, [3]);
}

#[tokio::test]
async fn what_is_counted_against_pools_and_scopes_is_read_back_until_it_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let store = Store::open(&path).unwrap();
    let reader = store.reader().unwrap();
    let scope = Some(ScopeKey::Organization("octo".into()));
    let key = |scope| BreakerKey { pool: "x64".into(), scope };
    let breaker = Breaker { ends: 3, counted_at: Some(Time(7)), ..Breaker::default() };
    let record = |scope, breaker: Option<Breaker>| Record::Breaker {
        key: key(scope),
        breaker: breaker.map(Box::new),
    };
    let both = [scope.clone(), None].map(|scope| record(scope, Some(breaker.clone())));
    store.commit(Arc::new(both.to_vec())).await.unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute("INSERT INTO breakers VALUES ('{}', 'what is this?')", []).unwrap();
    assert_eq!(reader.unfinished().unwrap().breakers.len(), 2, "the third says nothing");
    store.commit(Arc::new(vec![record(None, None)])).await.unwrap();
    let left = reader.unfinished().unwrap().breakers;
    assert_eq!(left, BTreeMap::from([(key(scope), breaker)]));
}

#[test]
fn a_newer_schema_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    drop(Store::open(&path).unwrap());
    let other = rusqlite::Connection::open(&path).unwrap();
    other.pragma_update(None, "user_version", VERSION + 1).unwrap();
    // The thread of the one before lets go of the lock when it has ended.
    let opened = loop {
        match Store::open(&path) {
            Err(StoreError::InUse { .. }) => std::thread::yield_now(),
            opened => break opened,
        }
    };
    assert!(matches!(opened, Err(StoreError::Newer { .. })));
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

#[tokio::test]
async fn pruning_goes_by_pieces_so_that_a_webhook_waits_for_one_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("a.db")).unwrap();
    let count = 4 * pruning::PIECE_ROWS;
    let rows = (0..count as u64).map(|id| job(id, Some(Time(10)))).collect();
    store.commit(Arc::new(rows)).await.unwrap();
    assert_eq!(store.prune(Time(50)).await.unwrap(), Pruned::Piece);
    let left = job_ids(&store.reader().unwrap(), count).len();
    assert!((count - pruning::PIECE_ROWS..count).contains(&left), "{left}");
    while store.prune(Time(50)).await.unwrap() == Pruned::Piece {}
    assert!(job_ids(&store.reader().unwrap(), count).is_empty());
}

#[tokio::test]
async fn what_happened_while_the_clock_was_ahead_is_forgotten_with_what_is_old() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let store = Store::open(&path).unwrap();
    const DAY: i64 = 86_400_000;
    store.clock_goes_on(Time(100 * DAY)).await.unwrap();
    let connection = rusqlite::Connection::open(&path).unwrap();
    for day in [1, 400, 2, 100, 3] {
        let row = "INSERT INTO timeline (at, warn, what) VALUES (?1, 0, '')";
        connection.execute(row, [day * DAY]).unwrap();
    }
    while store.prune(Time(50 * DAY)).await.unwrap() == Pruned::Piece {}
    let mut left = connection.prepare("SELECT at FROM timeline").unwrap();
    let left: Vec<i64> = left.query_map([], |row| row.get(0)).unwrap().flatten().collect();
    assert_eq!(left, [100 * DAY]);
}

#[test]
fn no_question_and_no_pruning_walks_through_what_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    drop(Store::open(&path).unwrap());
    let connection = rusqlite::Connection::open(&path).unwrap();
    // What sorts, sorts few: what is open, what one job has, and the last day once at a start.
    let sorts = ["OPEN_RUNNERS", "RUNNERS_OF_A_JOB", "TIMELINE", "LATELY_SERVED"];
    for (name, sql) in reader::QUESTIONS.into_iter().chain(pruning::PRUNING.map(|sql| (sql, sql))) {
        let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let mut steps = plan.raw_query();
        while let Some(step) = steps.next().unwrap() {
            let step: String = step.get("detail").unwrap();
            let walks = step.starts_with("SCAN ") && !step.contains("VIRTUAL TABLE");
            assert!(!walks || step.contains("_open") || step.contains("_ended"), "{name}: {step}");
            let sorts_many = step.contains("TEMP B-TREE") && !sorts.contains(&name);
            assert!(!sorts_many, "{name}: {step}");
        }
    }
}

/// What is written when a job ends, and what is read of one that ended before there was that.
#[tokio::test]
async fn a_report_reads_jobs_in_the_order_in_which_they_ended_with_and_without_a_brief() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let store = Store::open(&path).unwrap();
    let records =
        vec![job(7, Some(Time(30))), job(8, None), job(9, Some(Time(10))), job(6, Some(Time(30)))];
    store.commit(Arc::new(records)).await.unwrap();
    let reader = store.reader().unwrap();
    let all = || {
        let (mut found, mut after) = (Vec::new(), Some(Place::before(Time(10))));
        while let Some(place) = after {
            after = reader
                .each_ended_since(place, 2, |job| {
                    found.push((job.over_at(), job.written().unwrap()))
                })
                .unwrap();
        }
        found
    };
    let written = all();
    let ends: Vec<_> = written.iter().map(|(at, _)| at.unwrap().0).collect();
    assert_eq!(ends, [10, 30, 30]);
    let other = rusqlite::Connection::open(&path).unwrap();
    let having = "SELECT COUNT(*) FROM jobs WHERE brief IS NOT NULL";
    let count = |sql| other.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count(having), 3, "none of an open job");
    other.execute("UPDATE jobs SET brief = NULL", []).unwrap();
    assert_eq!(all(), written);
    // It is queued again, as a Gitea does.
    store.commit(Arc::new(vec![job(7, Some(Time(30)))])).await.unwrap();
    assert_eq!(count(having), 1);
    store.commit(Arc::new(vec![job(7, None)])).await.unwrap();
    assert_eq!((count(having), all().len()), (0, 2));
}

#[tokio::test]
async fn a_question_that_takes_long_holds_up_nobody_on_the_same_thread() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("a.db")).unwrap();
    let (go_on, wait) = std::sync::mpsc::channel();
    let question = store.readers();
    let question = question.read(move |reader| {
        wait.recv_timeout(std::time::Duration::from_secs(20)).expect("the others go on meanwhile");
        reader.open_jobs(1)
    });
    let others = async {
        tokio::task::yield_now().await;
        go_on.send(()).unwrap();
    };
    let (answer, ()) = tokio::join!(question, others);
    assert!(answer.unwrap().is_empty());
}

#[tokio::test]
async fn a_report_leaves_the_processor_to_the_webhooks() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("a.db")).unwrap();
    // Of a thread, on Linux.
    let nice = || rustix::process::getpriority_process(None).unwrap();
    let reading = store.readers().read(move |_| Ok(nice())).await.unwrap();
    let writing = store.write(move |_| Ok(nice())).await.unwrap();
    assert!(reading > writing || writing == 19, "{reading}, and of writes {writing}");
}

#[tokio::test]
async fn one_bad_operation_fails_none_of_its_neighbours() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("a.db")).unwrap();
    let (block, wait) = std::sync::mpsc::channel::<()>();
    // While the first is at work the others gather.
    let first = store.write(move |_| {
        // Where it is run again, with the others, nobody has to wait any more.
        let _ = wait.recv();
        Ok(())
    });
    let bad = store.write(|to| to.execute("INSERT INTO nowhere VALUES (1)", []));
    let good = store.keep(delivery("one"));
    let after = async move {
        tokio::task::yield_now().await;
        drop(block);
    };
    let (first, bad, good, ()) = tokio::join!(first, bad, good, after);
    first.unwrap();
    assert!(matches!(bad, Err(StoreError::Write(_))));
    assert_eq!(good.unwrap(), Kept::New);
    assert!(store.reader().unwrap().is_kept(&DeliveryId::from("one")).unwrap());
}

#[tokio::test]
async fn asking_whether_the_store_can_be_written_writes_nothing_where_it_was_written_just_now() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let store = Store::open(&path).unwrap();
    store.keep(delivery("one")).await.unwrap();
    let log = || std::fs::metadata(folder.path().join("a.db-wal")).unwrap().len();
    let before = log();
    for _ in 0..20 {
        store.probe().await.unwrap();
    }
    assert_eq!(log(), before);
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    store.probe().await.unwrap_err();
    other.execute_batch("ROLLBACK").unwrap();
    // What failed has to be seen to work.
    store.probe().await.unwrap();
    assert!(log() > before);
}

#[tokio::test]
async fn a_pause_says_since_when_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("a.db")).unwrap();
    let reader = store.reader().unwrap();
    let pool = PoolName::from("x64");
    let pause = |until| Record::Pause { pool: PoolName::from("x64"), until, at: Time(5) };
    store.commit(Arc::new(vec![pause(Some(Some(Time(9))))])).await.unwrap();
    let kept = Paused { until: Some(Time(9)), since: Some(Time(5)) };
    assert_eq!(reader.unfinished().unwrap().pauses.get(&pool), Some(&kept));
    store.commit(Arc::new(vec![pause(None)])).await.unwrap();
    assert!(reader.unfinished().unwrap().pauses.is_empty());
}
