//! Deletes old records, piece by piece: webhooks wait for the same thread meanwhile.

use std::time::Duration;

use rusqlite::{Connection, params};
// On paused time it stands still, so that a simulation does not depend on how quick the machine is.
use tokio::time::Instant;

use super::Pruned;
use crate::ledger::Time;

/// One piece ends after this time; a webhook that arrives meanwhile waits no longer than that.
const PIECE: Duration = Duration::from_millis(2);
/// Or after this many rows, because a commit of many pages takes time too.
pub(super) const PIECE_ROWS: usize = 64;
/// Rows that one statement deletes at most: on a slow disk each is several reads.
const ROWS: usize = 16;

/// What is deleted, each found without reading the whole table; `?2` is how many rows at most.
pub(super) const PRUNING: [&str; 4] = [
    "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE ended_at < ?1 LIMIT ?2)",
    "DELETE FROM runners WHERE name IN (SELECT name FROM runners WHERE ended_at < ?1 LIMIT ?2)",
    // Rows lie in the order in which they were written. One from a day that has not come yet was written
    // while the clock was wrong, and the others wait behind it.
    "DELETE FROM timeline WHERE sequence < (SELECT MIN(sequence) FROM timeline) + ?2
     AND (at < ?1 OR at > (SELECT value FROM cursors WHERE name = 'clock.last') + 86400000)",
    "DELETE FROM deliveries WHERE id IN
     (SELECT id FROM deliveries WHERE received_at < ?1 AND inbox IS NULL LIMIT ?2)",
];

/// One piece of it.
pub(super) fn prune(connection: &Connection, before: Time) -> rusqlite::Result<Pruned> {
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
