//! What the agent says of itself, and of the servers it knows.
//!
//! Read next: `routes.rs`.

use serde_json::{Map, Value, json};

use super::call::{Call, Reply, Stated};
use crate::VERSION;
use crate::acl::Acl;
use crate::config::Config;

pub(super) fn leader(call: &Call) -> Reply {
    call.server.view(|view, now| call.admit(view, &Stated::default(), now))?;
    Ok(call.json(&json!(rpc_address(call))))
}

pub(super) fn own(call: &Call) -> Reply {
    let acl = call.server.view(|view, now| {
        call.admit(view, &Stated::default(), now).map(|_| settings(view.nomad.acl()))
    })?;
    let config = call.server.config();
    Ok(call.json(&json!({
        "config": {
            "Datacenter": config.datacenter, "Region": config.region, "NodeName": config.name,
            "ACL": acl,
            "Server": {"Enabled": config.is_server()}, "Client": {"Enabled": config.is_client()},
            "Version": {
                "Version": VERSION, "VersionMetadata": "", "VersionPrerelease": "",
                "Revision": "", "BuildDate": null,
            },
        },
        "member": member(config),
        "stats": {"nomad": {
            "bootstrap": "true", "known_regions": "1", "leader": "true",
            "leader_addr": rpc_address(call), "server": "true",
        }},
    })))
}

/// Where its servers are spoken to, by clients of the cluster.
fn rpc_address(call: &Call) -> String {
    let config = call.server.config();
    format!("{}:{}", config.bind_addr, config.ports.rpc)
}

/// The agent as a member of the servers' gossip.
fn member(config: &Config) -> Value {
    json!({
        "Addr": config.bind_addr, "Port": config.ports.serf,
        "Name": format!("{}.{}", config.name, config.region), "Status": "alive",
        "ProtocolCur": 2, "ProtocolMax": 5, "ProtocolMin": 1,
        "DelegateCur": 4, "DelegateMax": 5, "DelegateMin": 2,
        "Tags": {
            "build": VERSION, "region": config.region, "dc": config.datacenter, "role": "nomad",
            "bootstrap": "1",
        },
    })
}

pub(super) fn peers(call: &Call) -> Reply {
    call.server.view(|view, now| call.admit(view, &Stated::default(), now))?;
    Ok(call.json(&json!([rpc_address(call)])))
}

pub(super) fn regions(call: &Call) -> Reply {
    Ok(call.json(&json!([call.server.config().region])))
}

pub(super) fn health(call: &Call) -> Reply {
    let config = call.server.config();
    let mut all = Map::new();
    for (name, is) in [("client", config.is_client()), ("server", config.is_server())] {
        if is {
            all.insert(name.to_owned(), json!({"message": "ok", "ok": true}));
        }
    }
    Ok(call.json(&Value::Object(all)))
}

pub(super) fn members(call: &Call) -> Reply {
    let config = call.server.config();
    Ok(call.json(&json!({
        "ServerName": config.name, "ServerRegion": config.region, "ServerDC": config.datacenter,
        "Members": [member(config)],
    })))
}

/// Those that can be set here; the others are Nomad's defaults. Times are nanoseconds.
fn settings(acl: &Acl) -> Value {
    const CACHED: u64 = 30_000_000_000;
    json!({
        "Enabled": acl.enabled, "TokenTTL": CACHED, "PolicyTTL": CACHED, "RoleTTL": CACHED,
        "ReplicationToken": "", "TokenMinExpirationTTL": acl.lifetimes.least,
        "TokenMaxExpirationTTL": acl.lifetimes.most,
    })
}
