//! What the model wants to know of a job.
//!
//! What its tasks do is read by the client that runs them: `tasks/group.rs`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::jobs::{Disconnect, JobSpec, PayloadRule};
use crate::model::{HOUR, Millis};

/// Nanoseconds, as Go writes a length of time, in a millisecond.
const NANOS: i64 = 1_000_000;
/// Nomad's own, in MHz and MB (`api/resources.go`, `DefaultResources`).
const DEFAULT_CPU: u64 = 100;
const DEFAULT_MEMORY: u64 = 300;

/// Its tasks, by when they run.
struct Plan {
    before: Vec<Task>,
    main: Task,
    poststop: Option<Task>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Task {
    #[serde(default)]
    kill_timeout: Option<i64>,
    #[serde(default)]
    lifecycle: Option<Lifecycle>,
    #[serde(default)]
    resources: Option<Resources>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Lifecycle {
    hook: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Resources {
    #[serde(rename = "CPU", default)]
    cpu: Option<u64>,
    #[serde(rename = "MemoryMB", default)]
    memory: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Wire {
    constraints: Option<Vec<Constraint>>,
    meta: Option<BTreeMap<String, String>>,
    parameterized_job: Option<Parameterized>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Constraint {
    l_target: String,
    r_target: String,
    operand: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parameterized {
    #[serde(default)]
    payload: String,
    #[serde(default)]
    meta_required: Option<Vec<String>>,
    #[serde(default)]
    meta_optional: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireDisconnect {
    #[serde(default)]
    lost_after: Option<i64>,
    #[serde(default)]
    replace: Option<bool>,
}

/// What the model makes of a job.
#[derive(Debug, Default)]
pub struct Read {
    pub spec: JobSpec,
}

/// Of a job in the kept form that was found good.
pub fn read(job: &Value) -> Read {
    let wire = Wire::deserialize(job).unwrap_or_default();
    let mut spec = JobSpec {
        payload: wire.parameterized_job.as_ref().map(|rules| match rules.payload.as_str() {
            "required" => PayloadRule::Required,
            "forbidden" => PayloadRule::Forbidden,
            _ => PayloadRule::Optional,
        }),
        meta: wire.meta.unwrap_or_default(),
        ..JobSpec::default()
    };
    if let Some(rules) = wire.parameterized_job {
        spec.meta_required = rules.meta_required.unwrap_or_default();
        spec.meta_optional = rules.meta_optional.unwrap_or_default();
    }
    for constraint in wire.constraints.unwrap_or_default() {
        if matches!(constraint.operand.as_str(), "=" | "==" | "is") {
            let name = constraint.l_target.trim_start_matches("${").trim_end_matches('}');
            spec.constraints.insert(name.to_owned(), constraint.r_target);
        }
    }
    let Some(group) = job["TaskGroups"].get(0) else { return Read { spec } };
    let disconnect =
        Option::<WireDisconnect>::deserialize(&group["Disconnect"]).unwrap_or_default();
    spec.disconnect = disconnect.and_then(|disconnect| {
        let lost_after = disconnect.lost_after? / NANOS;
        Some(Disconnect { lost_after, replace: disconnect.replace.unwrap_or(true) })
    });
    // A driver that no node has keeps the whole group from being placed.
    let drivers = group["Tasks"].as_array().into_iter().flatten().map(|task| &task["Driver"]);
    if let Some(foreign) = drivers.filter_map(Value::as_str).find(|driver| *driver != "raw_exec") {
        foreign.clone_into(&mut spec.driver);
    }
    let tasks = Option::<Vec<Task>>::deserialize(&group["Tasks"]).ok().flatten();
    if let Some(plan) = tasks.and_then(plan) {
        spec.kill_timeout = plan.main.kill_timeout();
        // It ends when its process does; this only bounds it.
        spec.poststop = plan.poststop.as_ref().map(|_| HOUR);
        (spec.cpu_mhz, spec.memory_mb) = needs(&plan);
    }
    Read { spec }
}

/// None: a group without a main task.
fn plan(tasks: Vec<Task>) -> Option<Plan> {
    let (mut before, mut main, mut poststop) = (Vec::new(), None, None);
    for task in tasks {
        let hook = task.lifecycle.as_ref().map(|lifecycle| lifecycle.hook.as_str());
        match hook.unwrap_or_default() {
            "" if main.is_none() => main = Some(task),
            "poststop" if poststop.is_none() => poststop = Some(task),
            _ => before.push(task),
        }
    }
    Some(Plan { before, main: main?, poststop })
}

impl Task {
    fn kill_timeout(&self) -> Millis {
        self.kill_timeout.filter(|it| *it > 0).map_or(5_000, |nanos| nanos / NANOS)
    }

    fn needs(&self) -> (u64, u64) {
        let resources = self.resources.clone().unwrap_or_default();
        (resources.cpu.unwrap_or(DEFAULT_CPU), resources.memory.unwrap_or(DEFAULT_MEMORY))
    }
}

/// Tasks of different hooks do not run at the same time, so the greatest need counts
/// (`nomad/structs/structs.go`, `AllocatedResources.Comparable`).
fn needs(plan: &Plan) -> (u64, u64) {
    let before = plan.before.iter().map(Task::needs);
    let before = before.fold((0, 0), |(cpu, memory), (c, m)| (cpu + c, memory + m));
    let others = plan.poststop.iter().map(Task::needs).chain([plan.main.needs()]);
    others.fold(before, |(cpu, memory), (c, m)| (cpu.max(c), memory.max(m)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn job() -> Value {
        json!({
            "ID": "runner", "Type": "batch",
            "Constraints": [{"LTarget": "${attr.cpu.arch}", "RTarget": "arm64", "Operand": "="}],
            "ParameterizedJob": {"Payload": "required", "MetaRequired": ["a"], "MetaOptional": null},
            "TaskGroups": [{"Name": "g", "Tasks": [
                {"Name": "before", "Driver": "raw_exec", "Config": {"command": "/bin/true"},
                 "Lifecycle": {"Hook": "prestart", "Sidecar": false}},
                {"Name": "main", "Driver": "raw_exec", "KillTimeout": 30_000_000_000_i64,
                 "Config": {"command": "/bin/true"}, "Resources": {"CPU": 500, "MemoryMB": 100}},
            ]}],
        })
    }

    fn kept(job: &Value) -> Value {
        let asked = super::super::asked(&super::super::shapes::JOB, job, "").unwrap();
        super::super::submitted(asked, "default", "global", &["default"]).job.into()
    }

    #[test]
    fn the_model_learns_what_it_asks_for() {
        let read = read(&kept(&job()));
        assert_eq!(read.spec.payload, Some(PayloadRule::Required));
        assert_eq!(read.spec.constraints["attr.cpu.arch"], "arm64");
        assert_eq!((read.spec.cpu_mhz, read.spec.memory_mb), (500, 300));
        assert_eq!(read.spec.kill_timeout, 30_000);
        assert_eq!(read.spec.poststop, None);
    }
}
