//! What a task finds in its environment, and `${…}` in the texts of its jobspec.
//!
//! (Nomad `client/taskenv/env.go`.)

use std::collections::BTreeMap;

use super::folder::Folder;
use crate::jobspec::Task;
use crate::model::Started;

/// Where programs are when this process does not know.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

#[derive(Debug)]
pub(super) struct Environment {
    variables: BTreeMap<String, String>,
}

impl Environment {
    pub fn of(started: &Started, group: &str, task: &Task, folder: &Folder) -> Self {
        let child = &started.child;
        let path = std::env::var("PATH").unwrap_or_else(|_| DEFAULT_PATH.to_owned());
        let show = |path: std::path::PathBuf| path.display().to_string();
        let parent = child.id.split("/dispatch-").next().unwrap_or_default();
        let mut variables: BTreeMap<String, String> = [
            ("PATH", path),
            ("NOMAD_ALLOC_DIR", show(folder.shared())),
            ("NOMAD_TASK_DIR", show(folder.local(&task.name))),
            ("NOMAD_SECRETS_DIR", show(folder.secrets(&task.name))),
            ("NOMAD_ALLOC_ID", started.allocation.clone()),
            ("NOMAD_ALLOC_NAME", format!("{}.{group}[0]", child.id)),
            ("NOMAD_ALLOC_INDEX", "0".to_owned()),
            ("NOMAD_GROUP_NAME", group.to_owned()),
            ("NOMAD_TASK_NAME", task.name.clone()),
            ("NOMAD_JOB_ID", child.id.clone()),
            ("NOMAD_JOB_NAME", child.id.clone()),
            ("NOMAD_JOB_PARENT_ID", parent.to_owned()),
            ("NOMAD_NAMESPACE", child.namespace.clone()),
            ("NOMAD_REGION", "global".to_owned()),
            ("NOMAD_DC", "dc1".to_owned()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        for (key, value) in &started.meta {
            variables.insert(format!("NOMAD_META_{key}"), value.clone());
            variables.insert(format!("NOMAD_META_{}", key.to_uppercase()), value.clone());
        }
        let mut environment = Self { variables };
        for (name, value) in task.env.iter().flatten() {
            let value = environment.fill_in(value);
            environment.variables.insert(name.clone(), value);
        }
        environment
    }

    pub fn add(&mut self, more: Vec<(String, String)>) {
        self.variables.extend(more);
    }

    pub fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    /// `${NAME}` for what is known; everything else stays as it is.
    pub fn fill_in(&self, text: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            let Some(length) = rest[start..].find('}') else { break };
            let whole = &rest[start..=start + length];
            filled.push_str(&rest[..start]);
            let name = &whole[2..length];
            filled.push_str(self.variables.get(name).map_or(whole, String::as_str));
            rest = &rest[start + length + 1..];
        }
        filled + rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_filled_in() {
        let variables = BTreeMap::from([("NOMAD_ALLOC_DIR".to_owned(), "/a".to_owned())]);
        let environment = Environment { variables };
        assert_eq!(environment.fill_in("${NOMAD_ALLOC_DIR}/home"), "/a/home");
        assert_eq!(
            environment.fill_in("$HOME ${x} ${NOMAD_ALLOC_DIR"),
            "$HOME ${x} ${NOMAD_ALLOC_DIR"
        );
    }
}
