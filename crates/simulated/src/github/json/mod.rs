//! The JSON of answers and payloads, with every field that GitHub's descriptions require.
//!
//! Shapes from @octokit/openapi 23.0.2 (REST) and @octokit/openapi-webhooks 12.1.0. Nothing is
//! decided here. Read next: `repository.rs`, `job.rs`.

mod account;
mod app;
pub(super) mod event;
mod gitea;
mod hook;
mod job;
mod repository;
mod run;
mod runner;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

pub(super) use account::{authenticated_user, full_organization, public_user};
pub(super) use app::{
    account, add_installation, add_repository, app, conversion, hook_config, http_date,
    installation, installation_token, minimal_repositories,
};
pub(super) use gitea::pull_request;
pub(super) use hook::{delivery, delivery_item, hook, ping};
pub(super) use job::{job, job_event};
pub(super) use repository::{full as full_repository, repository};
pub(super) use run::run;
pub(super) use runner::runner;

use super::model::Millis;

/// `2026-11-24T06:00:00Z`, as most of GitHub's fields have it.
pub(super) fn time(at: Millis) -> String {
    timestamp(at).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `2026-11-24T06:00:00.123Z`, as steps and deliveries have it.
pub(super) fn precise_time(at: Millis) -> String {
    timestamp(at).strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// `2026-11-23T22:00:00.123-08:00`: a token's `expires_at` comes with an offset (docs, REST
/// "Create a registration token for a repository").
pub(super) fn offset_time(at: Millis) -> String {
    const OFFSET: Millis = 8 * 60 * 60 * 1_000;
    format!("{}-08:00", timestamp(at - OFFSET).strftime("%Y-%m-%dT%H:%M:%S.%3f"))
}

fn timestamp(at: Millis) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(at).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

fn node_id(kind: &str, id: u64) -> String {
    STANDARD.encode(format!("{:03}:{kind}{id}", kind.len()))
}

/// Adds the fields of `more` to `object`.
fn extend(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}
