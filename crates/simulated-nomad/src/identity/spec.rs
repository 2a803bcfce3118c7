//! The `identity` block of a task.
//!
//! Every task has one of the name `default`, whether it says so or not; only what is asked for with
//! `env` and `file` is shown to the task.

use serde::{Deserialize, Serialize};

use crate::model::Millis;

/// The identity that every task has, and what it is good for.
const DEFAULT: &str = "default";
const DEFAULT_AUDIENCE: &str = "nomadproject.io";
/// Nanoseconds, as Go writes a length of time, in a millisecond.
const NANOS: i64 = 1_000_000;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct IdentitySpec {
    name: Option<String>,
    audience: Option<Vec<String>>,
    pub env: bool,
    pub file: bool,
    filepath: Option<String>,
    #[serde(rename = "TTL")]
    ttl: Option<i64>,
    change_mode: Option<String>,
    change_signal: Option<String>,
}

/// What becomes of the task when its identity is another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeMode {
    Nothing,
    Restart,
    Signal(String),
}

impl IdentitySpec {
    /// One that a task asks for without being shown it.
    pub fn hidden(name: &str, audience: &[String], ttl: Option<Millis>) -> Self {
        let ttl = ttl.map(|ttl| ttl * NANOS);
        Self {
            name: Some(name.to_owned()),
            audience: Some(audience.to_vec()),
            ttl,
            ..Self::default()
        }
    }

    pub fn name(&self) -> &str {
        self.name.as_deref().filter(|it| !it.is_empty()).unwrap_or(DEFAULT)
    }

    pub fn is_default(&self) -> bool {
        self.name() == DEFAULT
    }

    pub fn audience(&self) -> Vec<String> {
        match self.audience.clone().unwrap_or_default() {
            none if none.is_empty() && self.is_default() => vec![DEFAULT_AUDIENCE.to_owned()],
            some => some,
        }
    }

    /// None: it has no end of its own.
    pub fn ttl(&self) -> Option<Millis> {
        self.ttl.filter(|it| *it > 0).map(|nanos| nanos / NANOS)
    }

    pub fn change_mode(&self) -> ChangeMode {
        match self.change_mode.as_deref() {
            Some("restart") => ChangeMode::Restart,
            Some("signal") => ChangeMode::Signal(self.change_signal.clone().unwrap_or_default()),
            _ => ChangeMode::Nothing,
        }
    }

    /// The variable of the environment that holds it.
    pub fn variable(&self) -> String {
        match self.name() {
            DEFAULT => "NOMAD_TOKEN".to_owned(),
            name => format!("NOMAD_TOKEN_{name}"),
        }
    }

    /// Its file, below the task's folder.
    pub fn path(&self) -> String {
        if let Some(path) = self.filepath.as_ref().filter(|it| !it.is_empty()) {
            return path.clone();
        }
        match self.name() {
            DEFAULT => "secrets/nomad_token".to_owned(),
            name => format!("secrets/nomad_{name}.jwt"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(value: serde_json::Value) -> IdentitySpec {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_default_identity_has_names_of_its_own() {
        let default = spec(json!({"Env": true}));
        assert_eq!((default.name(), default.variable().as_str()), ("default", "NOMAD_TOKEN"));
        assert_eq!(default.path(), "secrets/nomad_token");
        assert_eq!((default.audience(), default.ttl()), (vec!["nomadproject.io".to_owned()], None));
        let other = spec(json!({"Name": "x", "Audience": ["y"], "TTL": 4_000_000_000_i64}));
        assert_eq!(
            (other.variable().as_str(), other.path().as_str()),
            ("NOMAD_TOKEN_x", "secrets/nomad_x.jwt")
        );
        assert_eq!((other.audience(), other.ttl()), (vec!["y".to_owned()], Some(4_000)));
        let placed = spec(json!({"Name": "x", "File": true, "Filepath": "local/x"}));
        assert_eq!(placed.path(), "local/x");
    }
}
