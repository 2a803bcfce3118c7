//! Jobs as lists show them, and how their allocations or their children fare.
//!
//! Read next: `shapes.rs` (whole jobs), `statuses.rs`.

use serde_json::{Map, Value, json};

use super::shapes;
use crate::allocations::ClientStatus;
use crate::children::JobStatus;
use crate::http::View;
use crate::jobs::JobKey;

/// `GET /v1/jobs`, one of them.
pub(super) fn stub(view: &View<'_>, key: &JobKey, with_meta: bool) -> Option<Value> {
    let whole = shapes::job(view, key)?;
    let mut stub = Map::new();
    let fields = [
        "CreateIndex",
        "Datacenters",
        "ID",
        "JobModifyIndex",
        "ModifyIndex",
        "Multiregion",
        "Name",
        "Namespace",
        "NodePool",
        "ParentID",
        "Priority",
        "Status",
        "StatusDescription",
        "Stop",
        "SubmitTime",
        "Type",
    ];
    for field in fields {
        stub.insert(field.to_owned(), whole[field].clone());
    }
    // What was dispatched is like its parent, but cannot be dispatched.
    let parameterized = !whole["ParameterizedJob"].is_null() && whole["Dispatched"] != true;
    stub.insert("ParameterizedJob".to_owned(), json!(parameterized));
    stub.insert("Periodic".to_owned(), json!(!whole["Periodic"].is_null()));
    if with_meta {
        stub.insert("Meta".to_owned(), whole["Meta"].clone());
    }
    stub.insert("JobSummary".to_owned(), summary(view, key));
    Some(Value::Object(stub))
}

/// `GET /v1/job/:id/summary`.
pub(super) fn summary(view: &View<'_>, key: &JobKey) -> Value {
    let nomad = &*view.nomad;
    let children = nomad.children_counts(key);
    let (definition, create_index) = match (nomad.job(key), nomad.child(key)) {
        (Some(job), _) => (&job.definition, job.create_index),
        (None, Some(child)) => (&child.definition, child.create_index),
        (None, None) => return Value::Null,
    };
    let placed = nomad.allocations_of(key).map(|one| one.modify_index);
    let evaluated = nomad.evaluations_of(key).map(|one| one.modify_index);
    let of_children = nomad.children_of(key).map(|(_, of)| of.modify_index);
    let modify_index = placed.chain(evaluated).chain(of_children).max().unwrap_or(0);
    let groups = definition.job["TaskGroups"].as_array().cloned().unwrap_or_default();
    let groups = groups.iter().filter_map(|group| group["Name"].as_str());
    let groups: Map<String, Value> =
        groups.map(|name| (name.to_owned(), of_group(view, key, name))).collect();
    json!({
        "JobID": key.id, "Namespace": key.namespace, "Summary": groups,
        "Children": {
            "Pending": children.pending, "Running": children.running, "Dead": children.dead,
        },
        "CreateIndex": create_index, "ModifyIndex": modify_index.max(create_index),
    })
}

/// The statuses of whatever was dispatched from the job.
pub(super) fn children(view: &View<'_>, key: &JobKey) -> impl Iterator<Item = JobStatus> {
    let keys = view.nomad.children_of(key);
    keys.filter_map(|(child, _)| view.nomad.status(child))
}

fn of_group(view: &View<'_>, key: &JobKey, group: &str) -> Value {
    let count = |status| {
        let all = view.nomad.allocations_of(key).filter(|one| one.group == group);
        all.filter(|one| one.client_status == status).count()
    };
    let queued = view.nomad.child(key).and_then(|child| child.queued.get(group));
    json!({
        "Queued": queued.copied().unwrap_or(0),
        "Starting": count(ClientStatus::Pending), "Running": count(ClientStatus::Running),
        "Complete": count(ClientStatus::Complete), "Failed": count(ClientStatus::Failed),
        "Lost": count(ClientStatus::Lost), "Unknown": count(ClientStatus::Unknown),
    })
}
