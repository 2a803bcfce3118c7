//! What the agent says of itself, and of the servers it knows.
//!
//! Read next: `routes.rs`.

use serde_json::{Value, json};

use super::REGION;
use super::call::{Call, Reply, Stated};
use crate::VERSION;
use crate::acl::Acl;

pub(super) fn leader(call: &Call) -> Reply {
    call.server.view(|view, now| call.admit(view, &Stated::default(), now))?;
    Ok(call.json(&json!("127.0.0.1:4647")))
}

pub(super) fn own(call: &Call) -> Reply {
    let acl = call.server.view(|view, now| {
        call.admit(view, &Stated::default(), now).map(|_| settings(view.nomad.acl()))
    })?;
    Ok(call.json(&json!({
        "config": {
            "ACL": acl,
            "Datacenter": "dc1",
            "Region": REGION,
            "Version": {"Version": VERSION, "VersionMetadata": "stand-in"},
        },
        "member": {"Name": "stand-in.global", "Tags": {"build": VERSION, "role": "nomad"}},
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
