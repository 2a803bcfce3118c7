//! Durable rows in SQLite: the inbox of deliveries, jobs, runners and what belongs to them.
//!
//! One thread writes (`writer`), grouping whatever has gathered into one commit; readers have
//! connections of their own (`reader`; for people, `readers`). Nothing here decides; `schema` has the tables.

mod in_step;
mod inbox;
mod lock;
mod reader;
mod readers;
mod schema;
mod writer;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

pub use in_step::Gate;
pub use inbox::{Delivery, Unparsed};
pub use lock::Locked;
pub use reader::{Entry, Reader, TimelineRow};
pub use readers::Readers;
pub use schema::VERSION;

use crate::ledger::state::Paused;
use crate::ledger::{Breaker, BreakerKey, PoolName, Record, Repository, Runner, Time};
use writer::Op;

/// The store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "cannot open the store {path}: {source}; is the folder there and writable for this user?"
    )]
    Open { path: PathBuf, source: rusqlite::Error },
    #[error(
        "cannot open the store {path}: {source}; is the folder there and writable for this user?"
    )]
    File { path: PathBuf, source: std::io::Error },
    #[error(
        "the database {path} is damaged, or is none of SQLite's ({source}); restore a backup, or move it away with \
         its -wal and -shm and start without: jobs that wait and runners that are there are found again, and \
         history is lost"
    )]
    Damaged { path: PathBuf, source: rusqlite::Error },
    #[error(
        "another roustabout uses the store {path}; stop that one, or give this one another store.url"
    )]
    InUse { path: PathBuf },
    #[error(
        "the store {path} was written by a newer roustabout (schema {found}, this one knows {VERSION}); \
         run that version, or start with another store.url"
    )]
    Newer { path: PathBuf, found: i64 },
}

impl OpenError {
    /// Why SQLite could not open it.
    fn of(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        if is_damage(&source) {
            Self::Damaged { path, source }
        } else {
            Self::Open { path, source }
        }
    }
}

/// Whether what is in the file is at fault, and not the way to it.
pub fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
}

/// A write that did not become durable. Nothing of it is kept.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    #[error("the store cannot be written: {0}")]
    Write(Arc<rusqlite::Error>),
    #[error("the store cannot be read: {0}")]
    Read(Arc<rusqlite::Error>),
    #[error("the store is closed")]
    Closed,
}

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
    ops: mpsc::UnboundedSender<Op>,
    path: Arc<PathBuf>,
}

impl Store {
    /// Takes the database for this process alone; what is in it is not looked at yet.
    pub fn lock(path: &Path) -> Result<Locked, OpenError> {
        Locked::take(path)
    }

    /// The same, and opens it at once.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::lock(path)?.open()
    }

    /// As [`open`](Self::open), for a simulation: writes are done by a task of this runtime, each after
    /// the gate lets it through, and what is written survives the task and not a power loss.
    pub fn in_step(path: &Path, gate: Arc<dyn Gate>) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Open { path: path.to_owned(), source };
        let connection = schema::open(path)?;
        connection.pragma_update(None, "synchronous", "OFF").map_err(failed)?;
        let (ops, queue) = mpsc::unbounded_channel();
        tokio::spawn(in_step::run(connection, queue, gate));
        Ok(Self { ops, path: Arc::new(path.to_owned()) })
    }

    fn start(connection: rusqlite::Connection, path: PathBuf, lock: File) -> Self {
        let (ops, queue) = mpsc::unbounded_channel();
        std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                writer::run(connection, queue);
                drop(lock);
            })
            // Without this thread there is no program to go on with.
            .unwrap_or_else(|error| panic!("cannot start the store's thread: {error}"));
        Self { ops, path: Arc::new(path) }
    }

    /// A connection for reading; it sees what is committed.
    pub fn reader(&self) -> Result<Reader, OpenError> {
        Reader::open(&self.path)
            .map_err(|source| OpenError::Open { path: self.path.to_path_buf(), source })
    }

    /// Connections for people's questions, which are made when they are needed.
    pub fn readers(&self) -> Readers {
        Readers::new(self.path.clone())
    }

    /// Makes a delivery durable that nobody folds now. It is in the inbox from here on until
    /// somebody does.
    pub async fn keep(&self, delivery: Delivery) -> Result<Kept, StoreError> {
        self.write(|done| Op::Keep(Box::new(delivery), done)).await
    }

    /// Keeps what was signed and could not be read, for `explain --delivery`.
    pub async fn keep_unparsed(&self, unparsed: Unparsed) -> Result<(), StoreError> {
        self.write(|done| Op::Unparsed(Box::new(unparsed), done)).await
    }

    /// Writes the rows of one or more steps, all or none.
    pub async fn commit(&self, records: Arc<Vec<Record>>) -> Result<(), StoreError> {
        self.write(|done| Op::Commit(records, done)).await
    }

    /// Forgets some of the jobs, runners and deliveries that ended before `before`: no more than the
    /// one writing thread may spend on it while webhooks wait.
    pub async fn prune(&self, before: Time) -> Result<Pruned, StoreError> {
        self.write(|done| Op::Prune(before, done)).await
    }

    /// How far a log kept elsewhere has been read; `None`: never, or it cannot be read now.
    pub async fn cursor(&self, name: &str) -> Option<u64> {
        self.write(|done| Op::Cursor(name.to_owned(), done)).await.unwrap_or(None)
    }

    pub async fn set_cursor(&self, name: &str, value: u64) -> Result<(), StoreError> {
        self.write(|done| Op::SetCursor(name.to_owned(), value, done)).await
    }

    /// Whether writing works. It is tried without a commit, so that asking often costs nothing,
    /// where the last commit went through and was within a minute.
    pub async fn probe(&self) -> Result<(), StoreError> {
        self.write(Op::Probe).await
    }

    async fn write<T>(
        &self,
        op: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Op,
    ) -> Result<T, StoreError> {
        let (done, answer) = oneshot::channel();
        self.ops.send(op(done)).map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

#[cfg(test)]
mod tests;
