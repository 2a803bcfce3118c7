//! What the world needs to know to check a workload's identity.
//!
//! The keys themselves are in `identity/keys.rs`.

use axum::http::header::{AUTHORIZATION, CACHE_CONTROL};
use axum::http::{HeaderMap, HeaderValue};

use super::call::{Call, Reply};
use super::reading::Found;
use super::refusal::Refusal;
use crate::http::Server;
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
pub(super) fn authenticate(server: &Server, headers: &HeaderMap) -> Result<(), Refusal> {
    let token = token(headers).ok_or_else(|| Refusal::new(401, "Unauthorized"))?;
    let proven =
        server.with(|nomad, now| server.keys().proven(token, now, |it| nomad.standing(it)));
    if has_form_of_secret(token) || proven.is_ok() {
        return Ok(());
    }
    Err(Refusal::new(500, "Server error authenticating request\n"))
}

/// `X-Nomad-Token`, or what a bearer has.
fn token(headers: &HeaderMap) -> Option<&str> {
    let own = headers.get("x-nomad-token").and_then(|it| it.to_str().ok()).map(str::trim);
    own.filter(|it| !it.is_empty()).or_else(|| {
        let bearer = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?.trim();
        (!bearer.is_empty()).then_some(bearer)
    })
}

/// A UUID. Everything else is taken for a workload's identity.
fn has_form_of_secret(token: &str) -> bool {
    let parts: Vec<usize> = token.split('-').map(str::len).collect();
    parts == [8, 4, 4, 4, 12] && token.bytes().all(|it| it == b'-' || it.is_ascii_hexdigit())
}
