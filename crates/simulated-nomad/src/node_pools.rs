//! Node pools: the two that are always there, and those that somebody made.
//!
//! Which nodes a job may use follows from them in `scheduling.rs`. Read next: `namespaces.rs`.

use serde_json::{Map, Value};

use super::children::JobStatus;
use super::dispatching::Refused;
use super::model::Nomad;
use super::namespaces::{all_errors, is_name};
use super::tables::Table;

const LONGEST_NAME: usize = 128;
const LONGEST_DESCRIPTION: usize = 256;
/// Nanoseconds for which a node's identity is good (Nomad's default: a day).
pub const IDENTITY_TTL: i64 = 86_400_000_000_000;

#[derive(Clone, Debug)]
pub struct NodePool {
    pub name: String,
    pub description: String,
    /// What else was said of it; nothing here goes by that.
    pub rest: Map<String, Value>,
    pub create_index: u64,
    pub modify_index: u64,
}

impl NodePool {
    /// Every node is in `all`, and in `default` where nothing else is said.
    pub(super) fn built_in() -> [Self; 2] {
        let one = |name: &str, description: &str| Self {
            name: name.to_owned(),
            description: description.to_owned(),
            rest: Map::new(),
            create_index: 1,
            modify_index: 1,
        };
        [
            one("all", "Node pool with all nodes in the cluster."),
            one("default", "Default node pool."),
        ]
    }

    fn is_built_in(name: &str) -> bool {
        matches!(name, "all" | "default")
    }
}

impl Nomad {
    #[must_use]
    pub fn node_pool(&self, name: &str) -> Option<&NodePool> {
        self.node_pools.get(name)
    }

    /// All of them, by name.
    pub fn node_pools(&self) -> impl Iterator<Item = &NodePool> {
        self.node_pools.values()
    }

    /// Makes a node pool, or changes it: the index of that.
    ///
    /// # Errors
    /// Where it may not be called or described so.
    pub fn set_node_pool(
        &mut self,
        name: &str,
        description: &str,
        rest: Map<String, Value>,
    ) -> Result<u64, Refused> {
        if NodePool::is_built_in(name) {
            return Err(Refused::new(format!("modifying node pool {name:?} is not allowed")));
        }
        let mut wrong = Vec::new();
        if !is_name(name, LONGEST_NAME, "-_") {
            let rule = format!("^[a-zA-Z0-9-_]{{1,{LONGEST_NAME}}}$");
            wrong.push(format!("invalid name {name:?}, must match regex {rule}"));
        }
        if description.len() > LONGEST_DESCRIPTION {
            wrong.push(format!("description longer than {LONGEST_DESCRIPTION}"));
        }
        if !wrong.is_empty() {
            let why = all_errors(&wrong);
            return Err(Refused::new(format!("invalid node pool {name:?}: {why}")));
        }
        let index = self.write(Table::NodePools);
        let known = self.node_pools.get(name);
        let pool = NodePool {
            name: name.to_owned(),
            description: description.to_owned(),
            rest,
            create_index: known.map_or(index, |known| known.create_index),
            modify_index: index,
        };
        self.node_pools.insert(name.to_owned(), pool);
        Ok(index)
    }

    /// # Errors
    /// Where it must stay, or is not there.
    pub fn delete_node_pool(&mut self, name: &str, region: &str) -> Result<u64, Refused> {
        if NodePool::is_built_in(name) {
            return Err(Refused::new(format!("node pool {name:?} cannot be deleted")));
        }
        let jobs = self.children.iter().any(|(key, child)| {
            let alive = self.status(key).is_some_and(|status| status != JobStatus::Dead);
            alive && child.definition.job["NodePool"] == name
        });
        let registered = self.jobs.values();
        let jobs =
            jobs || { registered }.any(|job| !job.stop && job.definition.job["NodePool"] == name);
        let mut wrong = Vec::new();
        if self.nodes.values().any(|node| node.spec.pool == name) {
            wrong.push(format!("node pool {name:?} has nodes in regions: [{region}]"));
        }
        if jobs {
            wrong.push(format!("node pool {name:?} has non-terminal jobs in regions: [{region}]"));
        }
        if !wrong.is_empty() {
            return Err(Refused::new(all_errors(&wrong)));
        }
        if self.node_pools.remove(name).is_none() {
            return Err(Refused::new(format!("node pool {name:?} not found")));
        }
        Ok(self.write(Table::NodePools))
    }
}
