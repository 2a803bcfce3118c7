//! Nodes: they go silent, count as down, come back, and drain.
//!
//! Read next: `allocations.rs`.

use std::collections::{BTreeMap, BTreeSet};

use rand::Rng;
use serde::{Deserialize, Serialize};

use super::allocations::ClientStatus;
use super::happenings::What;
use super::jobs::JobKey;
use super::model::{Due, Millis, Nomad};
use super::tables::Table;

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
    /// `attr.kernel.name` and the like.
    pub attributes: BTreeMap<String, String>,
    pub meta: BTreeMap<String, String>,
    pub drivers: BTreeSet<String>,
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
            cores: 1,
            memory_mb: 0,
            disk_mb: 1_000_000,
            attributes: BTreeMap::new(),
            meta: BTreeMap::new(),
            drivers: BTreeSet::new(),
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
}

/// Why a node is silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// Its processes are dead.
    PowerLoss,
    /// Its processes go on, and nobody hears of it.
    CutOff,
}

#[derive(Clone, Debug)]
pub struct Node {
    pub id: String,
    pub spec: NodeSpec,
    pub outage: Option<Outage>,
    /// The servers have given it up.
    pub down: bool,
    pub draining: bool,
    pub create_index: u64,
    pub modify_index: u64,
    /// When its status changed last.
    pub updated_at: Millis,
}

impl Node {
    pub(super) fn is_silent(&self) -> bool {
        self.outage.is_some()
    }

    /// Ready and eligible, as far as the servers know: a silent node still gets work.
    pub(super) fn takes_work(&self) -> bool {
        !self.down && !self.draining
    }
}

impl Nomad {
    pub fn add_node(&mut self, id: &str, spec: NodeSpec, now: Millis) {
        // It registers before it is ready.
        let index = self.write(Table::Nodes);
        let node = Node {
            id: id.to_owned(),
            spec,
            outage: None,
            down: false,
            draining: false,
            create_index: index,
            modify_index: index,
            updated_at: now,
        };
        self.nodes.insert(id.to_owned(), node);
        self.node_note(id, "joined", now);
        self.unblock(now);
    }

    /// One node by its id.
    #[must_use]
    pub fn node(&self, id: &str) -> Option<&Node> {
        self.nodes.get(id)
    }

    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// The node falls silent; its missed heartbeat makes it `down` some time later.
    pub fn silence(&mut self, id: &str, outage: Outage, now: Millis) {
        let Some(node) = self.nodes.get_mut(id).filter(|node| node.outage.is_none()) else {
            return;
        };
        node.outage = Some(outage);
        self.node_note(id, if outage == Outage::CutOff { "is cut off" } else { "died" }, now);
        if outage == Outage::PowerLoss {
            for one in self.allocations.values_mut().filter(|one| one.node == id && one.lives) {
                one.lives = false;
                self.killed.push(one.id.clone());
            }
        }
        let at = now + self.draw(self.knobs.heartbeat);
        self.at(at, Due::NodeDown(id.to_owned()));
    }

    /// The servers give the node up: its allocations are lost and replaced, or unknown where the
    /// job's `disconnect` block says to wait. Pending ones are always replaced
    /// (`nomad/heartbeat.go`, `scheduler/reconciler`; GH-27028).
    pub(super) fn node_is_down(&mut self, id: &str, now: Millis) {
        let Some(node) = self.nodes.get_mut(id).filter(|node| node.is_silent() && !node.down)
        else {
            return;
        };
        node.down = true;
        self.node_note(id, "is down", now);
        for (allocation, child) in self.open_on(id) {
            let disconnect = self.children.get(&child).and_then(|child| child.spec.disconnect);
            let running = self
                .allocations
                .get(&allocation)
                .is_some_and(|one| one.client_status == ClientStatus::Running && !one.stopping);
            match disconnect.filter(|_| running) {
                Some(disconnect) => {
                    self.set_status(&allocation, ClientStatus::Unknown, now);
                    self.at(now + disconnect.lost_after, Due::Expire(allocation.clone()));
                    if disconnect.replace {
                        self.replace(&allocation, &child, now);
                    }
                }
                None => self.lose(&allocation, &child, now),
            }
        }
    }

    /// The wait of `lost_after` is over: lost, and replaced regardless of `replace` (GH-27028).
    pub(super) fn expire(&mut self, allocation: &str, now: Millis) {
        let unknown = self.allocations.get(allocation);
        if let Some(one) = unknown.filter(|one| one.client_status == ClientStatus::Unknown) {
            let child = one.child.clone();
            self.lose(allocation, &child, now);
        }
    }

    fn lose(&mut self, allocation: &str, child: &JobKey, now: Millis) {
        let wanted = self.allocations.get(allocation).is_some_and(|one| !one.stopping);
        if let Some(one) = self.allocations.get_mut(allocation) {
            one.stopping = true;
            "alloc is lost since its node is down".clone_into(&mut one.client_description);
        }
        self.set_status(allocation, ClientStatus::Lost, now);
        if wanted {
            self.replace(allocation, child, now);
        }
    }

    fn replace(&mut self, allocation: &str, child: &JobKey, now: Millis) {
        let latest = self.children.get(child).and_then(|child| child.allocations.last());
        if latest.map(String::as_str) != Some(allocation) {
            return;
        }
        if let Some(one) = self.allocations.get_mut(allocation) {
            one.replace = true;
        }
        self.new_evaluation(child, "node-update", now);
    }

    /// The node is back, and its client tells and hears what has happened meanwhile.
    pub fn restore(&mut self, id: &str, now: Millis) {
        let Some(node) = self.nodes.get_mut(id) else { return };
        if node.outage.take().is_none() {
            return;
        }
        node.down = false;
        self.node_note(id, "is back", now);
        let on_it: Vec<String> = self
            .allocations
            .values()
            .filter(|one| one.node == id)
            .map(|one| one.id.clone())
            .collect();
        for allocation in on_it {
            self.reconnect(&allocation, now);
        }
        self.unblock(now);
    }

    fn reconnect(&mut self, id: &str, now: Millis) {
        let Some(one) = self.allocations.get(id) else { return };
        let was = one.client_status;
        let replaced = self
            .children
            .get(&one.child)
            .is_some_and(|child| child.allocations.last().map(String::as_str) != Some(id));
        if one.purged || one.stopping {
            // Lost or stopped while it could not be told: it is told now.
            if one.lives {
                self.begin_kill(id, now);
            } else if !was.is_terminal() {
                self.set_status(id, ClientStatus::Complete, now);
            }
            return;
        }
        let (untold, lives) = (one.untold, one.lives);
        match (untold, lives) {
            (Some(code), _) if !was.is_terminal() => self.task_ended(id, code, now),
            (None, true) if was == ClientStatus::Unknown => {
                self.set_status(id, ClientStatus::Running, now);
                if replaced {
                    self.keep_one_of_two(id, now);
                }
            }
            (None, false) if was == ClientStatus::Pending => {
                let at = now + self.draw(self.knobs.starting);
                self.at(at, Due::Start(id.to_owned()));
            }
            // Its process died with the node: the client cannot restore it.
            (None, false) if !was.is_terminal() => self.task_ended(id, 1, now),
            _ => {}
        }
    }

    /// One of a reconnected allocation and its replacement is stopped; which is up to
    /// `disconnect.reconcile`, so it is drawn.
    fn keep_one_of_two(&mut self, id: &str, now: Millis) {
        let Some(one) = self.allocations.get(id) else { return };
        let other = self.children.get(&one.child).and_then(|child| child.allocations.last());
        let other = other.cloned().unwrap_or_default();
        let loser = if self.rng.random_bool(0.5) { id.to_owned() } else { other };
        self.tell_to_stop(&loser, now);
    }

    /// Drains the node: no new work, and whatever still runs at the deadline is stopped and not
    /// replaced ([V]; since 1.11.0, GH-26961).
    pub fn drain(&mut self, id: &str, deadline: Millis, now: Millis) {
        let Some(node) = self.nodes.get_mut(id) else { return };
        node.draining = true;
        self.node_note(id, "drains", now);
        self.at(now + deadline, Due::DrainOver(id.to_owned()));
    }

    pub(super) fn drain_is_over(&mut self, id: &str, now: Millis) {
        if self.nodes.get(id).is_none_or(|node| !node.draining) {
            return;
        }
        for (allocation, _) in self.open_on(id) {
            if let Some(one) = self.allocations.get_mut(&allocation) {
                "alloc is being migrated".clone_into(&mut one.client_description);
            }
            self.tell_to_stop(&allocation, now);
        }
    }

    /// The node takes work again.
    pub fn enable(&mut self, id: &str, now: Millis) {
        let Some(node) = self.nodes.get_mut(id) else { return };
        node.draining = false;
        self.node_note(id, "is eligible", now);
        self.unblock(now);
    }

    fn open_on(&self, node: &str) -> Vec<(String, JobKey)> {
        self.allocations
            .values()
            .filter(|one| one.node == node && !one.client_status.is_terminal())
            .map(|one| (one.id.clone(), one.child.clone()))
            .collect()
    }

    fn node_note(&mut self, id: &str, what: &'static str, now: Millis) {
        let index = self.write(Table::Nodes);
        if let Some(node) = self.nodes.get_mut(id) {
            (node.modify_index, node.updated_at) = (index, now);
        }
        self.note(now, What::Node { node: id.to_owned(), what });
    }
}
