//! Namespaces: made, read and deleted, the default one always there.
//!
//! Read next: `node_pools.rs`, `answers/namespaces.rs`.

use serde_json::{Map, Value};

use super::children::JobStatus;
use super::dispatching::Refused;
use super::model::Nomad;
use super::tables::Table;

/// The one that is there from the first moment on.
const DEFAULT: &str = "default";
const LONGEST_NAME: usize = 128;
const LONGEST_DESCRIPTION: usize = 256;

#[derive(Clone, Debug)]
pub struct Namespace {
    pub name: String,
    pub description: String,
    /// What else was said of it; nothing here goes by that.
    pub rest: Map<String, Value>,
    pub create_index: u64,
    pub modify_index: u64,
}

impl Namespace {
    pub(super) fn default_one() -> Self {
        Self {
            name: DEFAULT.to_owned(),
            description: "Default shared namespace".to_owned(),
            rest: Map::new(),
            create_index: 1,
            modify_index: 1,
        }
    }
}

impl Nomad {
    #[must_use]
    pub fn namespace(&self, name: &str) -> Option<&Namespace> {
        self.namespaces.get(name)
    }

    /// All of them, by name.
    pub fn namespaces(&self) -> impl Iterator<Item = &Namespace> {
        self.namespaces.values()
    }

    /// Makes a namespace, or changes it: the index of that.
    ///
    /// # Errors
    /// Where it may not be called or described so.
    pub fn set_namespace(
        &mut self,
        name: &str,
        description: &str,
        rest: Map<String, Value>,
    ) -> Result<u64, Refused> {
        let mut wrong = Vec::new();
        if !is_name(name, LONGEST_NAME, "-") {
            wrong.push(format!(
                "invalid name {name:?}. Must match regex ^[a-zA-Z0-9-]{{1,{LONGEST_NAME}}}$"
            ));
        }
        if description.len() > LONGEST_DESCRIPTION {
            wrong.push(format!("description longer than {LONGEST_DESCRIPTION}"));
        }
        if !wrong.is_empty() {
            let why = all_errors(&wrong);
            return Err(Refused::new(format!("Invalid namespace {name:?}: {why}")));
        }
        let index = self.write(Table::Namespaces);
        let known = self.namespaces.get(name);
        let namespace = Namespace {
            name: name.to_owned(),
            description: description.to_owned(),
            rest,
            create_index: known.map_or(index, |known| known.create_index),
            modify_index: index,
        };
        self.namespaces.insert(name.to_owned(), namespace);
        Ok(index)
    }

    /// Forgets a namespace in which nothing lives any more: the index of that.
    ///
    /// # Errors
    /// Where it must stay, or is not there.
    pub fn delete_namespace(&mut self, name: &str, region: &str) -> Result<u64, Refused> {
        if name == DEFAULT {
            return Err(Refused::new("default namespace can not be deleted"));
        }
        let children = self.children.keys().filter(|key| {
            key.namespace == name && self.status(key).is_some_and(|it| it != JobStatus::Dead)
        });
        let registered = self.jobs.iter().filter(|(key, job)| key.namespace == name && !job.stop);
        if children.count() + registered.count() > 0 {
            let why = format!("namespace {name:?} has non-terminal jobs in regions: [{region}]");
            return Err(Refused::new(all_errors(&[why])));
        }
        if self.namespaces.remove(name).is_none() {
            return Err(Refused::new("namespace not found"));
        }
        Ok(self.write(Table::Namespaces))
    }
}

/// Letters, digits and some signs, and not too many of them.
pub(super) fn is_name(text: &str, longest: usize, signs: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || signs.contains(c);
    !text.is_empty() && text.len() <= longest && text.chars().all(fits)
}

/// Several errors in one text, as hashicorp/go-multierror puts them.
pub(super) fn all_errors(all: &[String]) -> String {
    let count = all.len();
    let plural = if count == 1 { "" } else { "s" };
    let list: String = all.iter().map(|one| format!("\t* {one}\n")).collect();
    format!("{count} error{plural} occurred:\n{list}\n")
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::jobs::{JobKey, JobSpec};

    #[test]
    fn a_namespace_stays_as_long_as_something_lives_in_it() {
        let mut nomad = Nomad::new(StdRng::seed_from_u64(1));
        let index = nomad.set_namespace("ci", "", Map::new()).unwrap();
        assert_eq!(nomad.table(Table::Namespaces), index);
        let key = JobKey::new("ci", "runner");
        nomad.register(key.clone(), JobSpec::default(), 0);
        let why = nomad.delete_namespace("ci", "global").unwrap_err().text;
        assert!(why.contains("non-terminal jobs"), "{why}");
        nomad.stop(&key, false, 0);
        assert!(nomad.delete_namespace("ci", "global").is_ok());
        assert!(nomad.namespace("ci").is_none());
        assert!(nomad.delete_namespace("default", "global").is_err());
        assert!(nomad.set_namespace("a_b", "", Map::new()).is_err());
    }
}
