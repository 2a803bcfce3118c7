//! What can go wrong with a call, by kind. Each text is a fragment that reads after "failed to": it
//! names method and path, and no secret.

use std::path::{Path, PathBuf};

/// A failed call. `request` is method and path, as in `GET /secret/data/app`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No connection, or no answer in time.
    #[error("{request}: {reason}")]
    Unreachable { request: String, reason: String },
    /// Sealed, standby, overloaded or broken: a 412, 429 or 5xx.
    #[error("{request}: {status} {message}")]
    Unavailable { request: String, status: u16, message: String },
    /// 403: the token is wrong or has ended, or no policy of it allows this. It is not told which.
    #[error("{request}: 403 permission denied")]
    Denied { request: String },
    /// The token itself is not taken any more.
    #[error("the token{} has expired or was revoked; create another one", of(.file.as_deref()))]
    Ended { file: Option<PathBuf> },
    /// 404: there is nothing, or nothing is mounted there.
    #[error("{request}: 404 not found{}", told(.message))]
    Missing { request: String, message: String },
    /// The newest version was deleted or destroyed.
    #[error("{request}: version {version} is deleted")]
    Deleted { request: String, version: u64 },
    /// It was to be created, and is there already.
    #[error("{request}: it exists already (check-and-set)")]
    Exists { request: String },
    /// The login itself was refused.
    #[error("{request}: the login was refused: {message}")]
    Login { request: String, message: String },
    /// A file with a token, a SecretID or a JWT cannot be used.
    #[error("cannot use {}: {reason}", path.display())]
    File { path: PathBuf, reason: String },
    /// The answer is not what we know of this API.
    #[error("{request}: unexpected answer: {reason}")]
    Protocol { request: String, reason: String },
}

fn of(file: Option<&Path>) -> String {
    file.map(|file| format!(" in {}", file.display())).unwrap_or_default()
}

fn told(message: &str) -> String {
    match message {
        "" => String::new(),
        message => format!(" ({message})"),
    }
}

impl Error {
    /// Whether it may pass by itself: nobody has to change anything.
    #[must_use]
    pub fn is_away(&self) -> bool {
        matches!(self, Error::Unreachable { .. } | Error::Unavailable { .. })
    }

    /// Whether the request may have been acted on all the same.
    #[must_use]
    pub fn is_uncertain(&self) -> bool {
        self.is_away() || matches!(self, Error::Protocol { .. })
    }

    /// For an answer that is no success.
    pub(crate) fn from_status(request: String, status: u16, message: String) -> Error {
        match status {
            403 => Error::Denied { request },
            404 => Error::Missing { request, message },
            412 | 429 | 472 | 473 | 500..=599 => Error::Unavailable { request, status, message },
            300..=399 => Error::Protocol {
                request,
                reason: format!("a redirect ({status}); use the address of the active server"),
            },
            _ => Error::Protocol { request, reason: format!("{status} {message}") },
        }
    }
}
