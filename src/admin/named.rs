//! What a path names: a job, a pool, a delivery. A name that is not UTF-8 is refused in the door's own words.

use axum::extract::{FromRequestParts, Path};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;

use super::shared::problem;
use crate::ledger::JobId;

/// The one name in a path, decoded.
pub(super) struct Named(pub String);

impl Named {
    /// As a job's id; `None`: it is none, which `no_job` tells.
    pub fn job(&self) -> Option<JobId> {
        self.0.parse().map(JobId).ok()
    }
}

pub(super) fn no_job() -> Response {
    problem(StatusCode::BAD_REQUEST, "a job's id is a number, as in its page's address")
}

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(name)) => Ok(Self(name)),
            Err(_) => Err(problem(StatusCode::BAD_REQUEST, "the name in this path is not UTF-8")),
        }
    }
}
