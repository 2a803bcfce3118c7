//! Examines a database in whatever state it is, for `check`: creates no file and migrates nothing.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::StoreError;

/// How long a large database is examined.
const PATIENCE: Duration = Duration::from_secs(5);

pub struct Examined {
    /// The version of its schema; 0 if it has none of ours.
    pub version: i64,
    pub tables: i64,
    /// What SQLite finds wrong in it within [`PATIENCE`].
    pub damage: Option<String>,
}

/// # Errors
/// [`StoreError::Damaged`] or [`StoreError::Open`].
pub fn examine(path: &Path) -> Result<Examined, StoreError> {
    examined(path).map_err(|error| StoreError::unopened(path, &error))
}

fn examined(path: &Path) -> rusqlite::Result<Examined> {
    let connection = open(path)?;
    connection.busy_timeout(Duration::from_secs(1))?;
    Ok(Examined {
        version: connection.query_row("PRAGMA user_version", [], |row| row.get(0))?,
        tables: connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?,
        damage: damage(&connection)?,
    })
}

/// Examines the whole file, or as much as there is time for.
fn damage(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let interrupt = connection.get_interrupt_handle();
    let (done, until_done) = std::sync::mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        if until_done.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            interrupt.interrupt();
        }
    });
    let found = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    drop(done);
    // It has nothing to fail at.
    let _ = watch.join();
    match found {
        Ok(found) => Ok(Some(found).filter(|found| found != "ok")),
        Err(error)
            if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Even a reader creates the files beside a database in WAL mode, unless the database is declared
/// immutable. So it is, except if a `-wal` exists: then its writer has created the files already.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    let read_only = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    if PathBuf::from(log).exists() {
        return Connection::open_with_flags(path, read_only);
    }
    let uri = format!("file:{}?immutable=1", encoded(path.as_os_str()));
    Connection::open_with_flags(uri, read_only | OpenFlags::SQLITE_OPEN_URI)
}

/// As a URI's path.
fn encoded(path: &OsStr) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    let of = |byte: &u8| match plain(*byte) {
        true => char::from(*byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    path.as_bytes().iter().map(of).collect()
}
