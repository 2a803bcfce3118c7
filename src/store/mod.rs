//! Durable rows in SQLite: the inbox of deliveries, jobs, runners and what belongs to them.
//!
//! One thread writes (`writer`) and groups the pending writes into one commit; readers have their own
//! connections (`reader`; `readers` for API requests, `async_reader` for the loop that folds).
//! Nothing is decided here; `schema` has the tables. No type of SQLite leaves this folder.

mod async_reader;
mod brief;
mod clock_seen;
mod error;
mod examine;
mod fields;
mod in_step;
mod inbox;
mod lock;
mod pruning;
mod reader;
mod readers;
mod rows;
mod schema;
mod writer;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use rusqlite::Connection;
use tokio::sync::mpsc;

pub use async_reader::AsyncReader;
pub use brief::Brief;
pub use error::StoreError;
pub use examine::{Examined, examine};
pub use in_step::Commits;
pub use inbox::{Delivery, Unparsed};
pub use lock::Locked;
pub use reader::{Entry, Place, Reader, TimelineRow};
pub use readers::Readers;
pub use schema::VERSION;

use crate::ledger::state::Paused;
use crate::ledger::{Breaker, BreakerKey, PoolName, Record, Repository, Runner, Time};
use crate::metrics::{Exposition, Kind};
use writer::{Asked, CommitTimes, Operation, operation};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    New,
    /// The same delivery was kept before.
    Duplicate,
}

/// How far a piece of pruning has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pruned {
    /// There may be more.
    Piece,
    All,
}

/// What an earlier life left behind, but for the open jobs, of which there may be many:
/// `Reader::each_open_job` hands them out one by one.
pub struct Unfinished {
    pub repositories: Vec<Repository>,
    pub runners: Vec<Runner>,
    /// What is counted against pools and their scopes.
    pub breakers: BTreeMap<BreakerKey, Breaker>,
    /// Pools that hire nobody new, and until when if that was said.
    pub pauses: BTreeMap<PoolName, Paused>,
    /// Kept and not folded, oldest first.
    pub inbox: Vec<Delivery>,
}

/// A handle for writing; clones share the one writer.
#[derive(Clone)]
pub struct Store {
    operations: mpsc::UnboundedSender<Box<dyn Operation>>,
    path: Arc<PathBuf>,
    times: CommitTimes,
}

impl Store {
    /// Locks the database for this process; its content is not read yet.
    pub fn lock(path: &Path) -> Result<Locked, StoreError> {
        Locked::take(path)
    }

    /// Locks and opens it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::lock(path)?.open()
    }

    /// As [`open`](Self::open), for a simulation: writes are done by a task of this runtime, each when
    /// `commits` lets it through, and what is written survives the task and not a power loss.
    pub fn in_step(path: &Path, commits: Arc<dyn Commits>) -> Result<Self, StoreError> {
        let connection = schema::open(path)?;
        let without_sync = connection.pragma_update(None, "synchronous", "OFF");
        without_sync.map_err(|error| StoreError::unopened(path, &error))?;
        let (operations, queue) = mpsc::unbounded_channel();
        let path = Arc::new(path.to_owned());
        tokio::spawn(in_step::run(connection, path.clone(), queue, commits));
        Ok(Self { operations, path, times: CommitTimes::default() })
    }

    fn start(connection: Connection, path: PathBuf, lock: File) -> Self {
        let (operations, queue) = mpsc::unbounded_channel();
        let path = Arc::new(path);
        let written = path.clone();
        let times = CommitTimes::default();
        let taken = times.clone();
        std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                writer::run(connection, &written, taken, queue);
                drop(lock);
            })
            // Without this thread there is no program to go on with.
            .unwrap_or_else(|error| panic!("cannot start the store's thread: {error}"));
        Self { operations, path, times }
    }

    /// A connection for reading; it sees what is committed.
    pub fn reader(&self) -> Result<Reader, StoreError> {
        Reader::open(&self.path)
    }

    /// The same for a task that reads often.
    pub fn async_reader(&self) -> Result<AsyncReader, StoreError> {
        Ok(AsyncReader::new(self.reader()?))
    }

    /// Connections for API requests, opened when they are needed.
    pub fn readers(&self) -> Readers {
        Readers::new(self.path.clone())
    }

    /// Stores a delivery that is not folded now. It stays in the inbox until it is folded.
    pub async fn keep(&self, delivery: Delivery) -> Result<Kept, StoreError> {
        self.write(move |to| rows::keep(to, &delivery)).await
    }

    /// Stores a signed delivery that could not be parsed, for `explain --delivery`.
    pub async fn keep_unparsed(&self, unparsed: Unparsed) -> Result<(), StoreError> {
        self.write(move |to| rows::keep_unparsed(to, &unparsed)).await
    }

    /// Writes the rows of one or more steps, all or none.
    pub async fn commit(&self, records: Arc<Vec<Record>>) -> Result<(), StoreError> {
        self.write(move |to| records.iter().try_for_each(|record| rows::record(to, record))).await
    }

    /// Deletes some of the jobs, runners and deliveries that ended before `before`: only as many as the
    /// writing thread has time for while webhooks wait.
    pub async fn prune(&self, before: Time) -> Result<Pruned, StoreError> {
        self.write(move |from| pruning::prune(from, before)).await
    }

    /// Since when the machine's clock has run without a gap; `now` is its current reading.
    pub async fn clock_goes_on(&self, now: Time) -> Result<Time, StoreError> {
        self.write(move |to| clock_seen::goes_on(to, now)).await
    }

    /// How far a log kept elsewhere has been read; `None`: never, or it cannot be read now.
    pub async fn cursor(&self, name: &str) -> Option<u64> {
        let name = name.to_owned();
        self.write(move |from| rows::cursor(from, &name)).await.unwrap_or(None)
    }

    pub async fn set_cursor(&self, name: &str, value: u64) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.write(move |to| rows::set_cursor(to, &name, value)).await
    }

    /// Whether writing works. It is tried without a commit, so that asking often costs nothing,
    /// where the last commit went through and was within a minute.
    pub async fn probe(&self) -> Result<(), StoreError> {
        self.ask(operation(rows::probe, true)).await
    }

    /// Its files, and how long commits take.
    pub fn write_metrics(&self, to: &mut Exposition) {
        let help = "Time of a commit to the store.";
        to.family("roustabout_store_commit_seconds", Kind::Histogram, help);
        // A count has no state that a panic could leave half done.
        to.histogram(&[], &self.times.0.lock().unwrap_or_else(PoisonError::into_inner));
        let size = |ending: &str| {
            let mut file = self.path.as_os_str().to_owned();
            file.push(ending);
            std::fs::metadata(file).map_or(0, |file| file.len())
        };
        to.family("roustabout_store_bytes", Kind::Gauge, "Size of the database's files.");
        to.gauge(&[], (size("") + size("-wal") + size("-shm")) as f64);
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.ask(operation(work, false)).await
    }

    async fn ask<T>(&self, (operation, answer): Asked<T>) -> Result<T, StoreError> {
        self.operations.send(operation).map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

#[cfg(test)]
mod tests;
