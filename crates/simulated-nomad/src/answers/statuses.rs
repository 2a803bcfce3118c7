//! `POST /v1/jobs/statuses`: many children at once, waiting for a change where that is asked for.

use std::time::Duration;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::HeaderValue;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{parameter, refused};
use crate::http::Server;
use crate::jobs::JobKey;
use crate::queries::ChildStatus;

/// Nomad's own, where nothing is said, and its greatest.
const WAIT: Duration = Duration::from_secs(300);
const MAX_WAIT: Duration = Duration::from_secs(600);

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Asked {
    #[serde(default)]
    jobs: Option<Vec<Id>>,
}

#[derive(Deserialize)]
struct Id {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Namespace")]
    namespace: String,
}

pub(super) async fn statuses(
    State(server): State<Server>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    let asked = match serde_json::from_slice::<Asked>(&body) {
        Ok(asked) => asked,
        Err(error) => return refused(400, error.to_string()),
    };
    let key = |id: Id| JobKey { namespace: id.namespace, id: id.id };
    let keys: Vec<JobKey> = asked.jobs.unwrap_or_default().into_iter().map(key).collect();
    let query = query.as_deref();
    let index = parameter(query, "index").and_then(|index| index.parse::<u64>().ok());
    let wait = parameter(query, "wait").and_then(|text| duration(&text)).unwrap_or(WAIT);
    let deadline = Instant::now() + wait.min(MAX_WAIT);
    let mut changed = server.changes();
    loop {
        changed.mark_unchanged();
        let (now, jobs) = server.view(|view, _| {
            let (index, found) = view.nomad.statuses(&keys);
            (index, found.iter().map(status).collect::<Vec<_>>())
        });
        let news = index.is_none_or(|index| now > index);
        if news || tokio::time::timeout_at(deadline, changed.changed()).await.is_err() {
            let mut response = Json(jobs).into_response();
            response.headers_mut().insert("x-nomad-index", HeaderValue::from(now));
            return response;
        }
    }
}

fn status(found: &ChildStatus<'_>) -> Value {
    let allocations: Vec<Value> = found
        .allocations
        .iter()
        .map(|one| {
            json!({
                "ID": one.id, "ClientStatus": one.client_status.as_str(), "NodeID": one.node,
                "JobVersion": 0,
            })
        })
        .collect();
    json!({
        "ID": found.key.id, "Namespace": found.key.namespace, "Name": found.key.id,
        "Type": "batch", "ParentID": found.child.parent, "Status": found.status.as_str(),
        "Stop": found.child.stop, "Allocs": allocations, "ChildStatuses": null,
        "ModifyIndex": found.child.modify_index,
    })
}

/// As Go writes lengths of time, with one unit.
fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    match &text[digits..] {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(60 * number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_read_as_go_writes_them() {
        assert_eq!(duration("1500ms"), Some(Duration::from_millis(1_500)));
        assert_eq!(duration("30s"), Some(Duration::from_secs(30)));
        assert_eq!(duration("2m"), Some(Duration::from_secs(120)));
        assert_eq!(duration("soon"), None);
    }
}
