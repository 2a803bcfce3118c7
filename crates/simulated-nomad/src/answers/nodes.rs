//! Nodes: the list, one of them, its drain and eligibility, and what runs on it.
//!
//! Read next: `../nodes.rs`, `../draining.rs`.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::call::{Call, Reply, Written};
use super::reading::Found;
use super::refusal::Refusal;
use super::{allocation_shapes, node_resources};
use crate::VERSION;
use crate::draining::{Drain, NodeChange};
use crate::model::Millis;
use crate::nodes::{Node, NodeEvent};
use crate::tables::Table;

/// In a millisecond.
const NANOS: i64 = 1_000_000;

pub(super) async fn list(call: Call) -> Reply {
    let with_resources = call.query.flag("resources")?.unwrap_or(false);
    call.read(|view, _, options| {
        let found = view.nomad.nodes().filter(|node| node.id.starts_with(&options.prefix));
        let shown = |node| {
            let mut shown = stub(node);
            if with_resources {
                shown.insert("NodeResources".to_owned(), node_resources::has(&node.spec));
                shown.insert("ReservedResources".to_owned(), node_resources::reserved());
            }
            Value::Object(shown)
        };
        let list: Value = found.map(shown).collect();
        Ok(Found::list(view.nomad.table(Table::Nodes), list))
    })
    .await
}

pub(super) async fn one(call: &Call, id: &str) -> Reply {
    if id.len() != 36 {
        let why = "node lookup failed: index error: UUID must be 36 characters";
        return Err(Refusal::new(500, why));
    }
    call.read(|view, _, _| {
        let found = view.nomad.node(id).map(|node| (node.modify_index, whole(node)));
        Ok(Found::one(found, view.nomad.table(Table::Nodes), "node not found"))
    })
    .await
}

/// As in the list.
fn stub(node: &Node) -> Map<String, Value> {
    let spec = &node.spec;
    let address = spec.http_address.rsplit_once(':').map_or("", |(host, _)| host);
    let stub = json!({
        "ID": node.id, "Name": spec.name, "Address": address, "Datacenter": spec.datacenter,
        "NodePool": spec.pool, "NodeClass": spec.class, "Version": VERSION,
        "Status": node.status.as_str(), "StatusDescription": "",
        "Drain": node.drain.is_some(),
        "SchedulingEligibility": if node.eligible { "eligible" } else { "ineligible" },
        "Drivers": drivers(node), "HostVolumes": volumes(node), "LastDrain": null,
        "CreateIndex": node.create_index, "ModifyIndex": node.modify_index,
    });
    stub.as_object().cloned().unwrap_or_default()
}

/// All of it, as one that is read or told of shows it.
pub(super) fn whole(node: &Node) -> Value {
    let spec = &node.spec;
    let attributes: Map<String, Value> = spec
        .attributes
        .iter()
        .map(|(name, value)| (name.strip_prefix("attr.").unwrap_or(name).to_owned(), json!(value)))
        .collect();
    let mut all = stub(node);
    all.remove("Address");
    all.remove("Version");
    let more = json!({
        "Attributes": attributes, "DrainStrategy": node.drain.map(strategy), "HTTPAddr": spec.http_address,
        "Meta": spec.meta, "Links": {}, "SecretID": "", "TLSEnabled": false,
        "StatusUpdatedAt": node.updated_at / 1_000, "Events": node.events.iter().map(event).collect::<Vec<_>>(),
        "NodeResources": node_resources::has(spec), "ReservedResources": node_resources::reserved(),
        "Resources": node_resources::had(spec), "Reserved": null,
        "CSIControllerPlugins": null, "CSINodePlugins": null, "CgroupParent": "",
        "HostNetworks": null, "LastAllocUpdateIndex": 0, "LastMissedHeartbeatIndex": 0,
        "NodeMaxAllocs": 0,
    });
    all.extend(more.as_object().cloned().unwrap_or_default());
    Value::Object(all)
}

fn strategy(drain: Drain) -> Value {
    let force_at = drain.force_at.map_or("0001-01-01T00:00:00Z".to_owned(), date);
    json!({
        "Deadline": deadline(drain.deadline), "IgnoreSystemJobs": drain.ignore_system_jobs,
        "ForceDeadline": force_at, "StartedAt": date(drain.started_at),
    })
}

fn deadline(deadline: Millis) -> i64 {
    if deadline < 0 { -1 } else { deadline * NANOS }
}

fn event(event: &NodeEvent) -> Value {
    json!({
        "Message": event.message, "Subsystem": event.subsystem, "Timestamp": date(event.at),
        "CreateIndex": event.create_index, "Details": null,
    })
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Eligibility {
    #[serde(rename = "NodeID")]
    node: String,
    eligibility: String,
}

/// `PUT /v1/node/:id/eligibility`.
pub(super) fn eligibility(call: &Call, id: &str) -> Reply {
    let asked: Eligibility = body(call)?;
    let id = if asked.node.is_empty() { id.to_owned() } else { asked.node };
    call.write(|view, _, now| {
        if !matches!(asked.eligibility.as_str(), "eligible" | "ineligible") {
            let why = format!("invalid scheduling eligibility {:?}", asked.eligibility);
            return Err(Refusal::new(500, why));
        }
        let eligible = asked.eligibility == "eligible";
        let change = view.nomad.set_eligibility(&id, eligible, now).ok_or_else(absent)?;
        let body = json!({
            "EvalCreateIndex": 0, "EvalIDs": null, "Index": change.index, "NodeModifyIndex": 0,
        });
        Ok(Written::new(change.index, body))
    })
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct DrainRequest {
    drain_spec: Option<DrainSpec>,
    mark_eligible: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct DrainSpec {
    /// Nanoseconds.
    deadline: i64,
    ignore_system_jobs: bool,
}

/// `PUT /v1/node/:id/drain`.
pub(super) fn drain(call: &Call, id: &str) -> Reply {
    let asked: DrainRequest = body(call)?;
    let spec = asked.drain_spec.map(|spec| {
        let deadline = if spec.deadline < 0 { -1 } else { spec.deadline / NANOS };
        (deadline, spec.ignore_system_jobs)
    });
    call.write(|view, _, now| {
        let change = view.nomad.set_drain(id, spec, asked.mark_eligible, now);
        changed(&change.ok_or_else(absent)?)
    })
}

/// `PUT /v1/node/:id/purge`.
pub(super) fn purge(call: &Call, id: &str) -> Reply {
    call.write(|view, _, now| {
        let change = view.nomad.purge_node(id, now);
        changed(&change.ok_or_else(|| Refusal::new(404, "node not found"))?)
    })
}

fn changed(change: &NodeChange) -> Result<Written, Refusal> {
    let evaluations = Some(&change.evaluations).filter(|all| !all.is_empty());
    let body = json!({
        "EvalCreateIndex": change.evaluation_index, "EvalIDs": evaluations,
        "Index": change.index, "NodeModifyIndex": change.index,
    });
    Ok(Written::new(change.index, body))
}

/// `GET /v1/node/:id/allocations`.
pub(super) async fn allocations(call: &Call, id: &str) -> Reply {
    call.read(|view, _, _| {
        let found = view.nomad.allocations().filter(|one| one.node == id);
        let list = found.map(|one| allocation_shapes::stub(view, one)).collect();
        Ok(Found::list(view.nomad.table(Table::Allocations), list))
    })
    .await
}

fn absent() -> Refusal {
    Refusal::new(500, "node not found")
}

fn body<T: serde::de::DeserializeOwned>(call: &Call) -> Result<T, Refusal> {
    serde_json::from_slice(&call.body).map_err(|error| Refusal::new(400, error.to_string()))
}

/// What a node runs tasks with, and docker as a driver that is looked for and not there.
fn drivers(node: &Node) -> Value {
    let at = date(node.updated_at);
    let mut all = Map::new();
    all.insert(
        "docker".to_owned(),
        json!({
            "Attributes": {}, "Detected": false, "Healthy": false,
            "HealthDescription": "Failed to connect to docker daemon", "UpdateTime": at,
        }),
    );
    for driver in &node.spec.drivers {
        let name = format!("driver.{driver}");
        let attributes = Map::from_iter([(name, json!("true"))]);
        let here = json!({
            "Attributes": attributes, "Detected": true, "Healthy": true,
            "HealthDescription": "Healthy", "UpdateTime": at,
        });
        all.insert(driver.clone(), here);
    }
    Value::Object(all)
}

fn volumes(node: &Node) -> Value {
    let named = node.spec.host_volumes.iter().map(|name| (name.clone(), json!({"Name": name})));
    let all: Map<String, Value> = named.collect();
    if all.is_empty() { Value::Null } else { Value::Object(all) }
}

fn date(at: Millis) -> String {
    jiff::Timestamp::from_millisecond(at).unwrap_or_default().to_string()
}
