//! Registering a job, in JSON.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::refused;
use crate::http::{Definition, Server};
use crate::jobs::JobKey;
use crate::jobspec;

/// The only namespace that there is.
const NAMESPACE: &str = "default";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Register {
    job: Value,
}

/// HCL is Nomad's own language, and Nomad the only one who reads it.
pub(super) async fn parse() -> Response {
    refused(501, "the stand-in for Nomad reads no HCL; send it a job in JSON")
}

pub(super) async fn register(State(server): State<Server>, body: Bytes) -> Response {
    let Ok(Register { job }) = serde_json::from_slice(&body) else {
        return refused(400, "Job must be specified");
    };
    let read = match jobspec::read(&job) {
        Ok(read) => read,
        Err(why) => return refused(501, why),
    };
    if read.namespace != NAMESPACE {
        let namespace = read.namespace;
        return refused(
            500,
            format!("job {:?} is in nonexistent namespace {namespace:?}", read.id),
        );
    }
    if read.spec.payload.is_none() {
        return refused(501, "the stand-in for Nomad runs parameterized jobs only");
    }
    let key = JobKey { namespace: read.namespace, id: read.id };
    let index = server.view(|view, now| {
        let version = view.definitions.get(&key).map_or(0, |known| known.version + 1);
        let plan = Arc::new(read.plan);
        let definition = Definition { job, plan, version, submit_time: now };
        view.definitions.insert(key.clone(), Arc::new(definition));
        view.nomad.register(key, read.spec, now);
        view.nomad.index()
    });
    // A parameterized job has no evaluation of its own.
    Json(json!({"EvalID": "", "EvalCreateIndex": 0, "JobModifyIndex": index, "Index": index}))
        .into_response()
}
