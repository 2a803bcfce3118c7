//! How jobs, allocations and evaluations look in Nomad's JSON: the fields that a dispatcher reads.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::allocations::Allocation;
use crate::children::JobStatus;
use crate::evaluations::{Evaluation, EvaluationStatus};
use crate::http::View;
use crate::jobs::{JobKey, Registered};
use crate::model::Millis;

/// Go writes times as nanoseconds since 1970.
fn nanos(at: Millis) -> i64 {
    at * 1_000_000
}

/// When the job was changed last, be it registered or a child.
pub(super) fn modify_index(view: &View<'_>, key: &JobKey) -> Option<u64> {
    let registered = view.nomad.job(key).map(|job| job.modify_index);
    registered.or_else(|| view.nomad.child(key).map(|child| child.modify_index))
}

/// `GET /v1/job/:id`, of a registered job or of a child.
pub(super) fn job(view: &View<'_>, key: &JobKey) -> Option<Value> {
    if let Some(registered) = view.nomad.job(key) {
        return Some(parent(key, registered));
    }
    let child = view.nomad.child(key)?;
    let mut job = child.definition.job.as_object().cloned().unwrap_or_default();
    let payload = child.payload.as_ref().map(|payload| STANDARD.encode(payload));
    let dispatched = !child.parent.is_empty();
    let own = json!({
        "ID": key.id, "Namespace": key.namespace, "ParentID": child.parent,
        "Status": view.nomad.status(key).map(JobStatus::as_str), "Stop": child.stop,
        "Dispatched": dispatched,
        "DispatchIdempotencyToken": child.token.clone().unwrap_or_default(),
        "Payload": payload, "Meta": child.meta,
        "Version": if dispatched { 0 } else { child.definition.version },
        "SubmitTime": nanos(child.submit_time), "CreateIndex": child.create_index,
        "ModifyIndex": child.modify_index, "JobModifyIndex": child.job_modify_index,
    });
    extend(&mut job, own);
    if let Some(priority) = child.priority {
        extend(&mut job, json!({"Priority": priority}));
    }
    if dispatched {
        extend(&mut job, json!({"Name": key.id}));
    }
    Some(Value::Object(job))
}

fn parent(key: &JobKey, registered: &Registered) -> Value {
    let definition = &registered.definition;
    let mut job = definition.job.as_object().cloned().unwrap_or_default();
    let own = json!({
        "ID": key.id, "Namespace": key.namespace, "ParentID": "",
        "Status": if registered.stop { "dead" } else { "running" }, "Stop": registered.stop,
        "Dispatched": false, "DispatchIdempotencyToken": "", "Payload": null,
        "Version": definition.version, "SubmitTime": nanos(definition.submit_time),
        "CreateIndex": registered.create_index, "ModifyIndex": registered.modify_index,
        "JobModifyIndex": registered.job_modify_index,
    });
    extend(&mut job, own);
    Value::Object(job)
}

fn extend(job: &mut Map<String, Value>, own: Value) {
    if let Value::Object(own) = own {
        job.extend(own);
    }
}

/// The allocation's task group.
pub(super) fn group<'a>(view: &'a View<'_>, one: &Allocation) -> &'a str {
    view.nomad.child(&one.child).map_or("", |it| it.definition.group())
}

pub(super) fn evaluation(view: &View<'_>, one: &Evaluation) -> Value {
    let group = view.nomad.child(&one.job).map_or("", |it| it.definition.group());
    let failed = one.failure.as_ref().map(|failure| {
        json!({group: {
            "NodesEvaluated": failure.nodes_evaluated, "NodesFiltered": failure.nodes_filtered,
            "NodesExhausted": failure.nodes_exhausted, "NodesInPool": failure.nodes_in_pool,
            "NodePool": "default", "NodesAvailable": {"dc1": failure.nodes_in_pool},
            "ConstraintFiltered": failure.constraint_filtered,
            "DimensionExhausted": failure.dimension_exhausted, "QuotaExhausted": null,
        }})
    });
    let waits = one.status == EvaluationStatus::Blocked;
    json!({
        "ID": one.id, "Namespace": one.job.namespace, "JobID": one.job.id,
        "Status": one.status.as_str(), "TriggeredBy": one.triggered_by,
        "StatusDescription": if waits { "created to place remaining allocations" } else { "" },
        "BlockedEval": one.blocked_eval.clone().unwrap_or_default(), "FailedTGAllocs": failed,
        "CreateTime": nanos(one.created_at), "ModifyTime": nanos(one.modified_at),
        "CreateIndex": one.create_index, "ModifyIndex": one.modify_index,
    })
}
