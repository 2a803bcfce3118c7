//! `GET /v1/nodes` and `GET /v1/node/:id`.
//!
//! Read next: `../nodes.rs`.

use serde_json::{Map, Value, json};

use super::call::{Call, Reply};
use super::reading::Found;
use super::refusal::Refusal;
use crate::VERSION;
use crate::model::Millis;
use crate::nodes::Node;
use crate::tables::Table;

pub(super) async fn list(call: Call) -> Reply {
    call.read(|view, _, options| {
        let found = view.nomad.nodes().filter(|node| node.id.starts_with(&options.prefix));
        let list: Value = found.map(|node| Value::Object(stub(node))).collect();
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
        "Status": if node.down { "down" } else { "ready" }, "StatusDescription": "",
        "Drain": node.draining,
        "SchedulingEligibility": if node.draining { "ineligible" } else { "eligible" },
        "Drivers": drivers(node), "HostVolumes": volumes(node), "LastDrain": null,
        "CreateIndex": node.create_index, "ModifyIndex": node.modify_index,
    });
    stub.as_object().cloned().unwrap_or_default()
}

fn whole(node: &Node) -> Value {
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
        "Attributes": attributes, "DrainStrategy": null, "HTTPAddr": spec.http_address,
        "Meta": spec.meta, "Links": {}, "SecretID": "", "TLSEnabled": false,
        "StatusUpdatedAt": node.updated_at / 1_000, "Events": [],
        "NodeResources": {
            "Cpu": {"CpuShares": spec.cpu_mhz, "TotalCpuCores": spec.cores},
            "Memory": {"MemoryMB": spec.memory_mb}, "Disk": {"DiskMB": spec.disk_mb},
        },
        "Resources": {
            "CPU": spec.cpu_mhz, "MemoryMB": spec.memory_mb, "DiskMB": spec.disk_mb,
            "Cores": spec.cores,
        },
    });
    all.extend(more.as_object().cloned().unwrap_or_default());
    Value::Object(all)
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
