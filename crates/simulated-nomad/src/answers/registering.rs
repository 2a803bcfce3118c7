//! Registering a job, in JSON.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::refused;
use crate::http::Server;
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
    let key = JobKey { namespace: read.namespace, id: read.id };
    let (evaluation, index) = server.view(|view, now| {
        let plan = Some(Arc::new(read.plan));
        let evaluation = view.nomad.register_job(key, read.spec, job, plan, now);
        (evaluation, view.nomad.index())
    });
    // A parameterized job has no evaluation of its own.
    let eval_index = if evaluation.is_some() { index } else { 0 };
    Json(json!({
        "EvalID": evaluation.unwrap_or_default(), "EvalCreateIndex": eval_index,
        "JobModifyIndex": index, "Index": index,
    }))
    .into_response()
}
