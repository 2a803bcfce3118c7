//! The differences that have a good reason: `differences.json`.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::comparing::Difference;

struct Entry {
    /// A scenario's name; each may end in `*`.
    scenario: String,
    step: String,
    path: String,
    /// It may be that there is none this time: what the record calls random.
    sometimes: bool,
    used: bool,
}

pub struct Declared(Vec<Entry>);

impl Declared {
    pub fn read(file: &Path) -> Self {
        let text = std::fs::read_to_string(file).unwrap();
        let all: Vec<Value> = serde_json::from_str(&text).unwrap();
        let entry = |one: &Value| {
            let known: BTreeSet<&str> =
                ["scenario", "step", "path", "reason", "sometimes"].into_iter().collect();
            let keys = one.as_object().unwrap().keys();
            keys.for_each(|key| assert!(known.contains(key.as_str()), "{key} in {one}"));
            let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
            assert!(text("reason").len() > 10, "a difference without a reason: {one}");
            Entry {
                scenario: text("scenario"),
                step: text("step"),
                path: text("path"),
                sometimes: one["sometimes"] == true,
                used: false,
            }
        };
        Self(all.iter().map(entry).collect())
    }

    pub fn covers(&mut self, found: &Difference) -> bool {
        let holds = |entry: &&mut Entry| {
            matches(&entry.scenario, &found.scenario)
                && matches(&entry.step, &found.step)
                && matches(&entry.path, &found.path)
        };
        let mut covered = false;
        for entry in self.0.iter_mut().filter(holds) {
            entry.used = true;
            covered = true;
        }
        covered
    }

    /// Those that met no difference, once everything was played.
    pub fn unused(&self) -> Vec<String> {
        let idle = self.0.iter().filter(|entry| !entry.used && !entry.sometimes);
        idle.map(|entry| format!("{} / {} / {}", entry.scenario, entry.step, entry.path)).collect()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// A `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            rest.char_indices()
                .map(|(at, _)| at)
                .chain([rest.len()])
                .any(|at| matches(after, &rest[at..]))
        }),
    }
}
