//! What a task finds in its environment.
//!
//! Go's maps are gone through in no order, so whether a value that names another one is filled in
//! is up to chance; here it is drawn. Read next: `interpolation.rs`.
//! (Nomad `client/taskenv/env.go`.)

use std::collections::BTreeMap;

use rand::seq::SliceRandom;

use super::assignment::Assignment;
use super::folder::Folder;
use super::group::{Group, Task};
use super::interpolation::fill_in;
use super::workplace::Site;

/// What no task inherits of its agent's environment (`client.options`, `env.denylist`).
const DENIED: [&str; 15] = [
    "CONSUL_TOKEN",
    "CONSUL_HTTP_TOKEN",
    "CONSUL_HTTP_TOKEN_FILE",
    "NOMAD_TOKEN",
    "VAULT_TOKEN",
    "CONSUL_LICENSE",
    "NOMAD_LICENSE",
    "VAULT_LICENSE",
    "ATLAS_TOKEN",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "NOMAD_CACERT",
    "NOMAD_CLIENT_KEY",
];

#[derive(Clone, Debug)]
pub(super) struct Environment {
    pub variables: BTreeMap<String, String>,
    /// What is known of the node: `attr.kernel.name`, `node.unique.name`, `meta.rack`, …
    pub node: BTreeMap<String, String>,
}

impl Environment {
    /// `more`: what templates and identities put in.
    pub fn of(
        assignment: &Assignment,
        group: &Group,
        task: &Task,
        folder: &Folder,
        site: &Site,
        more: &BTreeMap<String, String>,
    ) -> Self {
        let show = |path: std::path::PathBuf| path.display().to_string();
        let resources = task.resources.clone().unwrap_or_default();
        let own = [
            ("NOMAD_ALLOC_DIR", show(folder.shared())),
            ("NOMAD_TASK_DIR", show(folder.local(&task.name))),
            ("NOMAD_SECRETS_DIR", show(folder.secrets(&task.name))),
            ("NOMAD_ALLOC_ID", assignment.allocation.clone()),
            ("NOMAD_SHORT_ALLOC_ID", assignment.allocation.get(..8).unwrap_or_default().to_owned()),
            ("NOMAD_ALLOC_NAME", assignment.name()),
            ("NOMAD_ALLOC_INDEX", assignment.index.to_string()),
            ("NOMAD_CPU_CORES", " ".to_owned()),
            ("NOMAD_CPU_LIMIT", resources.cpu.unwrap_or(100).to_string()),
            ("NOMAD_MEMORY_LIMIT", resources.memory.unwrap_or(300).to_string()),
            ("NOMAD_PARENT_CGROUP", "nomad.slice".to_owned()),
            ("NOMAD_GROUP_NAME", group.name.clone()),
            ("NOMAD_TASK_NAME", task.name.clone()),
            ("NOMAD_JOB_ID", assignment.job_id.clone()),
            ("NOMAD_JOB_NAME", assignment.job_id.clone()),
            ("NOMAD_JOB_PARENT_ID", assignment.parent.clone()),
            ("NOMAD_NAMESPACE", assignment.namespace.clone()),
            ("NOMAD_REGION", site.region.clone()),
            ("NOMAD_DC", site.datacenter.clone()),
        ];
        let own = own.into_iter().filter(|(_, value)| !value.is_empty());
        let mut variables: BTreeMap<String, String> =
            own.map(|(name, value)| (name.to_owned(), value)).collect();
        variables.extend(ports_of(group));
        let mut environment = Self { variables, node: site.facts.clone() };
        environment.fill_in_all(meta_of(assignment, group, task));
        environment.fill_in_all(task.env.clone().unwrap_or_default());
        environment.variables.extend(more.clone());
        // What the agent has is not known above: `${HOME}` stays in a meta value ([V]).
        let inherited = site.environment.iter().filter(|(name, _)| !DENIED.contains(&&***name));
        for (name, value) in inherited {
            environment.variables.entry(name.clone()).or_insert_with(|| value.clone());
        }
        environment.clean_names();
        environment
    }

    pub fn fill_in(&self, text: &str) -> String {
        fill_in(text, &[&self.node, &self.variables])
    }

    fn fill_in_all(&mut self, values: BTreeMap<String, String>) {
        let mut values: Vec<_> = values.into_iter().collect();
        values.shuffle(&mut rand::rng());
        for (name, value) in values {
            let value = self.fill_in(&value);
            self.variables.insert(name, value);
        }
    }

    fn clean_names(&mut self) {
        let variables = std::mem::take(&mut self.variables);
        self.variables = variables.into_iter().map(|(name, value)| (clean(&name), value)).collect();
    }
}

/// Where the ports that the group fixes are, on the network of the host: a node of ours has loopback
/// alone.
fn ports_of(group: &Group) -> impl Iterator<Item = (String, String)> {
    const ADDRESS: &str = "127.0.0.1";
    let networks = group.networks.iter().flatten();
    networks.flat_map(|network| network.reserved_ports.iter().flatten()).flat_map(|port| {
        [
            ("IP", ADDRESS.to_owned()),
            ("PORT", port.value.to_string()),
            ("ADDR", format!("{ADDRESS}:{}", port.value)),
        ]
        .into_iter()
        .flat_map(|(what, value)| {
            ["", "HOST_"].map(|of| (format!("NOMAD_{of}{what}_{}", port.label), value.clone()))
        })
    })
}

/// The task's own meta goes above its group's, and that above the job's; each key also in capitals.
fn meta_of(assignment: &Assignment, group: &Group, task: &Task) -> BTreeMap<String, String> {
    let mut meta: BTreeMap<String, String> =
        assignment.optional_meta().map(|key| (key.to_owned(), String::new())).collect();
    meta.extend(assignment.meta.clone());
    meta.extend(group.meta.clone().unwrap_or_default());
    meta.extend(task.meta.clone().unwrap_or_default());
    let names = |(key, value): (String, String)| {
        let capitals = format!("NOMAD_META_{}", key.to_uppercase());
        [(capitals, value.clone()), (format!("NOMAD_META_{key}"), value)]
    };
    meta.into_iter().flat_map(names).collect()
}

/// Every byte that a name cannot have becomes `_`.
fn clean(name: &str) -> String {
    let fits = |at: usize, byte: u8| match byte {
        b'_' | b'a'..=b'z' | b'A'..=b'Z' => true,
        b'0'..=b'9' | b'.' => at > 0,
        _ => false,
    };
    let byte = |(at, byte)| if fits(at, byte) { char::from(byte) } else { '_' };
    name.bytes().enumerate().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_the_group_fixes_is_named_by_its_label() {
        let group = serde_json::json!({
            "Name": "g", "Networks": [{"ReservedPorts": [{"Label": "web", "Value": 8080}]}],
        });
        let group: Group = serde_json::from_value(group).unwrap();
        let ports: BTreeMap<String, String> = ports_of(&group).collect();
        let names: Vec<&str> = ports.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "NOMAD_ADDR_web",
                "NOMAD_HOST_ADDR_web",
                "NOMAD_HOST_IP_web",
                "NOMAD_HOST_PORT_web",
                "NOMAD_IP_web",
                "NOMAD_PORT_web",
            ]
        );
        assert_eq!(ports["NOMAD_ADDR_web"], "127.0.0.1:8080");
    }

    #[test]
    fn names_are_cleaned_byte_by_byte() {
        for (name, cleaned) in [("odd-key", "odd_key"), ("a.b2", "a.b2"), ("ä", "__"), ("9", "_")]
        {
            assert_eq!(clean(name), cleaned);
        }
    }
}
