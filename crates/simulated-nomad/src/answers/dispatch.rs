//! `PUT /v1/job/:parent/dispatch`, and `/dispatch/payload`, whose whole body is the payload.
//!
//! Read next: `dispatching.rs` in the model.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::call::{Call, Reply, Stated, Written};
use super::gojson::{self, Shape, Struct};
use super::operator;
use super::refusal::Refusal;
use crate::dispatching::DispatchCall;
use crate::jobs::JobKey;

static REQUEST: Struct = Struct {
    name: "structs.JobDispatchRequest",
    fields: &[
        ("JobID", Shape::Text),
        ("Payload", Shape::Bytes),
        ("Meta", Shape::Map(&Shape::Text)),
        ("IdPrefixTemplate", Shape::Text),
        ("Priority", Shape::Int),
        ("IdempotencyToken", Shape::Text),
        ("Namespace", Shape::Text),
        ("Region", Shape::Text),
    ],
};

pub(super) fn dispatch(call: &Call, parent: &str) -> Reply {
    if call.body.is_empty() {
        return Err(Refusal::new(400, "Request body is empty"));
    }
    let asked = gojson::decode(&call.body, &REQUEST).map_err(|why| Refusal::new(400, why))?;
    let text = |name: &str| asked[name].as_str().map(str::to_owned).filter(|it| !it.is_empty());
    if text("JobID").is_some_and(|id| id != parent) {
        return Err(Refusal::new(400, "Job ID does not match"));
    }
    let none = serde_json::Map::new();
    let meta = asked["Meta"].as_object().unwrap_or(&none);
    let entry = |(key, value): (&String, &Value)| {
        // A value that is null is Go's empty text.
        (key.clone(), value.as_str().unwrap_or_default().to_owned())
    };
    let dispatch = DispatchCall {
        token: text("IdempotencyToken"),
        // It was decoded already, to see whether that can be done.
        payload: text("Payload")
            .and_then(|text| STANDARD.decode(text.replace(['\r', '\n'], "")).ok()),
        meta: meta.iter().map(entry).collect(),
        id_prefix: text("IdPrefixTemplate").unwrap_or_default(),
        priority: asked["Priority"].as_i64().filter(|it| *it != 0),
    };
    send(call, parent, dispatch, &Stated { namespace: text("Namespace"), region: text("Region") })
}

pub(super) fn payload(call: &Call, parent: &str) -> Reply {
    let payload = Some(call.body.to_vec()).filter(|payload| !payload.is_empty());
    let dispatch = DispatchCall { payload, ..DispatchCall::default() };
    send(call, parent, dispatch, &Stated::default())
}

fn send(call: &Call, parent: &str, mut dispatch: DispatchCall, stated: &Stated) -> Reply {
    if let Some(token) = call.query.said("idempotency_token") {
        dispatch.token = Some(token.to_owned());
    }
    call.write_as(stated, |view, admitted, now| {
        operator::takes_jobs(view, &admitted.caller)?;
        let parent = JobKey::new(&admitted.namespace, parent);
        let dispatched = view.nomad.dispatch(&parent, dispatch, now)?;
        let eval_index = if dispatched.evaluation.is_empty() { 0 } else { dispatched.index };
        let body = json!({
            "DispatchedJobID": dispatched.child, "EvalID": dispatched.evaluation,
            "JobCreateIndex": dispatched.create_index, "EvalCreateIndex": eval_index,
            "Index": dispatched.index,
        });
        Ok(Written::new(dispatched.index, body))
    })
}
