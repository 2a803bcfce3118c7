//! Nodes: what they say of themselves, what the servers take them for, and who has to be looked at
//! when that changes.
//!
//! Drains and eligibility are in `draining.rs`. Read next: `outages.rs`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::changes::Row;
use super::draining::Drain;
use super::evaluations::Trigger;
use super::happenings::What;
use super::jobs::JobKey;
use super::model::{Millis, Nomad};

/// What a client says of its node when it registers it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeSpec {
    pub name: String,
    pub datacenter: String,
    pub pool: String,
    pub class: String,
    /// Where its own HTTP API is.
    pub http_address: String,
    pub cpu_mhz: u64,
    pub cores: u64,
    pub memory_mb: u64,
    pub disk_mb: u64,
    /// By their whole names: `attr.cpu.arch`.
    pub attributes: BTreeMap<String, String>,
    pub meta: BTreeMap<String, String>,
    pub drivers: BTreeSet<String>,
    pub devices: BTreeSet<String>,
    pub host_volumes: BTreeSet<String>,
}

impl Default for NodeSpec {
    fn default() -> Self {
        Self {
            name: String::new(),
            datacenter: "dc1".to_owned(),
            pool: "default".to_owned(),
            class: String::new(),
            http_address: String::new(),
            cpu_mhz: 0,
            memory_mb: 0,
            disk_mb: 100_000,
            cores: 8,
            attributes: BTreeMap::new(),
            meta: BTreeMap::new(),
            drivers: BTreeSet::new(),
            devices: BTreeSet::new(),
            host_volumes: BTreeSet::new(),
        }
    }
}

impl NodeSpec {
    /// A node with room for so many tasks of the default size.
    #[must_use]
    pub fn with_room_for(tasks: u64) -> Self {
        Self {
            cpu_mhz: 1_000 * tasks,
            memory_mb: 1_000 * tasks,
            attributes: BTreeMap::from([("attr.cpu.arch".to_owned(), "amd64".to_owned())]),
            drivers: BTreeSet::from(["raw_exec".to_owned()]),
            ..Self::default()
        }
    }

    /// Equal for nodes that no constraint tells apart, but for what is unique to one
    /// (`nomad/structs/node_class.go`).
    #[must_use]
    pub fn computed_class(&self) -> String {
        use std::hash::{Hash as _, Hasher as _};
        let shared = |all: &BTreeMap<String, String>| {
            let mut all = all.clone();
            all.retain(|name, _| !name.contains("unique."));
            all
        };
        // Its keys are fixed, so it is the same in every run of one build.
        let mut hasher = std::hash::DefaultHasher::new();
        (&self.datacenter, &self.pool, &self.class).hash(&mut hasher);
        (shared(&self.attributes), shared(&self.meta)).hash(&mut hasher);
        (&self.drivers, &self.devices).hash(&mut hasher);
        format!("v1:{}", hasher.finish().max(1_000_000_000))
    }
}

/// Why a node is silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// Its processes are dead.
    PowerLoss,
    /// Its processes go on, and nobody hears of it.
    CutOff,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeStatus {
    Initializing,
    Ready,
    Down,
    /// Silent, and something on it is waited for.
    Disconnected,
}

impl NodeStatus {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initializing => "initializing",
            Self::Ready => "ready",
            Self::Down => "down",
            Self::Disconnected => "disconnected",
        }
    }
}

/// Something that happened to a node (`Node.Events`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeEvent {
    pub at: Millis,
    pub subsystem: &'static str,
    pub message: String,
    pub create_index: u64,
}

/// How many of them are kept.
const KEPT_EVENTS: usize = 10;

#[derive(Clone, Debug)]
pub struct Node {
    pub id: String,
    pub spec: NodeSpec,
    pub outage: Option<Outage>,
    pub status: NodeStatus,
    pub eligible: bool,
    pub drain: Option<Drain>,
    pub events: Vec<NodeEvent>,
    pub create_index: u64,
    pub modify_index: u64,
    pub updated_at: Millis,
}

impl Node {
    /// One that has just joined.
    #[must_use]
    pub fn new(id: &str, spec: NodeSpec) -> Self {
        Self {
            id: id.to_owned(),
            spec,
            outage: None,
            status: NodeStatus::Initializing,
            eligible: true,
            drain: None,
            events: Vec::new(),
            create_index: 0,
            modify_index: 0,
            updated_at: 0,
        }
    }

    pub(super) fn is_silent(&self) -> bool {
        self.outage.is_some()
    }

    /// Ready and eligible, as far as the servers know: a silent node still gets work.
    pub(super) fn takes_work(&self) -> bool {
        self.status == NodeStatus::Ready && self.eligible && self.drain.is_none()
    }
}

impl Nomad {
    /// A client joins, and is ready.
    pub fn add_node(&mut self, id: &str, spec: NodeSpec, now: Millis) {
        self.nodes.insert(id.to_owned(), Node::new(id, spec));
        self.node_event(id, "Cluster", "Node registered", now);
        self.commit("NodeRegistration", vec![Row::Node(id.to_owned())]);
        self.node_note(id, "joined", now);
        self.set_node_status(id, NodeStatus::Ready, now);
    }

    /// A client registers its node, for the first time or again.
    /// `anew`: it was started since it was heard last.
    pub fn register_node(&mut self, id: &str, spec: NodeSpec, anew: bool, now: Millis) {
        match self.nodes.get_mut(id) {
            None => self.add_node(id, spec, now),
            Some(node) => {
                node.spec = spec;
                self.node_is_back(id, anew, now);
            }
        }
    }

    /// One node by its id.
    #[must_use]
    pub fn node(&self, id: &str) -> Option<&Node> {
        self.nodes.get(id)
    }

    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// What the servers take the node for from now on, and who has to be looked at for it
    /// (`nomad/node_endpoint.go`, `nodeStatusTransitionRequiresEval`).
    pub(super) fn set_node_status(&mut self, id: &str, status: NodeStatus, now: Millis) {
        let Some(node) = self.nodes.get_mut(id) else { return };
        let before = std::mem::replace(&mut node.status, status);
        node.updated_at = now;
        self.commit("NodeStreamEvent", vec![Row::Node(id.to_owned())]);
        let gone = matches!(status, NodeStatus::Down | NodeStatus::Disconnected);
        let came = status == NodeStatus::Ready
            && matches!(before, NodeStatus::Initializing | NodeStatus::Down);
        let answers = before == NodeStatus::Disconnected && status != NodeStatus::Disconnected;
        if (gone && before != status) || came || answers {
            self.look_at_jobs_on(id, Trigger::NodeUpdate, now);
        }
        if status == NodeStatus::Ready {
            self.unblock(id, now);
        }
    }

    /// An evaluation for each job that has something on the node which its client has not seen the
    /// end of. Says their ids, and the index; None: there is nothing on the node at all.
    pub(super) fn look_at_jobs_on(
        &mut self,
        node: &str,
        why: Trigger,
        now: Millis,
    ) -> Option<(Vec<String>, u64)> {
        let on_it: Vec<_> = self.allocations().filter(|one| one.node == node).collect();
        if on_it.is_empty() {
            return None;
        }
        let open = on_it.iter().filter(|one| !one.client_status.is_terminal());
        let jobs: BTreeSet<JobKey> = open.map(|one| one.child.clone()).collect();
        let mut evaluations = Vec::new();
        for job in jobs {
            let id = self.new_evaluation(&job, why, now);
            if let Some(one) = self.evaluations.get_mut(&id) {
                one.node = Some(node.to_owned());
            }
            evaluations.push(id);
        }
        let rows = evaluations.iter().cloned().map(Row::Evaluation).collect();
        let index = self.commit("EvaluationUpdated", rows);
        Some((evaluations, index))
    }

    pub(super) fn node_event(
        &mut self,
        id: &str,
        subsystem: &'static str,
        message: &str,
        now: Millis,
    ) {
        let create_index = self.index + 1;
        let Some(node) = self.nodes.get_mut(id) else { return };
        node.events.push(NodeEvent {
            at: now,
            subsystem,
            message: message.to_owned(),
            create_index,
        });
        if node.events.len() > KEPT_EVENTS {
            node.events.remove(0);
        }
    }

    pub(super) fn node_note(&mut self, id: &str, what: &'static str, now: Millis) {
        self.note(now, What::Node { node: id.to_owned(), what });
    }
}
