//! `/v1/namespaces`, `/v1/namespace/:name`, `/v1/node/pools`, `/v1/node/pool/:name`.
//!
//! Read next: `../namespaces.rs`, `../node_pools.rs`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::call::{Call, Reply, Written};
use super::gojson;
use super::reading::Found;
use super::refusal::Refusal;
use crate::acl::OnNodePool;
use crate::namespaces::Namespace;
use crate::node_pools::{IDENTITY_TTL, NodePool};
use crate::tables::Table;

pub(super) async fn list(call: Call) -> Reply {
    call.read(|view, admitted, options| {
        let seen = |one: &&Namespace| {
            one.name.starts_with(&options.prefix) && admitted.caller.may_anything(&one.name)
        };
        let list: Value = view.nomad.namespaces().filter(seen).map(namespace).collect();
        Ok(Found::list(view.nomad.table(Table::Namespaces), list))
    })
    .await
}

pub(super) async fn one(call: Call, name: &str) -> Reply {
    call.read(|view, admitted, _| {
        if !admitted.caller.may_anything(name) {
            return Err(super::rights::denied());
        }
        let found = view.nomad.namespace(name).map(|one| (one.modify_index, namespace(one)));
        Ok(Found::one(found, view.nomad.table(Table::Namespaces), "Namespace not found"))
    })
    .await
}

pub(super) fn set(call: &Call, name: Option<&str>) -> Reply {
    let said = Said::read(call)?;
    if name.is_some_and(|name| name != said.name) {
        return Err(Refusal::new(400, "Namespace name does not match request path"));
    }
    call.write(|view, _, _| {
        let index = view.nomad.set_namespace(&said.name, &said.description, said.rest)?;
        Ok(Written { index: Some(index), body: None })
    })
}

pub(super) fn delete(call: &Call, name: &str) -> Reply {
    call.write(|view, _, _| {
        let index = view.nomad.delete_namespace(name, &call.server.config().region)?;
        Ok(Written { index: Some(index), body: None })
    })
}

pub(super) async fn pools(call: Call) -> Reply {
    call.read(|view, admitted, options| {
        let found = view.nomad.node_pools().filter(|one| {
            one.name.starts_with(&options.prefix)
                && admitted.caller.may_on_node_pool(&one.name, OnNodePool::Read)
        });
        Ok(Found::list(view.nomad.table(Table::NodePools), found.map(pool).collect()))
    })
    .await
}

pub(super) async fn one_pool(call: Call, name: &str) -> Reply {
    call.read(|view, admitted, _| {
        if !admitted.caller.may_on_node_pool(name, OnNodePool::Read) {
            return Err(super::rights::denied());
        }
        let found = view.nomad.node_pool(name).map(|one| (one.modify_index, pool(one)));
        Ok(Found::one(found, view.nomad.table(Table::NodePools), "node pool not found"))
    })
    .await
}

pub(super) fn set_pool(call: &Call, name: Option<&str>) -> Reply {
    let said = Said::read(call)?;
    if name.is_some_and(|name| name != said.name) {
        return Err(Refusal::new(400, "Node pool name does not match request path"));
    }
    call.write(|view, _, _| {
        let index = view.nomad.set_node_pool(&said.name, &said.description, said.rest)?;
        Ok(Written { index: Some(index), body: None })
    })
}

pub(super) fn delete_pool(call: &Call, name: &str) -> Reply {
    call.write(|view, _, _| {
        let index = view.nomad.delete_node_pool(name, &call.server.config().region)?;
        Ok(Written { index: Some(index), body: None })
    })
}

struct Said {
    name: String,
    description: String,
    rest: Map<String, Value>,
}

impl Said {
    fn read(call: &Call) -> Result<Self, Refusal> {
        let body = gojson::value(&call.body).map_err(|why| Refusal::new(400, why))?;
        let mut rest = body.as_object().cloned().unwrap_or_default();
        let mut text = |name: &str| match rest.remove(name) {
            Some(Value::String(text)) => text,
            _ => String::new(),
        };
        Ok(Self { name: text("Name"), description: text("Description"), rest })
    }
}

fn namespace(one: &Namespace) -> Value {
    let said = |name: &str| one.rest.get(name).cloned().unwrap_or(Value::Null);
    json!({
        "Name": one.name, "Description": one.description, "Meta": said("Meta"),
        "Quota": said("Quota").as_str().unwrap_or_default(),
        "Capabilities": said("Capabilities"),
        "NodePoolConfiguration": said("NodePoolConfiguration"),
        "ConsulConfiguration": said("ConsulConfiguration"),
        "VaultConfiguration": said("VaultConfiguration"),
        "Hash": hash(&one.name, &one.description, &one.rest),
        "CreateIndex": one.create_index, "ModifyIndex": one.modify_index,
    })
}

fn pool(one: &NodePool) -> Value {
    let said = |name: &str| one.rest.get(name).cloned().unwrap_or(Value::Null);
    // Those that are built in have none.
    let built_in = one.create_index == 1;
    let hash = (!built_in).then(|| hash(&one.name, &one.description, &one.rest));
    json!({
        "Name": one.name, "Description": one.description, "Meta": said("Meta"), "Hash": hash,
        "NodeIdentityTTL": said("NodeIdentityTTL").as_i64().unwrap_or(IDENTITY_TTL),
        "SchedulerConfiguration": said("SchedulerConfiguration"),
        "CreateIndex": one.create_index, "ModifyIndex": one.modify_index,
    })
}

/// Changes with what is said; the real one's is made otherwise.
fn hash(name: &str, description: &str, rest: &Map<String, Value>) -> String {
    let all = json!([name, description, rest]);
    STANDARD.encode(Sha256::digest(all.to_string()))
}
