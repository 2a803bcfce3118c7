//! The private door's token where nobody gave one: made at the first start, beside the database,
//! for its owner alone.
//!
//! Who must show it is in `who.rs`.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rand::TryRngCore;
use rand::rngs::OsRng;
use secrecy::{ExposeSecret, SecretString};

/// Bytes of a token, before they are written as hex.
const BYTES: usize = 32;

/// Where the token of the daemon with this database lies.
pub fn beside(database: &Path) -> PathBuf {
    database.with_file_name("admin-token")
}

/// The token in this file.
///
/// # Errors
/// When the file cannot be read, or holds no token.
pub fn read(file: &Path) -> io::Result<SecretString> {
    let kind = std::fs::symlink_metadata(file)?.file_type();
    // A pipe would hold up the start, and a link to nowhere is neither there nor to be made.
    if !kind.is_file() && !std::fs::metadata(file).is_ok_and(|target| target.is_file()) {
        let what = "it is no regular file; remove it";
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    crate::config::token_in(file).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => {
            let mend = "if it is the daemon's own, delete it, and the daemon makes a new one";
            io::Error::new(error.kind(), format!("it holds no token, for it {error}; {mend}"))
        }
        _ => error,
    })
}

/// The same; where there is no such file, one is made (mode 0600).
///
/// # Errors
/// When it can be neither read nor made.
pub fn read_or_make(file: &Path) -> io::Result<SecretString> {
    match read(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(file),
        other => other,
    }
}

fn make(file: &Path) -> io::Result<SecretString> {
    let mut bytes = [0; BYTES];
    OsRng.try_fill_bytes(&mut bytes).map_err(io::Error::other)?;
    let token = SecretString::from(hex::encode(bytes));
    let mut options = File::options();
    let mut file = options.write(true).create_new(true).mode(0o600).open(file)?;
    writeln!(file, "{}", token.expose_secret())?;
    file.sync_all()?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_is_made_once_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = beside(&folder.path().join("roustabout.db"));
        let made = read_or_make(&file).unwrap();
        assert_eq!(made.expose_secret().len(), 2 * BYTES);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read_or_make(&file).unwrap().expose_secret(), made.expose_secret());
    }

    #[test]
    fn a_file_that_holds_no_token_is_told_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("admin-token");
        let long = "x".repeat(100_000);
        for text in ["", "\n", "two words\n", &long] {
            std::fs::write(&file, text).unwrap();
            let error = read_or_make(&file).unwrap_err().to_string();
            assert!(error.contains("holds no token"), "{error}");
        }
        std::fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("/nowhere/at/all", &file).unwrap();
        let error = read_or_make(&file).unwrap_err().to_string();
        assert!(error.contains("no regular file"), "{error}");
    }
}
