//! What Nomad refuses in a job, and what it warns of, in its own words. (Nomad
//! `nomad/structs/structs.go`, `Validate`; the texts are [V].)
//!
//! Works on the kept form. Read next: `group.rs`, `task.rs`, `policies.rs`, `constraint.rs`.

mod constraint;
mod group;
mod policies;
mod problems;
mod task;
mod warnings;

use serde_json::{Map, Value};

pub use problems::Problems;
pub use warnings::warnings;

type Object = Map<String, Value>;

/// The highest priority, and what there is around the job.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    pub node_pools: &'a [&'a str],
    /// Tasks can get tokens of a Vault.
    pub vault: bool,
}

const HIGHEST_PRIORITY: i64 = 100;

/// Everything that is wrong with the job; nothing: it can be registered.
pub fn problems(job: &Object, around: &Surroundings<'_>) -> Problems {
    let mut found = Problems::default();
    if job["Region"] == "" {
        found.add("Missing job region");
    }
    let kind = text(job, "Type");
    match kind {
        "service" | "batch" | "system" | "sysbatch" | "_core" => {}
        "" => found.add("Missing job type"),
        other => found.add(format!("Invalid job type: {other:?}")),
    }
    match text(job, "ID") {
        "" => found.add("Missing job ID"),
        id if id.contains(' ') => found.add("Job ID contains a space"),
        id if id.contains('\0') => found.add("Job ID contains a null character"),
        _ => {}
    }
    match text(job, "Name") {
        "" => found.add("Missing job name"),
        name if name.contains('\0') => found.add("Job Name contains a null character"),
        _ => {}
    }
    if job["Namespace"] == "" {
        found.add("Job must be in a namespace");
    }
    if list(job, "Datacenters").any(|one| one == "") {
        found.add("Job datacenter must be non-empty string");
    }
    if list(job, "TaskGroups").next().is_none() {
        found.add("Missing job task groups");
    }
    constraint::all(job, &mut found);
    let groups: Vec<&Object> = objects(job, "TaskGroups").collect();
    for (number, name) in groups.iter().map(|group| text(group, "Name")).enumerate() {
        let number = number + 1;
        let first = groups[..number - 1].iter().position(|before| text(before, "Name") == name);
        match first {
            _ if name.is_empty() => found.add(format!("Job task group {number} missing name")),
            Some(first) => found.add(format!(
                "Job task group {number} redefines '{name}' from group {}",
                first + 1
            )),
            None => {}
        }
        let count = groups[number - 1]["Count"].as_i64().unwrap_or(0);
        if kind == "system" && count > 1 {
            found.add(format!(
                "Job task group {name} has count {count}. Count cannot exceed 1 with system scheduler"
            ));
        }
    }
    for group in groups {
        let inner = group::problems(group, kind);
        found.nest(format!("Task group {} validation failed", text(group, "Name")), &inner);
    }
    let can_repeat = matches!(kind, "batch" | "sysbatch");
    if job["Periodic"]["Enabled"] == true && !can_repeat {
        found.add("Periodic can only be used with \"batch\" or \"sysbatch\" scheduler");
    }
    if let Some(rules) = job["ParameterizedJob"].as_object() {
        if !can_repeat {
            found
                .add("Parameterized job can only be used with \"batch\" or \"sysbatch\" scheduler");
        }
        found.append(&parameterized(rules));
    }
    around_the_job(job, around, &mut found);
    found
}

/// What the endpoint looks at after the job itself.
fn around_the_job(job: &Object, around: &Surroundings<'_>, found: &mut Problems) {
    if job["Type"] == "_core" {
        found.add("job type cannot be core");
    }
    if job["Payload"].as_str().is_some_and(|payload| !payload.is_empty()) {
        found.add("job can't be submitted with a payload, only dispatched");
    }
    let priority = job["Priority"].as_i64().unwrap_or(0);
    if !(1..=HIGHEST_PRIORITY).contains(&priority) {
        found.add(format!("job priority must be between [1, {HIGHEST_PRIORITY}]"));
    }
    let tasks = objects(job, "TaskGroups").flat_map(|group| objects(group, "Tasks"));
    let tasks = tasks.filter(|_| !around.vault);
    for vault in tasks.filter_map(|task| task["Vault"].as_object()) {
        found.add(format!("Vault {:?} not enabled but used in the job", text(vault, "Cluster")));
    }
    let pool = text(job, "NodePool");
    if !around.node_pools.contains(&pool) {
        let id = text(job, "ID");
        found.add(format!("job {id:?} is in nonexistent node pool {pool:?}"));
    }
}

fn parameterized(rules: &Object) -> Problems {
    let mut found = Problems::default();
    match text(rules, "Payload") {
        "optional" | "required" | "forbidden" => {}
        other => found.add(format!("Unknown payload requirement: {other:?}")),
    }
    let required: Vec<&str> = list(rules, "MetaRequired").filter_map(Value::as_str).collect();
    let optional = list(rules, "MetaOptional").filter_map(Value::as_str);
    let both: Vec<&str> = optional.filter(|key| required.contains(key)).collect();
    if !both.is_empty() {
        found.add(format!(
            "Required and optional meta keys should be disjoint. Following keys exist in both: [{}]",
            both.join(" ")
        ));
    }
    found
}

fn text<'a>(object: &'a Object, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn number(object: &Object, key: &str) -> i64 {
    object.get(key).and_then(Value::as_i64).unwrap_or(0)
}

fn list<'a>(object: &'a Object, key: &str) -> impl Iterator<Item = &'a Value> {
    object.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn objects<'a>(object: &'a Object, key: &str) -> impl Iterator<Item = &'a Object> {
    list(object, key).filter_map(Value::as_object)
}
