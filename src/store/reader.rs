//! Reads rows: what was unfinished at a start, one job for the engine, lists for the API.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};
use serde::de::DeserializeOwned;

use super::brief::{Brief, WithoutSteps};
use super::{StoreError, Unfinished, Unparsed, schema};
use crate::ledger::state::Paused;
use crate::ledger::{
    Breaker, BreakerKey, DeliveryId, Happening, Job, JobId, PoolName, Repository, RunId, Runner,
    Time,
};

/// Lines of a story, and runners in it, that are read at most: the newest. A job that runners keep
/// dying for has many.
const LINES: usize = 1000;
const RUNNERS: usize = 50;
/// More jobs than a run has.
const JOBS_OF_RUN: usize = 1000;

// Each of these finds its rows by an index and, where it sorts, sorts few: `tests` holds them to it.
const OPEN_JOBS: &str = "SELECT body FROM jobs WHERE ended_at IS NULL ORDER BY id DESC LIMIT ?1";
const OPEN_JOB_IDS: &str = "SELECT id FROM jobs WHERE ended_at IS NULL ORDER BY id DESC LIMIT ?1";
const ENDED_JOBS: &str = "SELECT body FROM jobs WHERE ended_at IS NOT NULL
     ORDER BY ended_at DESC, id DESC LIMIT ?1";
const JOBS_OF_A_RUN: &str = "SELECT body FROM jobs WHERE run = ?1 ORDER BY id LIMIT ?2";
const JOBS_OF_A_NUMBER: &str = "SELECT body FROM jobs
     WHERE run_number = ?1
     AND repository = ?2 COLLATE NOCASE ORDER BY id LIMIT ?3";
const LAST_DELIVERY: &str = "SELECT MAX(received_at) FROM deliveries";
const ANY_REPOSITORY: &str = "SELECT body FROM repositories ORDER BY id DESC LIMIT 1";
const LATELY_SERVED: &str = "SELECT DISTINCT repository FROM jobs WHERE ended_at >= ?1";
const OPEN_RUNNERS: &str = "SELECT body FROM runners WHERE ended_at IS NULL
     ORDER BY hired_at DESC LIMIT ?1";
// The row itself is not looked up where the index has what is wanted of it.
const JOBS_ENDED_SINCE: &str =
    "SELECT ended_at, id, brief, CASE WHEN brief IS NULL THEN body END FROM jobs
     WHERE ended_at IS NOT NULL AND (ended_at, id) > (?1, ?2) ORDER BY ended_at, id LIMIT ?3";
const REPOSITORIES: &str = "SELECT body FROM repositories ORDER BY id";
const ENDED_RUNNERS: &str = "SELECT body FROM runners WHERE ended_at IS NOT NULL
     ORDER BY ended_at DESC LIMIT ?1";
const RUNNERS_OF_A_JOB: &str = "SELECT body FROM runners WHERE cause = ?1
     OR took = ?1 ORDER BY hired_at DESC LIMIT ?2";
const TIMELINE: &str = "SELECT sequence, at, warn, what, runner, event FROM timeline WHERE job = ?1
     UNION SELECT sequence, at, warn, what, runner, event FROM timeline
     WHERE runner IN (SELECT value FROM json_each(?2)) ORDER BY sequence DESC LIMIT ?3";

/// What people's questions come to, by name.
#[cfg(test)]
pub(super) const QUESTIONS: [(&str, &str); 11] = [
    ("JOBS_ENDED_SINCE", JOBS_ENDED_SINCE),
    ("LATELY_SERVED", LATELY_SERVED),
    ("OPEN_JOBS", OPEN_JOBS),
    ("OPEN_JOB_IDS", OPEN_JOB_IDS),
    ("ENDED_JOBS", ENDED_JOBS),
    ("JOBS_OF_A_RUN", JOBS_OF_A_RUN),
    ("JOBS_OF_A_NUMBER", JOBS_OF_A_NUMBER),
    ("OPEN_RUNNERS", OPEN_RUNNERS),
    ("ENDED_RUNNERS", ENDED_RUNNERS),
    ("RUNNERS_OF_A_JOB", RUNNERS_OF_A_JOB),
    ("TIMELINE", TIMELINE),
];

pub struct Reader {
    connection: Connection,
}

/// Where a job is among those that have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    ended: Time,
    id: i64,
}

impl Place {
    /// Before every job that ended then or later.
    pub fn before(ended: Time) -> Self {
        Self { ended, id: i64::MIN }
    }
}

/// An entry of a job's or runner's story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineRow {
    pub at: Time,
    pub warn: bool,
    pub what: Entry,
    pub runner: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    Happened(Box<Happening>),
    /// Written by a version that kept words, or by one that knows more events than this.
    Words(String),
}

impl Reader {
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = schema::open_to_read(path);
        let connection = connection.map_err(|error| StoreError::unopened(path, &error))?;
        Ok(Self { connection })
    }

    /// Everything that has not ended, in the order in which it came, but for the jobs.
    pub fn unfinished(&self) -> Result<Unfinished, StoreError> {
        Ok(Unfinished {
            repositories: self.repositories()?,
            runners: self
                .bodies("SELECT body FROM runners WHERE ended_at IS NULL ORDER BY name", &[])?,
            breakers: self.breakers().map_err(StoreError::unread)?,
            pauses: self.pauses().map_err(StoreError::unread)?,
            inbox: self.bodies(
                "SELECT inbox FROM deliveries WHERE inbox IS NOT NULL ORDER BY received_at",
                &[],
            )?,
        })
    }

    /// Hands out the jobs that have not ended, one by one, so that no more than one of them is in
    /// memory twice.
    pub fn each_open_job(&self, mut take: impl FnMut(Job)) -> Result<(), StoreError> {
        let sql = "SELECT body FROM jobs WHERE ended_at IS NULL ORDER BY id";
        let mut each = |job| {
            take(job);
            Ok(())
        };
        self.each_body(sql, &[], &mut each).map(drop)
    }

    /// One that cannot be read is left out, so that it blocks nothing.
    fn breakers(&self) -> rusqlite::Result<BTreeMap<BreakerKey, Breaker>> {
        let mut statement = self.connection.prepare("SELECT key, body FROM breakers")?;
        let rows = statement.query_map([], |row| {
            let (key, body) = (row.get::<_, String>(0)?, row.get::<_, String>(1)?);
            let key = serde_json::from_str(&key).ok();
            Ok(key.and_then(|key| Some((key, serde_json::from_str(&body).ok()?))))
        })?;
        rows.filter_map(Result::transpose).collect()
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

    /// What is read meanwhile is of one and the same moment, and costs less than each read for itself.
    /// Short, for the database's log cannot be taken over into the file as long as somebody reads.
    pub fn at_one_moment<T>(&self, read: impl FnOnce(&Self) -> T) -> T {
        // Without a transaction each read stands for itself, which is right too.
        let _ = self.connection.prepare_cached("BEGIN").and_then(|mut begin| begin.execute([]));
        let found = read(self);
        let _ = self.connection.prepare_cached("COMMIT").and_then(|mut end| end.execute([]));
        found
    }

    /// Whether a delivery was kept before, folded or not.
    pub fn is_kept(&self, id: &DeliveryId) -> Result<bool, StoreError> {
        let found = self
            .connection
            .prepare_cached("SELECT 1 FROM deliveries WHERE id = ?1")
            .and_then(|mut statement| statement.exists([id.as_str()]));
        found.map_err(StoreError::unread)
    }

    pub fn job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        let sql = "SELECT body FROM jobs WHERE id = ?1";
        Ok(self.bodies(sql, params![id.0.cast_signed()])?.pop())
    }

    /// Open jobs that no pool had.
    pub fn unserved(&self) -> Result<Vec<Job>, StoreError> {
        self.bodies(
            "SELECT body FROM jobs WHERE ended_at IS NULL AND pool IS NULL ORDER BY id",
            &[],
        )
    }

    /// All jobs of a run, of all its attempts.
    pub fn jobs_of_run(&self, run: RunId) -> Result<Vec<Job>, StoreError> {
        self.bodies(JOBS_OF_A_RUN, params![run.0.cast_signed(), limit_of(JOBS_OF_RUN)])
    }

    /// All jobs of a repository's runs with this number, as far as it was told. Each workflow counts
    /// for itself, so there may be several.
    pub fn jobs_of_number(&self, repository: &str, number: u64) -> Result<Vec<Job>, StoreError> {
        let asked = params![number.cast_signed(), repository, limit_of(JOBS_OF_RUN)];
        self.bodies(JOBS_OF_A_NUMBER, asked)
    }

    /// When the last delivery came that was signed and understood.
    pub fn last_delivery(&self) -> Result<Option<Time>, StoreError> {
        let last = self.connection.query_row(LAST_DELIVERY, [], |row| row.get::<_, Option<i64>>(0));
        last.map(|last| last.map(Time)).map_err(StoreError::unread)
    }

    /// One of those that were heard of: whose pages are where those of all are.
    pub fn any_repository(&self) -> Result<Option<Repository>, StoreError> {
        Ok(self.bodies(ANY_REPOSITORY, &[])?.pop())
    }

    /// Open jobs first, then the newest that ended; at most `limit`. One after the other, for all of
    /// them at once are much memory.
    pub fn each_job(
        &self,
        limit: usize,
        mut each: impl FnMut(Job) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.open_first(OPEN_JOBS, ENDED_JOBS, limit, &mut each)
    }

    /// The open ones of these.
    pub fn open_jobs(&self, limit: usize) -> Result<Vec<JobId>, StoreError> {
        let ids = || -> rusqlite::Result<Vec<JobId>> {
            let mut statement = self.connection.prepare_cached(OPEN_JOB_IDS)?;
            let ids = statement.query_map([limit_of(limit)], |row| row.get::<_, i64>(0))?;
            ids.map(|id| id.map(|id| JobId(id.cast_unsigned()))).collect()
        };
        ids().map_err(StoreError::unread)
    }

    /// The newest that have ended.
    pub fn ended_jobs(&self, limit: usize) -> Result<Vec<Job>, StoreError> {
        self.bodies(ENDED_JOBS, params![limit_of(limit)])
    }

    /// Runners that are not gone first, then the newest that ended; at most `limit`.
    pub fn each_runner(
        &self,
        limit: usize,
        mut each: impl FnMut(Runner) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.open_first(OPEN_RUNNERS, ENDED_RUNNERS, limit, &mut each)
    }

    /// The newest of the runners that are not gone.
    pub fn open_runners(&self, limit: usize) -> Result<Vec<Runner>, StoreError> {
        self.bodies(OPEN_RUNNERS, params![limit_of(limit)])
    }

    /// All that were heard of.
    pub fn repositories(&self) -> Result<Vec<Repository>, StoreError> {
        self.bodies(REPOSITORIES, &[])
    }

    /// What a report reads of at most so many jobs that ended after that place, in the order in which they
    /// ended. Where more may follow, the place of the last.
    pub fn each_ended_since(
        &self,
        after: Place,
        limit: usize,
        mut each: impl FnMut(&Brief<'_>),
    ) -> Result<Option<Place>, StoreError> {
        let mut cut = WithoutSteps::default();
        let mut statement =
            self.connection.prepare_cached(JOBS_ENDED_SINCE).map_err(StoreError::unread)?;
        let asked = params![after.ended.0, after.id, limit_of(limit)];
        let mut rows = statement.query(asked).map_err(StoreError::unread)?;
        let (mut count, mut last) = (0, after);
        while let Some(row) = rows.next().map_err(StoreError::unread)? {
            let place = || -> rusqlite::Result<Place> {
                Ok(Place { ended: Time(row.get(0)?), id: row.get(1)? })
            };
            last = place().map_err(StoreError::unread)?;
            let text = |column| row.get_ref(column).and_then(|text| Ok(text.as_str_or_null()?));
            let brief = match text(2).map_err(StoreError::unread)? {
                Some(brief) => Brief::read(brief),
                None => {
                    Brief::of_row(cut.of(text(3).map_err(StoreError::unread)?.unwrap_or_default()))
                }
            };
            each(&brief.map_err(StoreError::unread)?);
            count += 1;
        }
        Ok((count == limit).then_some(last))
    }

    fn pauses(&self) -> rusqlite::Result<BTreeMap<PoolName, Paused>> {
        let mut statement = self.connection.prepare("SELECT pool, until, since FROM pauses")?;
        let rows = statement.query_map([], |row| {
            let time = |column| row.get::<_, Option<i64>>(column).map(|at| at.map(Time));
            Ok((PoolName(row.get(0)?), Paused { until: time(1)?, since: time(2)? }))
        })?;
        rows.collect()
    }

    /// Repositories, by name, of which a job has ended since then.
    pub fn lately_served(&self, since: Time) -> Result<Vec<String>, StoreError> {
        let mut statement = self.connection.prepare_cached(LATELY_SERVED)?;
        let rows = statement.query_map([since.0], |row| row.get(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// What happened to a job and to these runners, oldest first.
    pub fn timeline(&self, job: JobId, runners: &[&str]) -> Result<Vec<TimelineRow>, StoreError> {
        let names = serde_json::to_string(runners).map_err(StoreError::unread)?;
        let newest = || -> rusqlite::Result<Vec<TimelineRow>> {
            let mut statement = self.connection.prepare_cached(TIMELINE)?;
            let asked = params![job.0.cast_signed(), names, limit_of(LINES)];
            let rows = statement.query_map(asked, |row| {
                let event: Option<String> = row.get(5)?;
                let known = event.as_deref().and_then(|event| serde_json::from_str(event).ok());
                Ok(TimelineRow {
                    at: Time(row.get(1)?),
                    warn: row.get(2)?,
                    what: match (known, event) {
                        (Some(happening), _) => Entry::Happened(Box::new(happening)),
                        (None, Some(event)) => Entry::Words(event),
                        (None, None) => Entry::Words(row.get(3)?),
                    },
                    runner: row.get(4)?,
                })
            })?;
            rows.collect()
        };
        let mut newest = newest().map_err(StoreError::unread)?;
        newest.reverse();
        Ok(newest)
    }

    /// Runners that were hired for a job, or took it, oldest first.
    pub fn runners_of(&self, job: JobId) -> Result<Vec<Runner>, StoreError> {
        let asked = params![job.0.cast_signed(), limit_of(RUNNERS)];
        let mut newest: Vec<Runner> = self.bodies(RUNNERS_OF_A_JOB, asked)?;
        newest.reverse();
        Ok(newest)
    }

    /// A delivery that could not be read, the newest of that id.
    pub fn unparsed(&self, id: &str) -> Result<Option<Unparsed>, StoreError> {
        let sql = "SELECT id, received_at, event, error, body FROM unparsed WHERE id = ?1
             ORDER BY sequence DESC LIMIT 1";
        let row = |row: &rusqlite::Row<'_>| {
            Ok(Unparsed {
                id: row.get::<_, Option<String>>(0)?.map(DeliveryId),
                received_at: Time(row.get(1)?),
                event: row.get(2)?,
                error: row.get(3)?,
                body: row.get(4)?,
            })
        };
        let found = self.connection.prepare_cached(sql);
        let found = found.and_then(|mut statement| statement.query_row([id], row).optional());
        found.map_err(StoreError::unread)
    }

    /// Rows that have not ended, and as many of the others as there is room for.
    fn open_first<T: DeserializeOwned>(
        &self,
        open: &str,
        ended: &str,
        limit: usize,
        each: &mut impl FnMut(T) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let found = self.each_body(open, params![limit_of(limit)], each)?;
        if found < limit {
            self.each_body(ended, params![limit_of(limit - found)], each)?;
        }
        Ok(())
    }

    fn bodies<T: DeserializeOwned>(
        &self,
        sql: &str,
        asked: &[&dyn rusqlite::ToSql],
    ) -> Result<Vec<T>, StoreError> {
        let mut all = Vec::new();
        self.each_body(sql, asked, &mut |one| {
            all.push(one);
            Ok(())
        })?;
        Ok(all)
    }

    /// How many there were.
    fn each_body<T: DeserializeOwned>(
        &self,
        sql: &str,
        asked: &[&dyn rusqlite::ToSql],
        each: &mut impl FnMut(T) -> Result<(), StoreError>,
    ) -> Result<usize, StoreError> {
        let mut statement = self.connection.prepare_cached(sql).map_err(StoreError::unread)?;
        let mut rows = statement.query(asked).map_err(StoreError::unread)?;
        let mut count = 0;
        while let Some(row) = rows.next().map_err(StoreError::unread)? {
            // Borrowed, for each body is read once.
            let body = row.get_ref(0).and_then(|body| Ok(body.as_str()?));
            let body = body.map_err(StoreError::unread)?;
            each(serde_json::from_str(body).map_err(StoreError::unread)?)?;
            count += 1;
        }
        Ok(count)
    }
}

fn limit_of(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
