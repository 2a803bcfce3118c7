//! Reads rows back: what was unfinished at a start, one job for the engine, lists for people.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};
use serde::de::DeserializeOwned;

use super::{Delivery, OpenError, Unfinished, schema};
use crate::ledger::{Job, JobId, Repository, Runner};

pub struct Reader {
    connection: Connection,
}

/// A job with the reason why it waits, or got no runner.
#[derive(Debug, Clone)]
pub struct JobRow {
    pub job: Job,
    pub reason: Option<String>,
}

/// A runner as it was last written.
pub type RunnerRow = Runner;

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
            inbox: self.bodies::<Delivery>(
                "SELECT inbox FROM deliveries WHERE inbox IS NOT NULL ORDER BY received_at",
            )?,
        })
    }

    pub fn job(&self, id: JobId) -> rusqlite::Result<Option<Job>> {
        let mut statement =
            self.connection.prepare_cached("SELECT body FROM jobs WHERE id = ?1")?;
        let body: Option<String> =
            statement.query_row([id.0.cast_signed()], |row| row.get(0)).optional()?;
        body.map(|body| parse(&body)).transpose()
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
