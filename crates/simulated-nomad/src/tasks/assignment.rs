//! What a client is told of an allocation: all that it needs to run it, also after a restart of its
//! agent. It is kept as JSON in the client's folder.
//!
//! It decides nothing. Read next: `group.rs` (the tasks in it), `client.rs`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Assignment {
    pub allocation: String,
    /// Which of the group's allocations.
    pub index: u64,
    pub namespace: String,
    /// The child.
    pub job_id: String,
    /// Empty where it was not dispatched.
    pub parent: String,
    pub group: String,
    /// The child's.
    pub meta: BTreeMap<String, String>,
    pub payload: Option<Vec<u8>>,
    /// The whole job, in the API's JSON.
    pub job: Value,
}

impl Assignment {
    /// `job.group[index]`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}.{}[{}]", self.job_id, self.group, self.index)
    }

    /// The meta keys that a dispatch may leave out, and which are then empty.
    pub(super) fn optional_meta(&self) -> impl Iterator<Item = &str> {
        let keys = self.job["ParameterizedJob"]["MetaOptional"].as_array();
        keys.into_iter().flatten().filter_map(Value::as_str)
    }
}
