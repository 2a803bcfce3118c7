//! `GET /v1/nodes` with resources: which nodes there are, as far as that decides whether a job has a
//! place at all. What is used of them at the moment is not asked. The list does not say what kind of
//! processor a node has; `GET /v1/node/:id` does. Read next: `needs.rs`.

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
    pub id: String,
    pub name: String,
    pub datacenter: String,
    pub pool: String,
    /// It is up, and takes new work.
    pub takes_work: bool,
    /// Those that were found there and are well.
    pub drivers: BTreeSet<String>,
    /// Without what the operator keeps back; `None` where Nomad does not say.
    pub room: Option<Room>,
    /// In Go's words, such as `amd64`; `None` until [`Client::architecture`] was asked.
    pub architecture: Option<String>,
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
    #[serde(default, rename = "ID", deserialize_with = "wire::or_default")]
    id: String,
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

/// The attribute of a node; in a job's constraints `${attr.cpu.arch}`.
pub(super) const ARCHITECTURE: &str = "cpu.arch";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WholeNode {
    #[serde(default)]
    attributes: Map<String>,
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
            id: wire.id,
            architecture: None,
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

    /// What kind of processor a node's Nomad was built for, in Go's words (`amd64`, `arm64`, `arm`);
    /// `None` where the node has not told yet.
    ///
    /// # Errors
    /// As of [`Client::nodes`].
    pub async fn architecture(&self, place: &Place, id: &str) -> Result<Option<String>, Error> {
        let (node, _) = self.read::<WholeNode>(Call::to(Endpoint::Node(id)).at(place)).await?;
        let architecture = node.attributes.unwrap_or_default().remove(ARCHITECTURE);
        Ok(architecture.as_deref().map(wire::text))
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

    #[tokio::test]
    async fn a_node_is_asked_for_its_architecture() {
        let server = wiremock::MockServer::start().await;
        for (id, attributes) in [
            ("pi", json!({ "cpu.arch": "arm", "kernel.name": "linux" })),
            ("new", json!({})),
            ("null", json!(null)),
        ] {
            wiremock::Mock::given(wiremock::matchers::path(format!("/v1/node/{id}")))
                .respond_with(
                    wiremock::ResponseTemplate::new(200)
                        .set_body_json(json!({ "ID": id, "Attributes": attributes })),
                )
                .mount(&server)
                .await;
        }
        let client = crate::testing::client(&server.uri());
        let of = async |id| client.architecture(client.place(), id).await.unwrap();
        assert_eq!(of("pi").await.as_deref(), Some("arm"));
        assert_eq!((of("new").await, of("null").await), (None, None));
    }
}
