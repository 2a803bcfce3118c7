//! How jobs, allocations and evaluations look in Nomad's JSON: the fields that a dispatcher reads.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::children::Child;
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
        return Some(self::registered(key, registered));
    }
    view.nomad.child(key).map(|found| child(key, found))
}

/// A child, or a job that runs as it is.
pub(super) fn child(key: &JobKey, child: &Child) -> Value {
    let mut job = child.definition.job.as_object().cloned().unwrap_or_default();
    let payload = child.payload.as_ref().map(|payload| STANDARD.encode(payload));
    let dispatched = !child.parent.is_empty();
    let meta = Some(&child.meta).filter(|meta| !meta.is_empty());
    let own = json!({
        "ID": key.id, "Namespace": key.namespace, "ParentID": child.parent,
        "Status": child.status().as_str(), "Stop": child.stop, "Dispatched": dispatched,
        "DispatchIdempotencyToken": child.token.clone().unwrap_or_default(),
        "Payload": payload, "Meta": meta, "Version": child.version,
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
    Value::Object(job)
}

/// A job that is dispatched.
pub(super) fn registered(key: &JobKey, registered: &Registered) -> Value {
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

/// `Resources`, of which only these are asked for.
pub(super) fn resources(asked: &[(&str, u64)]) -> Value {
    let mut all = json!({
        "CPU": 0, "Cores": 0, "Devices": null, "DiskMB": 0, "IOPS": 0, "MemoryMB": 0,
        "MemoryMaxMB": 0, "NUMA": null, "Networks": null, "SecretsMB": 0,
    });
    for (name, value) in asked {
        all[*name] = json!(value);
    }
    all
}
