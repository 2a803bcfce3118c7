//! What the agent says of itself, and of the servers it knows.
//!
//! Read next: `routes.rs`.

use serde_json::json;

use super::REGION;
use super::call::{Call, Reply, Stated};
use crate::VERSION;

pub(super) fn leader(call: &Call) -> Reply {
    call.server.view(|view, _| call.admit(view, &Stated::default()))?;
    Ok(call.json(&json!("127.0.0.1:4647")))
}

pub(super) fn own(call: &Call) -> Reply {
    Ok(call.json(&json!({
        "config": {
            "Datacenter": "dc1",
            "Region": REGION,
            "Version": {"Version": VERSION, "VersionMetadata": "stand-in"},
        },
        "member": {"Name": "stand-in.global", "Tags": {"build": VERSION, "role": "nomad"}},
    })))
}

/// The token that everybody has where ACLs are off.
pub(super) fn token(call: &Call) -> Reply {
    call.server.view(|view, _| call.admit(view, &Stated::default()))?;
    Ok(call.json(&json!({
        "AccessorID": "acls-disabled", "Name": "ACLs disabled token", "Type": "client",
        "Policies": null, "ExpirationTime": null,
    })))
}
