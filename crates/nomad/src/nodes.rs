//! `GET /v1/nodes` with resources: which nodes there are, as far as that decides whether a job has a
//! place at all. What is used of them at the moment is not asked. Read next: `needs.rs`.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::connection::Place;
use super::endpoint::Endpoint;
use super::error::Error;
use super::transport::{Call, Client};
use super::wire::{self, Map};

/// A client of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub name: String,
    pub datacenter: String,
    pub pool: String,
    /// It is up, and takes new work.
    pub takes_work: bool,
    /// Those that were found there and are well.
    pub drivers: BTreeSet<String>,
    /// Without what the operator keeps back; `None` where Nomad does not say.
    pub room: Option<Room>,
}

/// What a node has, or a job asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    pub cpu_mhz: u64,
    pub memory_mb: u64,
    pub disk_mb: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireNode {
    #[serde(default, deserialize_with = "wire::or_default")]
    name: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    datacenter: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    node_pool: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    status: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    scheduling_eligibility: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    drain: bool,
    #[serde(default)]
    drivers: Map<WireDriver>,
    node_resources: Option<WireRoom>,
    reserved_resources: Option<WireRoom>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireDriver {
    #[serde(default, deserialize_with = "wire::or_default")]
    detected: bool,
    #[serde(default, deserialize_with = "wire::or_default")]
    healthy: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireRoom {
    #[serde(default, deserialize_with = "wire::or_default")]
    cpu: WireCpu,
    #[serde(default, deserialize_with = "wire::or_default")]
    memory: WireMemory,
    #[serde(default, deserialize_with = "wire::or_default")]
    disk: WireDisk,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct WireCpu {
    cpu_shares: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireMemory {
    #[serde(rename = "MemoryMB")]
    memory_mb: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireDisk {
    #[serde(rename = "DiskMB")]
    disk_mb: u64,
}

impl From<WireNode> for Node {
    fn from(wire: WireNode) -> Node {
        let kept = wire.reserved_resources.unwrap_or_default();
        Node {
            takes_work: wire.status == "ready"
                && !wire.drain
                && wire.scheduling_eligibility != "ineligible",
            drivers: wire
                .drivers
                .unwrap_or_default()
                .into_iter()
                .filter_map(|(name, driver)| (driver.detected && driver.healthy).then_some(name))
                .collect(),
            room: wire.node_resources.map(|has| Room {
                cpu_mhz: has.cpu.cpu_shares.saturating_sub(kept.cpu.cpu_shares),
                memory_mb: has.memory.memory_mb.saturating_sub(kept.memory.memory_mb),
                disk_mb: has.disk.disk_mb.saturating_sub(kept.disk.disk_mb),
            }),
            name: wire.name,
            datacenter: wire.datacenter,
            pool: wire.node_pool,
        }
    }
}

impl Client {
    /// All nodes of the place's region.
    ///
    /// # Errors
    /// [`Error::Forbidden`] where the token lacks `node { policy = "read" }`.
    pub async fn nodes(&self, place: &Place) -> Result<Vec<Node>, Error> {
        let call = Call::to(Endpoint::Nodes).at(place).query("resources", "true");
        let (nodes, _) = self.read::<Vec<WireNode>>(call).await?;
        Ok(nodes.into_iter().map(Node::from).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_node_is_what_it_can_take() {
        let node = |more: serde_json::Value| {
            let mut node = json!({
                "Name": "n", "Datacenter": "dc1", "NodePool": "default", "Status": "ready",
                "SchedulingEligibility": "eligible", "Drain": false,
                "Drivers": { "raw_exec": { "Detected": true, "Healthy": true },
                    "docker": { "Detected": true, "Healthy": false }, "java": { "Detected": false } },
                "NodeResources": { "Cpu": { "CpuShares": 4000 }, "Memory": { "MemoryMB": 2000 },
                    "Disk": { "DiskMB": 9000 } },
                "ReservedResources": { "Cpu": { "CpuShares": 500 }, "Memory": { "MemoryMB": 3000 },
                    "Disk": null },
            });
            for (key, value) in more.as_object().unwrap() {
                node[key] = value.clone();
            }
            Node::from(serde_json::from_value::<WireNode>(node).unwrap())
        };
        let usual = node(json!({}));
        assert!(usual.takes_work);
        assert_eq!(usual.drivers, BTreeSet::from(["raw_exec".to_owned()]));
        let room = Room { cpu_mhz: 3500, memory_mb: 0, disk_mb: 9000 };
        assert_eq!(usual.room, Some(room));
        for busy in [
            json!({ "Status": "down" }),
            json!({ "Drain": true }),
            json!({ "SchedulingEligibility": "ineligible" }),
        ] {
            assert!(!node(busy).takes_work);
        }
        let unknown = json!({ "NodeResources": null, "Drivers": null });
        assert_eq!(node(unknown).room, None);
    }
}
