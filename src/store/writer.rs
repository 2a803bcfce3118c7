//! The one thread that writes: runs all pending operations in one transaction, and answers their callers
//! after the commit. `Ok` means: on disk.
//!
//! An operation is a closure on the transaction, created in `mod.rs`; the statements are in `rows` and
//! `pruning`.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};
// On paused time it stands still, so that a simulation does not depend on how quick the machine is.
use tokio::time::Instant;

use super::StoreError;
use crate::metrics::{Histogram, QUICK};

/// The most operations in one commit, so that the first one does not wait too long.
const BATCH: usize = 512;

/// After a successful commit, a probe is answered without another one for this long.
const PROVED_FOR: Duration = Duration::from_secs(60);

/// Part of a transaction, with the caller that waits for the commit. It may be run again, in another
/// transaction, if this one failed.
pub(super) trait Operation: Send {
    fn run(&mut self, transaction: &Connection) -> rusqlite::Result<()>;

    /// Nothing of it has to be kept: it only asks whether writing works.
    fn is_probe(&self) -> bool;

    /// The transaction is through, or has failed.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

pub(super) type Queue = mpsc::UnboundedReceiver<Box<dyn Operation>>;

struct Write<T, W> {
    work: W,
    probe: bool,
    came_to: Option<T>,
    waiting: oneshot::Sender<Result<T, StoreError>>,
}

/// An operation, and where its answer comes.
pub(super) type Asked<T> = (Box<dyn Operation>, oneshot::Receiver<Result<T, StoreError>>);

/// `probe`: whether nothing of the work has to be kept.
pub(super) fn operation<T: Send + 'static>(
    work: impl FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
    probe: bool,
) -> Asked<T> {
    let (waiting, answer) = oneshot::channel();
    (Box::new(Write { work, probe, came_to: None, waiting }), answer)
}

impl<T, W> Operation for Write<T, W>
where
    T: Send,
    W: FnMut(&Connection) -> rusqlite::Result<T> + Send,
{
    fn run(&mut self, transaction: &Connection) -> rusqlite::Result<()> {
        self.came_to = Some((self.work)(transaction)?);
        Ok(())
    }

    fn is_probe(&self) -> bool {
        self.probe
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let Self { came_to, waiting, .. } = *self;
        // What was committed has been run.
        let answer = committed.and_then(|()| came_to.ok_or(StoreError::Closed));
        // The caller may have gone meanwhile; nothing is lost then.
        let _ = waiting.send(answer);
    }
}

pub(super) fn run(connection: Connection, path: &Path, times: CommitTimes, mut queue: Queue) {
    let mut writer = Writer::new(connection, path, times);
    while let Some(first) = queue.blocking_recv() {
        for (operation, committed) in writer.write(gathered(first, &mut queue)) {
            operation.answer(committed);
        }
    }
}

/// All pending operations, for one commit.
pub(super) fn gathered(first: Box<dyn Operation>, queue: &mut Queue) -> Vec<Box<dyn Operation>> {
    let mut batch = vec![first];
    while batch.len() < BATCH
        && let Ok(operation) = queue.try_recv()
    {
        batch.push(operation);
    }
    batch
}

pub(super) struct Writer {
    connection: Connection,
    file: OpenFile,
    /// When the last commit went through, where none has failed since.
    written: Option<Instant>,
    times: CommitTimes,
}

/// How long commits took; clones share them.
#[derive(Clone)]
pub(super) struct CommitTimes(pub Arc<Mutex<Histogram>>);

impl Default for CommitTimes {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Histogram::of(QUICK))))
    }
}

/// The database's file as it was when it was opened.
struct OpenFile {
    path: PathBuf,
    identity: Option<(u64, u64)>,
}

impl OpenFile {
    fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), identity: identity(path) }
    }

    /// Neither moved nor deleted, and no other file in its place.
    fn is_in_place(&self) -> bool {
        self.identity.is_some() && identity(&self.path) == self.identity
    }
}

/// Device and inode.
fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

/// An operation, and whether it was committed.
pub(super) type Done = (Box<dyn Operation>, Result<(), StoreError>);

impl Writer {
    pub fn new(connection: Connection, path: &Path, times: CommitTimes) -> Self {
        Self { connection, file: OpenFile::at(path), written: None, times }
    }

    /// Makes them one transaction, and says what each came to. Nobody is answered yet.
    pub fn write(&mut self, mut batch: Vec<Box<dyn Operation>>) -> Vec<Done> {
        // What is written to a file that has no name any more is gone with this process.
        if !self.file.is_in_place() {
            return failed(batch, &StoreError::Replaced { path: self.file.path.clone() });
        }
        let error = match self.commit(&mut batch) {
            Ok(()) => return batch.into_iter().map(|operation| (operation, Ok(()))).collect(),
            Err(error) => error,
        };
        // One bad operation must not fail its neighbours; a full disk fails them all.
        if batch.len() > 1 && !concerns_all(&error) {
            let alone = |mut operation| {
                let committed = self.commit(std::slice::from_mut(&mut operation));
                (operation, committed.map_err(|error| StoreError::unwritten(&error)))
            };
            return batch.into_iter().map(alone).collect();
        }
        failed(batch, &StoreError::unwritten(&error))
    }

    fn commit(&mut self, batch: &mut [Box<dyn Operation>]) -> rusqlite::Result<()> {
        let proved = self.written.take().filter(|at| at.elapsed() < PROVED_FOR);
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        batch.iter_mut().try_for_each(|operation| operation.run(&transaction))?;
        if proved.is_some() && batch.iter().all(|operation| operation.is_probe()) {
            // Nobody holds the database and the file can be changed; that there is room was seen just now.
            transaction.rollback()?;
            self.written = proved;
        } else {
            let began = Instant::now();
            transaction.commit()?;
            let took = began.elapsed();
            // A count has no state that a panic could leave half done.
            self.times.0.lock().unwrap_or_else(PoisonError::into_inner).observe(took);
            self.written = Some(Instant::now());
        }
        Ok(())
    }
}

/// None of them was committed, for the same reason.
pub(super) fn failed(batch: Vec<Box<dyn Operation>>, error: &StoreError) -> Vec<Done> {
    batch.into_iter().map(|operation| (operation, Err(error.clone()))).collect()
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
