//! What can go wrong with any call but a dispatch (see `dispatch` for that one).
//!
//! Each text is a fragment that reads after "failed to": it names method and path and never a
//! token, a payload or meta.

use super::authentication;

/// A failed call. `request` is method and path, as in `GET /v1/job/x`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nomad has no such thing.
    #[error("{request}: not found")]
    NotFound { request: String },
    /// Token missing, unknown, expired or without the capability. Nomad does not say which.
    #[error(
        "{request}: {text} (is the ACL token valid, and has it the capability in this namespace?)"
    )]
    Forbidden { request: String, text: String },
    /// No connection, no answer in time, no leader, or another 5xx. It may work later.
    #[error("{request}: {reason}")]
    Unavailable { request: String, reason: String },
    /// This agent is older than the call.
    #[error("{request}: this Nomad does not offer it")]
    Unsupported { request: String },
    /// Nomad takes the request for wrong (4xx).
    #[error("{request}: refused with {status}: {text}")]
    Rejected { request: String, status: u16, text: String },
    /// The answer is not what Nomad's documentation says.
    #[error("{request}: unexpected answer: {reason}")]
    Protocol { request: String, reason: String },
}

impl Error {
    /// For an answer that is not a success. `text` is Nomad's own, cleaned by the transport.
    pub(super) fn from_status(request: String, status: u16, text: String) -> Error {
        match status {
            // Before absence: a workload identity has no entry behind /v1/acl/token/self.
            _ if authentication::is_refused(status, &text) => {
                Error::Forbidden { request, text: authentication::in_words(text) }
            }
            404 => Error::NotFound { request },
            405 => Error::Unsupported { request },
            429 => Error::Unavailable { request, reason: format!("too many connections: {text}") },
            500..=599 => Error::Unavailable { request, reason: format!("{status}: {text}") },
            300..=399 => Error::Protocol {
                request,
                reason: format!("a redirect ({status}); is the address that of Nomad's API?"),
            },
            _ => Error::Rejected { request, status, text },
        }
    }
}
