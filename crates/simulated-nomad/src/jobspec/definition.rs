//! A job as it was registered: its JSON, and what its tasks do.
//!
//! What changes afterwards (its status, whether it is stopped) is the model's. A job that the
//! simulation registers with a bare [`JobSpec`] has one too, made from that. Read next:
//! `reading.rs`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::shapes::JOB;
use super::submitted::submitted;
use super::typing;
use super::validation::Surroundings;
use crate::jobs::{JobKey, JobSpec, PayloadRule};
use crate::model::Millis;
use crate::wants::Wants;

/// Nothing but what every cluster has.
pub(crate) const ALONE: Surroundings<'static> =
    Surroundings { node_pools: &["default"], vault: false };

/// One version of a job.
#[derive(Clone, Debug)]
pub struct Definition {
    /// In the form in which the API shows it, without what the model knows better.
    pub job: Value,
    pub version: u64,
    pub submit_time: Millis,
    pub job_modify_index: u64,
    /// What of it matters to the scheduler.
    pub wants: Wants,
}

impl Definition {
    /// The version that a stop makes of it.
    pub(crate) fn stopped(&self, index: u64, now: Millis) -> Self {
        let mut job = self.job.clone();
        job["Stop"] = json!(true);
        let (version, wants) = (self.version + 1, self.wants.clone());
        Self { job, version, submit_time: now, job_modify_index: index, wants }
    }

    /// What the task group is called that children are counted by.
    #[must_use]
    pub fn group(&self) -> &str {
        self.job["TaskGroups"][0]["Name"].as_str().unwrap_or_default()
    }
}

/// The job that the spec is about: one group of one task, in the kept form.
pub(crate) fn of_spec(key: &JobKey, spec: &JobSpec) -> Value {
    let asked = asked_of_spec(key, spec);
    let asked = typing::asked(&JOB, &asked, "").unwrap_or_default();
    submitted(asked, &key.namespace, "global", &ALONE).job.into()
}

fn asked_of_spec(key: &JobKey, spec: &JobSpec) -> Value {
    let rule = |rule| match rule {
        PayloadRule::Optional => "optional",
        PayloadRule::Required => "required",
        PayloadRule::Forbidden => "forbidden",
    };
    let parameterized = spec.payload.map(|payload| {
        json!({
            "Payload": rule(payload), "MetaRequired": spec.meta_required,
            "MetaOptional": spec.meta_optional,
        })
    });
    let constraint = |(name, value): (&String, &String)| json!({"LTarget": format!("${{{name}}}"), "RTarget": value, "Operand": "="});
    let constraints: Vec<Value> = spec.constraints.iter().map(constraint).collect();
    let disconnect = spec
        .disconnect
        .map(|it| json!({"LostAfter": it.lost_after * 1_000_000, "Replace": it.replace}));
    let meta: &BTreeMap<String, String> = &spec.meta;
    json!({
        "ID": key.id, "Name": key.id, "Namespace": key.namespace, "Type": "batch",
        "ParameterizedJob": parameterized, "Constraints": constraints, "Meta": meta,
        "TaskGroups": [{"Name": "group", "Disconnect": disconnect,
          "ReschedulePolicy": {"Attempts": 0, "Unlimited": false}, "Tasks": [{
            "Name": "task", "Driver": spec.driver, "KillTimeout": spec.kill_timeout * 1_000_000,
            "Resources": {"CPU": spec.cpu_mhz, "MemoryMB": spec.memory_mb},
        }]}],
    })
}
