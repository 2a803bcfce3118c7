//! Writes by a task of the caller's runtime in place of a thread, so that a simulation has one thread
//! and decides when a commit goes through, fails, or is the last thing that happens.
//!
//! What is written, and how, is `writer`'s.

use std::pin::Pin;
use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::mpsc;

use super::StoreError;
use super::writer::{Op, Writer, answer, gathered};

/// What stands between the daemon and its disk.
pub trait Gate: Send + Sync + 'static {
    /// Before a transaction begins. An error fails it; it may also never end.
    fn before(&self) -> Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + '_>>;

    /// It is on disk, and nobody has been told yet.
    fn after(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

pub(super) async fn run(
    connection: Connection,
    mut queue: mpsc::UnboundedReceiver<Op>,
    gate: Arc<dyn Gate>,
) {
    let mut writer = Writer::new(connection);
    while let Some(first) = queue.recv().await {
        let batch = gathered(first, &mut queue);
        let done = match gate.before().await {
            Ok(()) => {
                let done = writer.write(batch);
                gate.after().await;
                done
            }
            Err(error) => batch.into_iter().map(|op| (op, Err(error.clone()))).collect(),
        };
        for (op, outcome) in done {
            answer(op, outcome);
        }
    }
}
