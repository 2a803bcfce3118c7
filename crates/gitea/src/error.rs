//! What can go wrong with a call, by kind. Each text is a fragment that reads after "failed to":
//! it names method and path and never a credential.

/// A failed call. `request` is method and path, as in `GET /repos/o/r`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// 401: the token is unknown, expired or revoked.
    #[error("{request}: 401 {message} (the token is wrong, expired or revoked)")]
    Unauthorized { request: String, message: String },
    /// 403: the token lacks a scope, or its user a role.
    #[error("{request}: 403 {message}")]
    Forbidden { request: String, message: String },
    /// 404: it does not exist, or the token may not see it. Gitea does not say which.
    #[error("{request}: 404 not found, or the token may not see it")]
    NotFound { request: String },
    /// 405: this version of Gitea does not know the call.
    #[error("{request}: 405, this version of Gitea has no such call")]
    Unknown { request: String },
    /// No connection, no answer in time, a 429 or a 5xx. A request may have been acted on all
    /// the same.
    #[error("{request}: {reason}")]
    Unavailable { request: String, reason: String },
    /// The answer is not what we know of Gitea.
    #[error("{request}: unexpected answer: {reason}")]
    Protocol { request: String, reason: String },
}

impl Error {
    /// For an answer that is no success.
    pub(super) fn from_status(request: String, status: u16, message: String) -> Error {
        match status {
            401 => Error::Unauthorized { request, message },
            403 => Error::Forbidden { request, message },
            404 => Error::NotFound { request },
            405 => Error::Unknown { request },
            429 | 500..=599 => {
                Error::Unavailable { request, reason: format!("{status} {message}") }
            }
            300..=399 => Error::Protocol {
                request,
                reason: format!("a redirect ({status}) that leads elsewhere or has no end"),
            },
            _ => Error::Protocol { request, reason: format!("{status} {message}") },
        }
    }
}
