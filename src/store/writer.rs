//! The one thread that writes: takes whatever has gathered, makes it one transaction, and
//! answers everybody after the commit. An answer of `Ok` means: on disk.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OptionalExtension, TransactionBehavior, params};
use tokio::sync::{mpsc, oneshot};

use super::{Delivery, Kept, Pruned, StoreError, Unparsed};
use crate::ledger::{Job, Record, Runner, Time};

/// How much one commit takes at most, so that the first in it does not wait for ever.
const BATCH: usize = 512;
/// How many unreadable deliveries are kept (interface: "the last 100").
const UNPARSED_KEPT: i64 = 100;

/// One piece of pruning ends after this time; a webhook that comes meanwhile waits for no more than that.
const PIECE: Duration = Duration::from_millis(2);
/// Or after this many rows, for a commit of many pages takes its time too.
pub(super) const PIECE_ROWS: usize = 64;
/// Rows that one statement of it deletes at most: on a slow disk each is several reads.
const ROWS: usize = 16;

/// How often a question whether the store can be written is answered by writing, where nothing
/// else has been written meanwhile.
const PROVED_FOR: Duration = Duration::from_secs(60);

type Done<T> = oneshot::Sender<Result<T, StoreError>>;

pub(super) enum Op {
    Keep(Box<Delivery>, Done<Kept>),
    Unparsed(Box<Unparsed>, Done<()>),
    Commit(Arc<Vec<Record>>, Done<()>),
    Prune(Time, Done<Pruned>),
    Cursor(String, Done<Option<u64>>),
    SetCursor(String, u64, Done<()>),
    Probe(Done<()>),
}

/// What an operation came to, to be told once the commit is through.
pub(super) enum Outcome {
    Kept(Kept),
    Cursor(Option<u64>),
    Pruned(Pruned),
    Done,
}

pub(super) fn run(connection: Connection, mut queue: mpsc::UnboundedReceiver<Op>) {
    let mut writer = Writer::new(connection);
    while let Some(first) = queue.blocking_recv() {
        for (op, outcome) in writer.write(gathered(first, &mut queue)) {
            answer(op, outcome);
        }
    }
}

/// What is there already, so that one commit serves it all.
pub(super) fn gathered(first: Op, queue: &mut mpsc::UnboundedReceiver<Op>) -> Vec<Op> {
    let mut batch = vec![first];
    while batch.len() < BATCH
        && let Ok(op) = queue.try_recv()
    {
        batch.push(op);
    }
    batch
}

pub(super) struct Writer {
    connection: Connection,
    /// When the last commit went through, where none has failed since.
    written: Option<Instant>,
}

impl Writer {
    pub fn new(connection: Connection) -> Self {
        Self { connection, written: None }
    }

    /// Makes them one transaction, and says what each came to. Nobody is answered yet.
    pub fn write(&mut self, batch: Vec<Op>) -> Vec<(Op, Result<Outcome, StoreError>)> {
        let error = match write(&mut self.connection, &batch, &mut self.written) {
            Ok(outcomes) => return batch.into_iter().zip(outcomes.into_iter().map(Ok)).collect(),
            Err(error) => error,
        };
        // One bad operation must not fail its neighbours; a full disk fails them all.
        if batch.len() > 1 && !concerns_all(&error) {
            let alone = |op: Op| {
                let one = std::slice::from_ref(&op);
                let outcome = write(&mut self.connection, one, &mut self.written);
                let outcome = outcome.map(|mut one| one.pop().unwrap_or(Outcome::Done));
                (op, outcome.map_err(|e| StoreError::Write(Arc::new(e))))
            };
            return batch.into_iter().map(alone).collect();
        }
        let error = StoreError::Write(Arc::new(error));
        batch.into_iter().map(|op| (op, Err(error.clone()))).collect()
    }
}

/// Whether every other write would fail in the same way now.
fn concerns_all(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::DatabaseCorrupt
        )
    )
}

/// `written`: when the last commit went through, where none has failed since.
fn write(
    connection: &mut Connection,
    batch: &[Op],
    written: &mut Option<Instant>,
) -> rusqlite::Result<Vec<Outcome>> {
    let proved = written.take().filter(|at| at.elapsed() < PROVED_FOR);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let outcomes = batch.iter().map(|op| apply(&transaction, op)).collect::<Result<_, _>>()?;
    if proved.is_some() && batch.iter().all(|op| matches!(op, Op::Probe(_))) {
        // Nobody holds the database and the file can be changed; that there is room was seen just now.
        transaction.rollback()?;
        *written = proved;
    } else {
        transaction.commit()?;
        *written = Some(Instant::now());
    }
    Ok(outcomes)
}

fn apply(connection: &Connection, op: &Op) -> rusqlite::Result<Outcome> {
    match op {
        Op::Keep(delivery, _) => keep(connection, delivery).map(Outcome::Kept),
        Op::Unparsed(unparsed, _) => keep_unparsed(connection, unparsed).map(|()| Outcome::Done),
        Op::Commit(records, _) => {
            records.iter().try_for_each(|r| record(connection, r)).map(|()| Outcome::Done)
        }
        Op::Prune(before, _) => prune(connection, *before).map(Outcome::Pruned),
        Op::Cursor(name, _) => connection
            .prepare_cached("SELECT value FROM cursors WHERE name = ?1")?
            .query_row([name], |row| row.get::<_, i64>(0))
            .optional()
            .map(|value| Outcome::Cursor(value.map(i64::cast_unsigned))),
        Op::SetCursor(name, value, _) => connection
            .prepare_cached("INSERT OR REPLACE INTO cursors (name, value) VALUES (?1, ?2)")?
            .execute(params![name, value.cast_signed()])
            .map(|_| Outcome::Done),
        Op::Probe(_) => connection
            .prepare_cached("UPDATE probe SET count = count + 1")?
            .execute([])
            .map(|_| Outcome::Done),
    }
}

pub(super) fn answer(op: Op, outcome: Result<Outcome, StoreError>) {
    // Whoever asked may have gone meanwhile: then nobody is told, and nothing is lost.
    match op {
        Op::Keep(_, done) => {
            let _ = done.send(outcome.map(|outcome| match outcome {
                Outcome::Kept(kept) => kept,
                _ => Kept::New,
            }));
        }
        Op::Cursor(_, done) => {
            let _ = done.send(outcome.map(|outcome| match outcome {
                Outcome::Cursor(value) => value,
                _ => None,
            }));
        }
        Op::Prune(_, done) => {
            let _ = done.send(outcome.map(|outcome| match outcome {
                Outcome::Pruned(pruned) => pruned,
                _ => Pruned::All,
            }));
        }
        Op::Unparsed(_, done)
        | Op::Commit(_, done)
        | Op::SetCursor(_, _, done)
        | Op::Probe(done) => {
            let _ = done.send(outcome.map(|_| ()));
        }
    }
}

fn json<T: serde::Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))
}

fn keep(connection: &Connection, delivery: &Delivery) -> rusqlite::Result<Kept> {
    let inserted = connection
        .prepare_cached(
            "INSERT OR IGNORE INTO deliveries (id, received_at, inbox) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![delivery.id.as_str(), delivery.received_at.0, json(delivery)?])?;
    Ok(if inserted == 1 { Kept::New } else { Kept::Duplicate })
}

fn keep_unparsed(connection: &Connection, unparsed: &Unparsed) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO unparsed (id, received_at, event, error, body) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![
            unparsed.id.as_ref().map(|id| id.as_str()),
            unparsed.received_at.0,
            unparsed.event,
            unparsed.error,
            unparsed.body
        ])?;
    connection
        .prepare_cached(
            "DELETE FROM unparsed WHERE sequence <= (SELECT MAX(sequence) FROM unparsed) - ?1",
        )?
        .execute([UNPARSED_KEPT])?;
    Ok(())
}

fn record(connection: &Connection, record: &Record) -> rusqlite::Result<()> {
    match record {
        Record::Job(job) => save_job(connection, job),
        Record::Runner(runner) => save_runner(connection, runner),
        Record::Repository(repository) => connection
            .prepare_cached(
                "INSERT OR REPLACE INTO repositories (id, full_name, body) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![
                repository.id.0.cast_signed(),
                repository.full_name,
                json(repository)?
            ])
            .map(|_| ()),
        Record::Pause { pool, until: Some(until), at } => connection
            .prepare_cached(
                "INSERT OR REPLACE INTO pauses (pool, until, since) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![pool.as_str(), until.map(|at| at.0), at.0])
            .map(|_| ()),
        Record::Pause { pool, until: None, .. } => connection
            .prepare_cached("DELETE FROM pauses WHERE pool = ?1")?
            .execute([pool.as_str()])
            .map(|_| ()),
        Record::Breaker { key, breaker: Some(breaker) } => connection
            .prepare_cached("INSERT OR REPLACE INTO breakers (key, body) VALUES (?1, ?2)")?
            .execute(params![json(key)?, json(breaker)?])
            .map(|_| ()),
        Record::Breaker { key, breaker: None } => connection
            .prepare_cached("DELETE FROM breakers WHERE key = ?1")?
            .execute([json(key)?])
            .map(|_| ()),
        Record::Happened { at, happening } => connection
            .prepare_cached(
                "INSERT INTO timeline (at, job, runner, warn, what, event)
                 VALUES (?1, ?2, ?3, ?4, '', ?5)",
            )?
            .execute(params![
                at.0,
                happening.about.job.map(|job| job.0.cast_signed()),
                happening.about.runner.as_ref().map(|runner| runner.as_str()),
                happening.what.is_warning(),
                json(happening)?
            ])
            .map(|_| ()),
        Record::Folded { delivery, received_at } => connection
            .prepare_cached(
                "INSERT INTO deliveries (id, received_at) VALUES (?1, ?2)
                 ON CONFLICT DO UPDATE SET inbox = NULL",
            )?
            .execute(params![delivery.as_str(), received_at.0])
            .map(|_| ()),
    }
}

fn save_job(connection: &Connection, job: &Job) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO jobs (id, repository, run, status, pool, reason, received_at, ended_at, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT DO UPDATE SET repository = ?2, run = ?3, status = ?4, pool = ?5, reason = ?6,
             received_at = ?7, ended_at = ?8, body = ?9",
        )?
        .execute(params![
            job.id().0.cast_signed(),
            job.repository_name,
            job.report.run.0.cast_signed(),
            job.report.status.as_str(),
            job.pool.as_ref().map(|pool| pool.as_str()),
            job.verdict.reason(),
            job.received_at.0,
            job.ended_at.map(|at| at.0),
            json(job)?
        ])?;
    Ok(())
}

fn save_runner(connection: &Connection, runner: &Runner) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO runners (name, pool, phase, child, reason, hired_at, ended_at, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT DO UPDATE SET pool = ?2, phase = ?3, child = ?4, reason = ?5, hired_at = ?6,
             ended_at = ?7, body = ?8",
        )?
        .execute(params![
            runner.name.as_str(),
            runner.class.pool.as_str(),
            runner.phase(),
            runner.child,
            runner.reason,
            runner.hired_at.0,
            runner.ended_at.map(|at| at.0),
            json(runner)?
        ])?;
    Ok(())
}

/// What pruning deletes, each found by an index; `?2` is how many rows at most.
pub(super) const PRUNING: [&str; 4] = [
    "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE ended_at < ?1 LIMIT ?2)",
    "DELETE FROM runners WHERE name IN (SELECT name FROM runners WHERE ended_at < ?1 LIMIT ?2)",
    "DELETE FROM timeline WHERE sequence IN (SELECT sequence FROM timeline WHERE at < ?1 LIMIT ?2)",
    "DELETE FROM deliveries WHERE id IN
     (SELECT id FROM deliveries WHERE received_at < ?1 AND inbox IS NULL LIMIT ?2)",
];

/// One piece, for webhooks wait for this thread meanwhile.
fn prune(connection: &Connection, before: Time) -> rusqlite::Result<Pruned> {
    let (began, mut deleted) = (Instant::now(), 0);
    for sql in PRUNING {
        let mut statement = connection.prepare_cached(sql)?;
        loop {
            let rows = statement.execute(params![before.0, ROWS as i64])?;
            deleted += rows;
            if rows < ROWS {
                break;
            }
            if deleted >= PIECE_ROWS || began.elapsed() >= PIECE {
                return Ok(Pruned::Piece);
            }
        }
    }
    Ok(Pruned::All)
}
