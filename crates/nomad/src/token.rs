//! The token that requests carry. One that stands in a file is read again when the file changes:
//! Nomad renews a task's workload identity by writing a new file in the place of the old one.
//!
//! A file that is gone, or holds no token, changes nothing: the token before is kept, and Nomad
//! says what it thinks of it. `transport` asks here for every request.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use secrecy::SecretString;

/// Shared by all clones of a client.
pub(super) struct Token {
    file: Option<PathBuf>,
    held: RwLock<Held>,
}

struct Held {
    token: Option<SecretString>,
    /// Of the file when it was last read.
    stamp: Option<Stamp>,
}

/// What tells one content of a file from the next without reading it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Token {
    /// `token` holds until the file can be read for the first time.
    pub(super) fn new(token: Option<SecretString>, file: Option<PathBuf>) -> Self {
        Self { file, held: RwLock::new(Held { token, stamp: None }) }
    }

    pub(super) fn set(&self, token: Option<SecretString>) {
        self.held.write().unwrap_or_else(PoisonError::into_inner).token = token;
    }

    /// The token of a request that is made now. Looks at the file, which takes some microseconds
    /// on a local disk or a tmpfs, where such files are.
    pub(super) fn current(&self) -> Option<SecretString> {
        if let Some(file) = &self.file {
            // Before the content: a change in between shows with the next request.
            let stamp = Stamp::of(file);
            let known = self.held.read().unwrap_or_else(PoisonError::into_inner).stamp;
            if stamp != known {
                self.read_again(file, stamp);
            }
        }
        self.held.read().unwrap_or_else(PoisonError::into_inner).token.clone()
    }

    fn read_again(&self, file: &Path, stamp: Option<Stamp>) {
        let read = fs::read_to_string(file).map_err(|error| error.to_string());
        let found = read.and_then(|text| {
            let token = text.trim_end_matches(['\r', '\n']);
            if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err("it holds no token".to_owned());
            }
            Ok(SecretString::from(token))
        });
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        held.stamp = stamp;
        match found {
            Ok(token) => held.token = Some(token),
            Err(reason) => tracing::warn!(
                file = %file.display(),
                %reason,
                "cannot reload Nomad's token; the current one stays in effect until the file changes"
            ),
        }
    }
}

impl Stamp {
    /// None where there is no such file, or it may not be looked at.
    fn of(file: &Path) -> Option<Self> {
        let meta = fs::metadata(file).ok()?;
        Some(Self {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn now(token: &Token) -> Option<String> {
        token.current().map(|token| token.expose_secret().to_owned())
    }

    #[test]
    fn a_new_file_is_a_new_token_and_a_bad_one_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("nomad_token");
        let token = Token::new(Some("loaded".into()), Some(file.clone()));
        assert_eq!(now(&token).as_deref(), Some("loaded"), "there is no file yet");
        let replace = |content: &str| {
            let new = folder.path().join("new");
            fs::write(&new, content).unwrap();
            fs::rename(&new, &file).unwrap();
        };
        for (content, then) in [
            ("first\n", "first"),
            ("later", "later"),
            ("", "later"),
            ("two words", "later"),
            ("third", "third"),
        ] {
            replace(content);
            assert_eq!(now(&token).as_deref(), Some(then), "after {content:?}");
        }
        fs::remove_file(&file).unwrap();
        assert_eq!(now(&token).as_deref(), Some("third"));
        replace("fourth");
        assert_eq!(now(&token).as_deref(), Some("fourth"));
    }

    #[test]
    fn without_a_file_what_is_set_holds() {
        let token = Token::new(None, None);
        assert_eq!(now(&token), None);
        token.set(Some("set".into()));
        assert_eq!(now(&token).as_deref(), Some("set"));
    }
}
