//! Writes in a task of the caller's runtime instead of a thread, so that a simulation has one thread and
//! decides when a commit succeeds, fails, or is the last thing before a crash.
//!
//! `writer` does the writing.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use rusqlite::Connection;

use super::StoreError;
use super::writer::{CommitTimes, Queue, Writer, failed, gathered};

/// What stands between the daemon and its disk.
pub trait Commits: Send + Sync + 'static {
    /// Before a transaction begins. An error fails it; it may also never end.
    fn before(&self) -> Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + '_>>;

    /// It is on disk, and nobody has been answered yet.
    fn after(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

pub(super) async fn run(
    connection: Connection,
    path: Arc<PathBuf>,
    mut queue: Queue,
    commits: Arc<dyn Commits>,
) {
    let mut writer = Writer::new(connection, &path, CommitTimes::default());
    while let Some(first) = queue.recv().await {
        let ready = commits.before().await;
        // Also what arrived meanwhile: no commit leaves out what was folded before it.
        let batch = gathered(first, &mut queue);
        let done = match ready {
            Ok(()) => {
                let done = writer.write(batch);
                commits.after().await;
                done
            }
            Err(error) => failed(batch, &error),
        };
        for (operation, committed) in done {
            operation.answer(committed);
        }
    }
}
