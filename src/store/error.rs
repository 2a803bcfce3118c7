//! Errors of the store. They contain SQLite's errors as text; its types stay in this folder.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use super::VERSION;

/// It could not be opened, read or written. A failed write leaves nothing behind.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    #[error(
        "cannot open the store {path}: {why}; check that its folder exists and is writable for this user"
    )]
    Open { path: PathBuf, why: String },
    #[error(
        "the database {path} is damaged, or is not an SQLite database ({why}); restore a backup, or move it away with its -wal and -shm files and start with a new one: waiting jobs and existing runners are found again, history is lost"
    )]
    Damaged { path: PathBuf, why: String },
    #[error(
        "another roustabout uses the store {path}; stop it, or set another store.url for this one"
    )]
    InUse { path: PathBuf },
    #[error(
        "the store {path} was written by a newer roustabout (schema {found}, this one knows {VERSION}); \
         run that version, or set another store.url"
    )]
    Newer { path: PathBuf, found: i64 },
    #[error(
        "the database {path} was moved, deleted or replaced while this daemon uses it; restart roustabout, which then opens the file that is there"
    )]
    Replaced { path: PathBuf },
    #[error("the store cannot be written: {0}")]
    Write(String),
    #[error("the store cannot be read: {0}")]
    Read(String),
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Why SQLite could not open it.
    pub(super) fn unopened(path: &Path, error: &rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        let (path, why) = (path.to_owned(), error.to_string());
        match error.sqlite_error_code() {
            // The content of the file is wrong, not the access to it.
            Some(DatabaseCorrupt | NotADatabase) => Self::Damaged { path, why },
            _ => Self::Open { path, why },
        }
    }

    /// Why the system could not.
    pub(super) fn no_file(path: &Path, error: &std::io::Error) -> Self {
        Self::Open { path: path.to_owned(), why: error.to_string() }
    }

    pub(super) fn unwritten(error: &rusqlite::Error) -> Self {
        Self::Write(error.to_string())
    }

    /// Also for callers that parse what was read, row by row.
    pub fn unread(error: impl Display) -> Self {
        Self::Read(error.to_string())
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::unread(error)
    }
}
