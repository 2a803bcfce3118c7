//! Reads rows back: what was unfinished at a start, one job for the engine, lists for people.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};
use serde::de::DeserializeOwned;

use super::{Delivery, OpenError, Unfinished, Unparsed, schema};
use crate::ledger::{DeliveryId, Job, JobId, PoolName, Repository, RunId, Runner, Time};

pub struct Reader {
    connection: Connection,
}

/// A line of a job's or runner's story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    pub at: Time,
    pub warn: bool,
    pub what: String,
    pub runner: Option<String>,
}

impl Reader {
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let connection = schema::open_to_read(path)
            .map_err(|source| OpenError::Open { path: path.to_owned(), source })?;
        Ok(Self { connection })
    }

    /// Everything that has not ended, in the order in which it came.
    pub fn unfinished(&self) -> rusqlite::Result<Unfinished> {
        Ok(Unfinished {
            repositories: self.bodies::<Repository>("SELECT body FROM repositories ORDER BY id")?,
            jobs: self.bodies::<Job>("SELECT body FROM jobs WHERE ended_at IS NULL ORDER BY id")?,
            runners: self.bodies::<Runner>(
                "SELECT body FROM runners WHERE ended_at IS NULL ORDER BY name",
            )?,
            pauses: self.pauses()?,
            inbox: self.bodies::<Delivery>(
                "SELECT inbox FROM deliveries WHERE inbox IS NOT NULL ORDER BY received_at",
            )?,
        })
    }

    /// Reads that follow until `release` see one and the same moment, and cost less than each
    /// for itself. Nothing may be awaited meanwhile, for the database's log cannot be taken over
    /// into the file as long as somebody reads.
    pub fn hold(&self) {
        // Without it each read stands for itself, which is right too.
        let _ = self.connection.prepare_cached("BEGIN").and_then(|mut begin| begin.execute([]));
    }

    pub fn release(&self) {
        let _ = self.connection.prepare_cached("COMMIT").and_then(|mut end| end.execute([]));
    }

    /// Whether a delivery was kept before, folded or not.
    pub fn is_kept(&self, id: &DeliveryId) -> rusqlite::Result<bool> {
        self.connection
            .prepare_cached("SELECT 1 FROM deliveries WHERE id = ?1")?
            .exists([id.as_str()])
    }

    pub fn job(&self, id: JobId) -> rusqlite::Result<Option<Job>> {
        let mut statement =
            self.connection.prepare_cached("SELECT body FROM jobs WHERE id = ?1")?;
        let body: Option<String> =
            statement.query_row([id.0.cast_signed()], |row| row.get(0)).optional()?;
        body.map(|body| parse(&body)).transpose()
    }

    /// All jobs of a run, of all its attempts.
    pub fn jobs_of_run(&self, run: RunId) -> rusqlite::Result<Vec<Job>> {
        let mut statement =
            self.connection.prepare_cached("SELECT body FROM jobs WHERE run = ?1 ORDER BY id")?;
        let rows = statement.query_map([run.0.cast_signed()], |row| row.get::<_, String>(0))?;
        rows.map(|body| parse(&body?)).collect()
    }

    /// Open jobs first, then the newest that ended; at most `limit`.
    pub fn jobs(&self, limit: usize) -> rusqlite::Result<Vec<Job>> {
        self.limited("SELECT body FROM jobs ORDER BY ended_at IS NOT NULL, id DESC LIMIT ?1", limit)
    }

    /// Runners that are not gone first, then the newest that ended; at most `limit`.
    pub fn runners(&self, limit: usize) -> rusqlite::Result<Vec<Runner>> {
        self.limited(
            "SELECT body FROM runners ORDER BY ended_at IS NOT NULL, hired_at DESC LIMIT ?1",
            limit,
        )
    }

    fn pauses(&self) -> rusqlite::Result<BTreeMap<PoolName, Option<Time>>> {
        let mut statement = self.connection.prepare("SELECT pool, until FROM pauses")?;
        let rows = statement.query_map([], |row| {
            Ok((PoolName(row.get(0)?), row.get::<_, Option<i64>>(1)?.map(Time)))
        })?;
        rows.collect()
    }

    /// What happened to a job and to these runners, oldest first.
    pub fn timeline(&self, job: JobId, runners: &[&str]) -> rusqlite::Result<Vec<Happening>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT sequence, at, warn, what, runner FROM timeline WHERE job = ?1
             UNION SELECT sequence, at, warn, what, runner FROM timeline
             WHERE runner IN (SELECT value FROM json_each(?2)) ORDER BY sequence",
        )?;
        let names = serde_json::to_string(runners)
            .map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))?;
        let rows = statement.query_map(params![job.0.cast_signed(), names], |row| {
            Ok(Happening {
                at: Time(row.get(1)?),
                warn: row.get(2)?,
                what: row.get(3)?,
                runner: row.get(4)?,
            })
        })?;
        rows.collect()
    }

    /// Runners that were hired for a job, or took it.
    pub fn runners_of(&self, job: JobId) -> rusqlite::Result<Vec<Runner>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT body FROM runners WHERE json_extract(body, '$.cause') = ?1
             OR json_extract(body, '$.took.job') = ?1 ORDER BY hired_at",
        )?;
        let rows = statement.query_map([job.0.cast_signed()], |row| row.get::<_, String>(0))?;
        rows.map(|body| parse(&body?)).collect()
    }

    /// A delivery that could not be read, the newest of that id.
    pub fn unparsed(&self, id: &str) -> rusqlite::Result<Option<Unparsed>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, received_at, event, error, body FROM unparsed WHERE id = ?1
             ORDER BY sequence DESC LIMIT 1",
        )?;
        let row = |row: &rusqlite::Row<'_>| {
            Ok(Unparsed {
                id: row.get::<_, Option<String>>(0)?.map(DeliveryId),
                received_at: Time(row.get(1)?),
                event: row.get(2)?,
                error: row.get(3)?,
                body: row.get(4)?,
            })
        };
        statement.query_row([id], row).optional()
    }

    fn limited<T: DeserializeOwned>(&self, sql: &str, limit: usize) -> rusqlite::Result<Vec<T>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![limit], |row| row.get::<_, String>(0))?;
        rows.map(|body| parse(&body?)).collect()
    }

    fn bodies<T: DeserializeOwned>(&self, sql: &str) -> rusqlite::Result<Vec<T>> {
        let mut statement = self.connection.prepare(sql)?;
        let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
        rows.map(|body| parse(&body?)).collect()
    }
}

fn parse<T: DeserializeOwned>(body: &str) -> rusqlite::Result<T> {
    serde_json::from_str(body).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, error.into())
    })
}
