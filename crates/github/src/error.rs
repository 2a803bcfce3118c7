//! What can go wrong with a call, by kind, and how an answer's kind is told.
//!
//! Each text is a fragment that reads after "failed to": it names method and path and never a
//! credential. When to try again is in `rate_limit`.

use std::time::Duration;

use jiff::Timestamp;

use super::budget::Purpose;

/// A failed call. `request` is method and path, as in `GET /repos/o/r`; `wait` is what counts, and
/// `until` the same for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No request was made, for an earlier answer told us to wait.
    #[error("{request}: paused until {until}, as GitHub requested")]
    HeldBack { request: String, wait: Duration, until: Timestamp },
    /// GitHub asks to wait; until then every call is held back.
    #[error("{request}: rate limited until {until}: {reason}")]
    RateLimited { request: String, wait: Duration, until: Timestamp, reason: String },
    /// No request was made, for what is left of the rate limit is kept for others.
    #[error("{request}: waits for GitHub's rate limit until {until}: {}", share(purpose, *spent, *limit))]
    OverShare {
        request: String,
        wait: Duration,
        until: Timestamp,
        purpose: Purpose,
        spent: u64,
        limit: u64,
    },
    /// No request was made, for GitHub allows only so many within a minute.
    #[error(
        "{request}: waits for GitHub's rate limit until {until}: as many requests as GitHub allows within a minute were made"
    )]
    TooFast { request: String, wait: Duration, until: Timestamp },
    /// 401: the credential is unknown, expired or revoked.
    #[error("{request}: 401 {message} (the token is wrong, expired or revoked)")]
    Unauthorized { request: String, message: String },
    /// 401 to an App's own JWT.
    #[error("{request}: 401 {message} (the private key is not of this GitHub App, or was revoked)")]
    AppRefused { request: String, message: String },
    /// 404 to an App's own JWT: there is no such App.
    #[error("{request}: 404, this GitHub has no such App (client_id or id)")]
    AppUnknown { request: String },
    /// No request was made, or it was refused, for the App is not, or no longer, installed there.
    #[error("the GitHub App is not installed on {owner}")]
    NotInstalled { owner: String },
    #[error("the installation of the GitHub App on {owner} is suspended")]
    Suspended { owner: String },
    /// The installation may not do what is wanted, or not in that repository.
    #[error("the installation of the GitHub App on {owner} does not grant {wanted}: {message}")]
    NotGranted { owner: String, wanted: String, message: String },
    /// 403 for want of permission. `accepted_permissions` is GitHub's own
    /// `X-Accepted-GitHub-Permissions`, such as `administration=write`.
    #[error("{request}: 403 {message}{}", wanted(accepted_permissions.as_deref()))]
    Forbidden { request: String, message: String, accepted_permissions: Option<String> },
    /// 404: it does not exist, or the token may not see it. GitHub does not say which.
    #[error("{request}: 404 not found, or the token may not see it")]
    NotFound { request: String },
    #[error("{request}: 409 {message}")]
    Conflict { request: String, message: String },
    #[error("{request}: 422 {message}")]
    Unprocessable { request: String, message: String },
    /// No connection, no answer in time, or a 5xx. A request may have been acted on all the same.
    #[error("{request}: {reason}")]
    Unavailable { request: String, reason: String },
    /// The answer is not what GitHub's documentation says.
    #[error("{request}: unexpected answer: {reason}")]
    Protocol { request: String, reason: String },
}

fn share(purpose: &Purpose, spent: u64, limit: u64) -> String {
    match purpose {
        Purpose::For(whose) | Purpose::Background(whose) => format!(
            "{whose} has used {spent} of {limit} requests an hour, the rest is reserved for other repositories"
        ),
        Purpose::Essential | Purpose::Important => {
            format!("the remaining requests of {limit} an hour are reserved for launching runners")
        }
    }
}

fn wanted(permissions: Option<&str>) -> String {
    permissions.map(|p| format!(" (requires {p})")).unwrap_or_default()
}

impl Error {
    /// For an answer that is neither a success nor about rate limits.
    pub(super) fn from_status(
        request: String,
        status: u16,
        message: String,
        accepted_permissions: Option<String>,
    ) -> Error {
        match status {
            401 => Error::Unauthorized { request, message },
            403 => Error::Forbidden { request, message, accepted_permissions },
            // 410 is told for things that were switched off, such as Actions in a repository.
            404 | 410 => Error::NotFound { request },
            409 => Error::Conflict { request, message },
            422 => Error::Unprocessable { request, message },
            500..=599 => Error::Unavailable { request, reason: format!("{status} {message}") },
            300..=399 => Error::Protocol {
                request,
                reason: format!("a redirect ({status}) that leads elsewhere or has no end"),
            },
            _ => Error::Protocol { request, reason: format!("{status} {message}") },
        }
    }
}
