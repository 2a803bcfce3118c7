//! A question that a forge did not answer: of which kind, in words, and what to mend.

use std::time::Duration;

use crate::ledger::event::Failure;

/// What a caller decides by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It does not exist, or the credential may not see it.
    NotFound,
    /// The credential may not do that.
    Forbidden,
    /// The credential is wrong, expired or revoked.
    Unauthorized,
    /// It asks to wait.
    Wait,
    /// Not asked: what is left of the rate limit is kept for others, or for the next minute.
    Share,
    /// It is not there. The question may have been acted on all the same.
    Away,
    /// Its answer is not what its documentation says.
    Garbled,
    Other,
}

/// Reads as `what; mend`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}{}", mend.as_ref().map(|mend| format!("; {mend}")).unwrap_or_default())]
pub struct Error {
    pub kind: Kind,
    pub what: String,
    /// What to do about it, where something is to be done.
    pub mend: Option<String>,
    /// After how long to come back, where that is known.
    pub retry_after: Option<Duration>,
}

impl Error {
    pub(super) fn no_credential(owner: &str) -> Self {
        Self {
            kind: Kind::Other,
            what: format!("no [[github.credentials]] lists {owner} in owners"),
            mend: None,
            retry_after: None,
        }
    }

    /// The config refuses what would lead here.
    pub(super) fn unsupported(what: &str) -> Self {
        let what = format!("this forge has no {what}");
        Self { kind: Kind::Other, what, mend: None, retry_after: None }
    }

    /// Whether it is a no that will not change by asking again.
    pub fn refuses(&self) -> bool {
        matches!(self.kind, Kind::NotFound | Kind::Forbidden | Kind::Unauthorized)
    }

    /// Whether nothing was done for certain.
    pub fn is_certain(&self) -> bool {
        !matches!(self.kind, Kind::Away | Kind::Garbled)
    }

    /// Whether the forge or the credential as a whole is in trouble, and not this question alone.
    pub fn is_trouble(&self) -> bool {
        matches!(self.kind, Kind::Away | Kind::Wait | Kind::Unauthorized)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { reason: error.to_string(), retry_after: error.retry_after }
    }
}
