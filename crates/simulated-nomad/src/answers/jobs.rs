//! Jobs: the list, one of them, its dispatch, its placements, its end.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::filter::Filter;
use super::{namespace, parameter, refused, shapes};
use crate::dispatching::DispatchCall;
use crate::http::Server;
use crate::jobs::JobKey;

type Query = Option<String>;

fn key(query: Option<&str>, id: &str) -> JobKey {
    JobKey { namespace: namespace(query), id: id.to_owned() }
}

pub(super) async fn list(State(server): State<Server>, RawQuery(query): RawQuery) -> Response {
    let query = query.as_deref();
    let filter = match parameter(query, "filter").map(|text| Filter::read(&text)).transpose() {
        Ok(filter) => filter,
        Err(why) => return refused(400, why),
    };
    let number = |name| parameter(query, name).and_then(|text| text.parse::<usize>().ok());
    let (prefix, next) = (parameter(query, "prefix"), parameter(query, "next_token"));
    let (space, per_page) = (namespace(query), number("per_page").filter(|it| *it > 0));
    let (mut page, next) = server.view(|view, _| {
        let registered = view.nomad.registered().map(|(key, _)| (key, None));
        let children = view.nomad.children().map(|(key, child)| (key, child.token.as_deref()));
        let mut found: Vec<&JobKey> = registered
            .chain(children)
            .filter(|(key, token)| {
                key.namespace == space
                    && prefix.as_ref().is_none_or(|prefix| key.id.starts_with(prefix))
                    && filter.as_ref().is_none_or(|filter| filter.holds(*token))
                    && next.as_ref().is_none_or(|next| key.id >= *next)
            })
            .map(|(key, _)| key)
            .collect();
        found.sort();
        let after = per_page.and_then(|length| found.get(length)).map(|key| key.id.clone());
        found.truncate(per_page.unwrap_or(usize::MAX));
        let page: Vec<Value> =
            found.into_iter().filter_map(|key| shapes::stub(view, key)).collect();
        (Json(page).into_response(), after)
    });
    if let Some(next) = next.and_then(|next| next.parse().ok()) {
        page.headers_mut().insert("x-nomad-nexttoken", next);
    }
    page
}

pub(super) async fn one(
    State(server): State<Server>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let key = key(query.as_deref(), &id);
    match server.view(|view, _| shapes::job(view, &key)) {
        Some(job) => Json(job).into_response(),
        None => refused(404, "job not found"),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Dispatch {
    #[serde(default)]
    payload: Option<String>,
    #[serde(default)]
    meta: Option<BTreeMap<String, String>>,
}

pub(super) async fn dispatch(
    State(server): State<Server>,
    Path(parent): Path<String>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    let Ok(asked) = serde_json::from_slice::<Dispatch>(&body) else {
        return refused(400, "the body is no dispatch in JSON");
    };
    let payload = asked.payload.filter(|it| !it.is_empty()).map(|text| STANDARD.decode(text));
    let payload = payload.transpose().ok().map(|bytes| bytes.map(String::from_utf8).transpose());
    let Some(Ok(payload)) = payload else {
        return refused(400, "the payload is no text in base64");
    };
    let call = DispatchCall {
        token: parameter(query.as_deref(), "idempotency_token").filter(|it| !it.is_empty()),
        payload,
        meta: asked.meta.unwrap_or_default(),
    };
    let parent = key(query.as_deref(), &parent);
    let answer = server.view(|view, now| {
        let dispatched = view.nomad.dispatch(&parent, call, now)?;
        Ok((dispatched, view.nomad.index()))
    });
    match answer {
        Ok((dispatched, index)) => Json(json!({
            "DispatchedJobID": dispatched.child, "EvalID": dispatched.evaluation,
            "JobCreateIndex": index, "EvalCreateIndex": index, "Index": index,
            "LastContact": 0, "KnownLeader": false, "NextToken": "",
        }))
        .into_response(),
        Err(why) => {
            let why: crate::Refused = why;
            refused(why.status, why.text)
        }
    }
}

pub(super) async fn allocations(
    State(server): State<Server>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Json<Vec<Value>> {
    let key = key(query.as_deref(), &id);
    Json(server.view(|view, _| {
        let view = &*view;
        view.nomad.allocations_of(&key).map(|one| shapes::allocation(view, one)).collect()
    }))
}

pub(super) async fn evaluations(
    State(server): State<Server>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Json<Vec<Value>> {
    let key = key(query.as_deref(), &id);
    Json(server.view(|view, _| {
        let view = &*view;
        view.nomad.evaluations_of(&key).map(|one| shapes::evaluation(view, one)).collect()
    }))
}

pub(super) async fn deregister(
    State(server): State<Server>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Json<Value> {
    let query: Query = query;
    let query = query.as_deref();
    let purge = parameter(query, "purge").is_some_and(|it| matches!(it.as_str(), "true" | "1"));
    let key = key(query, &id);
    let index = server.view(|view, now| {
        view.nomad.stop(&key, purge, now);
        view.nomad.index()
    });
    Json(json!({"EvalID": "", "EvalCreateIndex": 0, "JobModifyIndex": index, "Index": index}))
}

pub(super) async fn collect(State(server): State<Server>) {
    server.view(|view, now| {
        view.nomad.system_gc(now);
    });
}

pub(super) async fn nodes(State(server): State<Server>) -> Json<Vec<Value>> {
    let node = |node: &crate::Node| {
        json!({
            "ID": node.id, "Name": shapes::NODE_NAME, "Datacenter": "dc1", "NodePool": "default",
            "Status": if node.down { "down" } else { "ready" }, "Drain": node.draining,
            "SchedulingEligibility": if node.draining { "ineligible" } else { "eligible" },
            "Drivers": {"raw_exec": {"Detected": true, "Healthy": true}},
        })
    };
    Json(server.view(|view, _| view.nomad.nodes().map(node).collect()))
}
