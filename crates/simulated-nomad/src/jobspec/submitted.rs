//! A job that somebody sends: held to the types, filled up, and judged.
//!
//! Read next: `typing.rs`, `canonical.rs`, `kept.rs`, `validation/`.

use serde_json::{Map, Value, json};

use super::validation::{self, Problems, Surroundings};
use super::{canonical, kept};

/// Fields that only the servers set, whatever a client says.
const OF_THE_SERVERS: [(&str, Value); 5] = [
    ("ParentID", Value::Null),
    ("Dispatched", Value::Null),
    ("DispatchIdempotencyToken", Value::Null),
    ("VersionTag", Value::Null),
    ("NomadTokenID", Value::Null),
];

/// What became of it.
pub struct Submitted {
    /// In the kept form.
    pub job: Map<String, Value>,
    pub problems: Problems,
    pub warnings: String,
}

/// Reads a job in the asked form, for a namespace and a region that are known by now.
pub fn submitted(
    mut job: Map<String, Value>,
    namespace: &str,
    region: &str,
    around: &Surroundings<'_>,
) -> Submitted {
    for (key, value) in OF_THE_SERVERS {
        job.insert(key.to_owned(), value);
    }
    job.insert("Namespace".into(), json!(namespace));
    job.insert("Region".into(), json!(region));
    canonical::canonicalize(&mut job);
    for (key, value) in
        [("Status", json!("")), ("StatusDescription", json!("")), ("Stable", json!(false))]
    {
        job.insert(key.into(), value);
    }
    for number in ["Version", "SubmitTime", "CreateIndex", "ModifyIndex", "JobModifyIndex"] {
        job.insert(number.into(), json!(0));
    }
    let job = kept::kept(&job);
    let problems = validation::problems(&job, around);
    let warnings = validation::warnings(&job);
    Submitted { job, problems, warnings }
}
