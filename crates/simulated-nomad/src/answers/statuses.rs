//! `POST /v1/jobs/statuses`: many children at once, waiting for a change where that is asked for.

use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{Call, Reply};
use super::reading::Found;
use super::refusal::Refusal;
use crate::jobs::JobKey;
use crate::queries::ChildStatus;

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

pub(super) async fn statuses(call: Call) -> Reply {
    let asked = match call.body.as_ref() {
        b"" => Asked::default(),
        body => serde_json::from_slice::<Asked>(body)
            .map_err(|error| Refusal::new(400, error.to_string()))?,
    };
    let key = |id: Id| JobKey { namespace: id.namespace, id: id.id };
    let keys: Vec<JobKey> = asked.jobs.unwrap_or_default().into_iter().map(key).collect();
    call.read(|view, _, _| {
        let (index, found) = view.nomad.statuses(&keys);
        Ok(Found::list(index, found.iter().map(status).collect()))
    })
    .await
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
