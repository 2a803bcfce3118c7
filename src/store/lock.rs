//! One daemon per database: a lock file beside it, locked as long as the store is open. The system
//! releases the lock when the process ends, for whatever reason.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{Store, StoreError, schema};

/// Readable by its owner only: it contains names of jobs and repositories.
const MODE: u32 = 0o600;

/// No other daemon uses the database; it has not been read or changed yet.
pub struct Locked {
    path: PathBuf,
    lock: File,
}

fn private(file: &Path) -> io::Result<File> {
    File::options().read(true).append(true).create(true).mode(MODE).open(file)
}

impl Locked {
    pub(super) fn take(path: &Path) -> Result<Self, StoreError> {
        let failed = |error| StoreError::no_file(path, &error);
        // By whatever name it is reached, it is the same database.
        let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".lock");
        let lock = private(&path.with_file_name(name)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), lock }),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Opens or creates the database and migrates its tables; a copy of an older one is kept.
    pub fn open(self) -> Result<Store, StoreError> {
        let failed = |error| StoreError::no_file(&self.path, &error);
        // SQLite creates the files beside it with the same mode.
        let file = private(&self.path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.permissions().mode();
        if mode & 0o077 != 0 {
            file.set_permissions(std::fs::Permissions::from_mode(MODE)).map_err(failed)?;
        }
        drop(file);
        let connection = schema::open(&self.path)?;
        Ok(Store::start(connection, self.path, self.lock))
    }
}
