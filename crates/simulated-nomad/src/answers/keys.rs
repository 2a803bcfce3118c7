//! What the world needs to know to check a workload's identity.
//!
//! The keys themselves are in `identity/keys.rs`.

use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;

use super::call::{Call, Reply};
use super::reading::Found;
use super::refusal::Refusal;
use super::rights;
use crate::acl::BadToken;
use crate::tables::Table;

/// Keys are kept by whoever asks until Nomad would rotate them: a half of 30 days.
const MAX_AGE: HeaderValue = HeaderValue::from_static("max-age=1296000");

pub(super) async fn public(call: Call) -> Reply {
    let keys = call.server.keys().public();
    let mut response = call
        .read(|view, _, _| Ok(Found::list(view.nomad.table(Table::Keys), keys.clone())))
        .await?;
    response.headers_mut().insert(CACHE_CONTROL, MAX_AGE);
    Ok(response)
}

/// No issuer is configured: there is nothing to discover.
pub(super) fn discovery(_: &Call) -> Reply {
    Err(Refusal::new(404, "OIDC Discovery endpoint disabled"))
}

/// At a task's socket: only who has a good token is listened to.
pub(super) fn authenticate(call: &Call) -> Result<(), Refusal> {
    if rights::token(&call.headers).is_empty() {
        return Err(Refusal::new(401, "Unauthorized"));
    }
    match call.server.view(|view, now| rights::caller(call, view.nomad, now)) {
        Ok(_) => Ok(()),
        Err(BadToken::Unknown) => Err(Refusal::new(403, "Forbidden")),
        Err(BadToken::Expired | BadToken::Signed(_)) => {
            Err(Refusal::new(500, "Server error authenticating request\n"))
        }
    }
}
