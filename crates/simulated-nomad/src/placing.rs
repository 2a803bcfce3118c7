//! Finds a node for one allocation of a group, or says why there is none, in the figures that an
//! evaluation shows.
//!
//! How many are to be placed, and what becomes of those that are not, is `scheduling.rs`. (Nomad
//! `scheduler/feasible`, `nomad/structs/structs.go`, `AllocMetric`.) Read next: `constraints.rs`.

use std::collections::{BTreeMap, BTreeSet};

use rand::seq::IndexedRandom;

use super::allocations::Allocation;
use super::constraints::Constraint;
use super::jobs::JobKey;
use super::model::Nomad;
use super::nodes::Node;
use super::wants::{Group, Needs, Wants, by_task};

/// What was counted while a node was looked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlacementFailure {
    pub nodes_evaluated: u64,
    pub nodes_filtered: u64,
    pub nodes_exhausted: u64,
    /// Ready nodes of the pool in the datacenters. None ready looks the same whether none ever
    /// joined or all drain ([V]).
    pub nodes_in_pool: u64,
    /// The same by datacenter.
    pub nodes_available: BTreeMap<String, u64>,
    pub node_pool: String,
    pub constraint_filtered: BTreeMap<String, u64>,
    pub class_filtered: BTreeMap<String, u64>,
    pub class_exhausted: BTreeMap<String, u64>,
    pub dimension_exhausted: BTreeMap<String, u64>,
    /// What each task asks of the dimensions that are exhausted: MHz and MB.
    pub resources_exhausted: BTreeMap<String, (u64, u64)>,
    /// Further allocations of the group that failed in the same evaluation.
    pub coalesced: u64,
    /// Nodes that had room, best first.
    pub scores: Vec<(String, f64)>,
}

/// A node, and how it was found.
pub(super) struct Found {
    pub node: String,
    pub metrics: PlacementFailure,
}

impl Nomad {
    /// A node for one more allocation of the group.
    pub(super) fn find_node(
        &mut self,
        job: &JobKey,
        wants: &Wants,
        group: &Group,
    ) -> Result<Found, Box<PlacementFailure>> {
        let mut metrics =
            PlacementFailure { node_pool: wants.pool.clone(), ..PlacementFailure::default() };
        let mut fitting = Vec::new();
        let mut ineligible: BTreeSet<String> = BTreeSet::new();
        let needs = group.needs();
        for node in self.nodes.values().filter(|node| node.is_offered(wants)) {
            metrics.nodes_in_pool += 1;
            metrics.nodes_evaluated += 1;
            *metrics.nodes_available.entry(node.spec.datacenter.clone()).or_default() += 1;
            let class = node.spec.computed_class();
            let filtered = if ineligible.contains(&class) {
                Some("computed class ineligible".to_owned())
            } else {
                let misfit = misfit(node, wants, group);
                if misfit.as_ref().is_some_and(|it| !it.is_of_this_node) {
                    ineligible.insert(class);
                }
                misfit.map(|it| it.why).or_else(|| self.is_taken(node, job, wants, group))
            };
            if let Some(why) = filtered {
                metrics.nodes_filtered += 1;
                *metrics.constraint_filtered.entry(why).or_default() += 1;
                count_class(&mut metrics.class_filtered, node);
                continue;
            }
            let used = self.used_on(node);
            let taken = self.ports_on(node);
            if let Some(dimension) = lacks(node, (used, needs), (&taken, group)) {
                metrics.nodes_exhausted += 1;
                *metrics.dimension_exhausted.entry(dimension.to_owned()).or_default() += 1;
                count_class(&mut metrics.class_exhausted, node);
                continue;
            }
            fitting.push((node.id.clone(), score(node, used, needs)));
        }
        let best = fitting.choose(&mut self.rng).map(|(node, _)| node.clone());
        metrics.scores = fitting;
        metrics.scores.sort_by(|one, other| other.1.total_cmp(&one.1));
        match best {
            Some(node) => Ok(Found { node, metrics }),
            None => {
                metrics.count_exhausted(group);
                Err(Box::new(metrics))
            }
        }
    }

    /// `distinct_hosts`, which looks at the job's other allocations.
    fn is_taken(&self, node: &Node, job: &JobKey, wants: &Wants, group: &Group) -> Option<String> {
        let of_job = wants.constraints.iter().any(Constraint::is_distinct_hosts);
        let of_group = group.constraints.iter().any(Constraint::is_distinct_hosts);
        if !of_job && !of_group {
            return None;
        }
        let mut others = self.allocations_of(job).filter(|one| {
            one.node == node.id && !one.is_terminal() && (of_job || one.group == group.name)
        });
        others.next().map(|_| "distinct_hosts".to_owned())
    }

    fn ports_on(&self, node: &Node) -> BTreeSet<u64> {
        let on_it = self.allocations.values().filter(|one| one.node == node.id);
        on_it.filter(|one| one.takes_room()).flat_map(|one| one.ports.iter().copied()).collect()
    }

    /// What is taken up on the node by whatever is not over on it.
    fn used_on(&self, node: &Node) -> Needs {
        let on_it = self.allocations.values().filter(|one| one.node == node.id);
        on_it.filter(|one| one.takes_room()).fold(Needs::default(), |sum, one: &Allocation| Needs {
            cpu_mhz: sum.cpu_mhz + one.needs.cpu_mhz,
            memory_mb: sum.memory_mb + one.needs.memory_mb,
            cores: sum.cores + one.needs.cores,
            disk_mb: sum.disk_mb + one.needs.disk_mb,
        })
    }
}

impl PlacementFailure {
    /// (`AllocMetric.ExhaustResources`.)
    fn count_exhausted(&mut self, group: &Group) {
        if self.dimension_exhausted.is_empty() {
            return;
        }
        let of = |dimension: &str, value: u64| match self.dimension_exhausted.get(dimension) {
            Some(_) => value,
            None => 0,
        };
        self.resources_exhausted =
            by_task(group, |task| (of("cpu", task.cpu_mhz), of("memory", task.memory_mb)));
    }
}

impl Node {
    /// It is among those that are asked.
    pub(super) fn is_offered(&self, wants: &Wants) -> bool {
        let pool = wants.pool == "all" || wants.pool == self.spec.pool;
        let datacenter = &self.spec.datacenter;
        self.takes_work() && pool && wants.datacenters.iter().any(|glob| matches(glob, datacenter))
    }

    /// Nothing but room keeps the group from it.
    pub(super) fn could_do(&self, wants: &Wants, group: &Group) -> bool {
        misfit(self, wants, group).is_none_or(|misfit| misfit.is_of_this_node)
    }
}

/// A `*` stands for anything.
fn matches(glob: &str, text: &str) -> bool {
    match glob.split_once('*') {
        None => glob == text,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
            ends.into_iter().any(|at| matches(after, &rest[at..]))
        }),
    }
}

struct Misfit {
    why: String,
    /// Another node with the same attributes may do.
    is_of_this_node: bool,
}

/// The first thing that the node cannot be or has not, in the order in which Nomad asks.
fn misfit(node: &Node, wants: &Wants, group: &Group) -> Option<Misfit> {
    let unmet = |all: &[Constraint]| {
        let one = all.iter().find(|one| !one.is_met_by(node))?;
        let is_of_this_node = one.left.contains(".unique.") || one.right.contains(".unique.");
        Some(Misfit { why: one.to_string(), is_of_this_node })
    };
    let missing = |what: &str| Misfit { why: what.to_owned(), is_of_this_node: false };
    if let Some(misfit) = unmet(&wants.constraints) {
        return Some(misfit);
    }
    if group.tasks.iter().any(|task| !node.spec.drivers.contains(&task.driver)) {
        return Some(missing("missing drivers"));
    }
    if let Some(misfit) = unmet(&group.constraints) {
        return Some(misfit);
    }
    let has = |device: &String| node.spec.devices.contains(device);
    if group.tasks.iter().any(|task| !task.devices.iter().all(has)) {
        return Some(missing("missing devices"));
    }
    if !group.host_volumes.iter().all(|name| node.spec.host_volumes.contains(name)) {
        let why = "missing compatible host volumes".to_owned();
        return Some(Misfit { why, is_of_this_node: true });
    }
    None
}

/// What the node has too little of.
fn lacks(
    node: &Node,
    (used, needs): (Needs, Needs),
    (taken, group): (&BTreeSet<u64>, &Group),
) -> Option<&'static str> {
    let spec = &node.spec;
    if used.cores + needs.cores > spec.cores {
        return Some("cores");
    }
    if used.cpu_mhz + needs.cpu_mhz > spec.cpu_mhz {
        return Some("cpu");
    }
    if used.memory_mb + needs.memory_mb > spec.memory_mb {
        return Some("memory");
    }
    if used.disk_mb + needs.disk_mb > spec.disk_mb {
        return Some("disk");
    }
    let collides = group.ports.iter().any(|port| taken.contains(port));
    collides.then_some("network: reserved port collision")
}

/// How full the node would be: 1 is best (`nomad/structs/funcs.go`, `ScoreFitBinPack`).
#[expect(clippy::cast_precision_loss, reason = "MHz and MB of a node are far below 2^53")]
fn score(node: &Node, used: Needs, needs: Needs) -> f64 {
    let free = |taken: u64, all: u64| 1.0 - taken as f64 / all.max(1) as f64;
    let cpu = free(used.cpu_mhz + needs.cpu_mhz, node.spec.cpu_mhz);
    let memory = free(used.memory_mb + needs.memory_mb, node.spec.memory_mb);
    let total = 10_f64.powf(cpu) + 10_f64.powf(memory);
    (20.0 - total).clamp(0.0, 18.0) / 18.0
}

fn count_class(counts: &mut BTreeMap<String, u64>, node: &Node) {
    if !node.spec.class.is_empty() {
        *counts.entry(node.spec.class.clone()).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datacenters_are_globs() {
        assert!(matches("*", "dc1") && matches("dc*", "dc1") && matches("d*1", "dc1"));
        assert!(!matches("m*", "dc1") && !matches("dc", "dc1") && !matches("dc*2", "dc1"));
    }
}
