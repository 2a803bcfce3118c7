//! The public door as the outside meets it: what is answered (`answers`), what is held back
//! (`limits`), what is kept whatever happens (`keeping`). GitHub and Nomad are away all the
//! while: the door needs neither.

mod answers;
mod keeping;
mod limits;

use crate::support::daemon::Daemon;

/// How many rows of a table the daemon has on disk.
fn rows(daemon: &Daemon, table: &str) -> i64 {
    let store = rusqlite::Connection::open(daemon.database()).unwrap();
    store.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}
