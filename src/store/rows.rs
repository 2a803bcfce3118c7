//! How rows are written, each by one statement on the writer's connection. The tables are in `schema`.

use rusqlite::{Connection, OptionalExtension, params};

use super::{Brief, Delivery, Kept, Unparsed};
use crate::ledger::{Job, Record, Runner};

/// How many unreadable deliveries are kept (interface: "the last 100").
const UNPARSED_KEPT: i64 = 100;

fn json<T: serde::Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(unwritable)
}

fn unwritable(error: serde_json::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(error.into())
}

pub(super) fn keep(connection: &Connection, delivery: &Delivery) -> rusqlite::Result<Kept> {
    let inserted = connection
        .prepare_cached(
            "INSERT OR IGNORE INTO deliveries (id, received_at, inbox) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![delivery.id.as_str(), delivery.received_at.0, json(delivery)?])?;
    Ok(if inserted == 1 { Kept::New } else { Kept::Duplicate })
}

pub(super) fn keep_unparsed(connection: &Connection, unparsed: &Unparsed) -> rusqlite::Result<()> {
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

pub(super) fn record(connection: &Connection, record: &Record) -> rusqlite::Result<()> {
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
    let run_number = job.report.details.as_ref().and_then(|details| details.run.number);
    let brief = job.ended_at.map(|_| Brief::of(job).written().map_err(unwritable)).transpose()?;
    connection
        .prepare_cached(
            "INSERT INTO jobs (id, repository, run, status, pool, reason, received_at, ended_at, body,
             run_number, brief) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT DO UPDATE SET repository = ?2, run = ?3, status = ?4, pool = ?5, reason = ?6,
             received_at = ?7, ended_at = ?8, body = ?9, run_number = ?10, brief = ?11",
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
            json(job)?,
            run_number.map(u64::cast_signed),
            brief
        ])?;
    Ok(())
}

fn save_runner(connection: &Connection, runner: &Runner) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO runners (name, pool, phase, child, reason, hired_at, ended_at, body, cause,
             took) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT DO UPDATE SET pool = ?2, phase = ?3, child = ?4, reason = ?5, hired_at = ?6,
             ended_at = ?7, body = ?8, cause = ?9, took = ?10",
        )?
        .execute(params![
            runner.name.as_str(),
            runner.class.pool.as_str(),
            runner.phase(),
            runner.child,
            runner.reason,
            runner.hired_at.0,
            runner.ended_at.map(|at| at.0),
            json(runner)?,
            runner.cause.map(|job| job.0.cast_signed()),
            runner.took.as_ref().and_then(|took| took.job).map(|job| job.0.cast_signed())
        ])?;
    Ok(())
}

pub(super) fn cursor(connection: &Connection, name: &str) -> rusqlite::Result<Option<u64>> {
    let mut statement = connection.prepare_cached("SELECT value FROM cursors WHERE name = ?1")?;
    let value = statement.query_row([name], |row| row.get::<_, i64>(0)).optional()?;
    Ok(value.map(i64::cast_unsigned))
}

pub(super) fn set_cursor(connection: &Connection, name: &str, value: u64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO cursors (name, value) VALUES (?1, ?2)")?
        .execute(params![name, value.cast_signed()])
        .map(drop)
}

/// Changes the file, and nothing in it that anybody reads.
pub(super) fn probe(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("UPDATE probe SET count = count + 1")?.execute([]).map(drop)
}
