//! What the agent says of itself, and of the servers it knows.
//!
//! Read next: `own.rs` (itself), `routes.rs`.

use serde_json::{Map, Value, json};

use super::call::{Call, Reply, Stated};
use crate::VERSION;
use crate::config::Config;

pub(super) fn leader(call: &Call) -> Reply {
    call.server.view(|view, now| call.admit(view, &Stated::default(), now))?;
    Ok(call.json(&json!(rpc_address(call))))
}

/// Where its servers are spoken to, by clients of the cluster.
pub(super) fn rpc_address(call: &Call) -> String {
    let config = call.server.config();
    format!("{}:{}", config.bind_addr, config.ports.rpc)
}

/// The agent as a member of the servers' gossip.
pub(super) fn member(config: &Config) -> Value {
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
    call.server.view(|view, now| call.admit(view, &Stated::default(), now))?;
    let config = call.server.config();
    Ok(call.json(&json!({
        "ServerName": config.name, "ServerRegion": config.region, "ServerDC": config.datacenter,
        "Members": [member(config)],
    })))
}
