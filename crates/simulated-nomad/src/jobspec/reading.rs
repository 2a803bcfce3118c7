//! What the model wants to know of a job, and the tasks that are run. A job with anything that the
//! client here would not run as Nomad runs it has no plan, and is not run at all.
//!
//! Read next: `tasks/mod.rs`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::identity::IdentitySpec;
use crate::jobs::{Disconnect, JobSpec, PayloadRule};
use crate::model::{HOUR, Millis};
use crate::template::render;

/// Nanoseconds, as Go writes a length of time, in a millisecond.
const NANOS: i64 = 1_000_000;
/// Nomad's own, in MHz and MB (`api/resources.go`, `DefaultResources`).
const DEFAULT_CPU: u64 = 100;
const DEFAULT_MEMORY: u64 = 300;

/// What a child of the job does when it is placed.
#[derive(Clone, Debug)]
pub struct Plan {
    pub group: String,
    pub prestart: Vec<Task>,
    pub main: Task,
    pub poststop: Option<Task>,
}

impl Plan {
    /// In the order in which they run.
    pub fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.prestart.iter().chain([&self.main]).chain(&self.poststop)
    }
}

/// One task on `raw_exec`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Task {
    pub name: String,
    driver: String,
    pub config: Command,
    #[serde(default)]
    pub env: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub artifacts: Option<Vec<Artifact>>,
    #[serde(default)]
    pub dispatch_payload: Option<DispatchPayload>,
    #[serde(default)]
    pub templates: Option<Vec<Template>>,
    #[serde(default)]
    pub kill_signal: Option<String>,
    #[serde(default)]
    kill_timeout: Option<i64>,
    #[serde(default)]
    lifecycle: Option<Lifecycle>,
    #[serde(default)]
    resources: Option<Resources>,
    #[serde(default)]
    user: Option<String>,
    /// The default one, once the job is kept.
    #[serde(default)]
    identity: Option<IdentitySpec>,
    #[serde(default)]
    identities: Option<Vec<IdentitySpec>>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Command {
    pub command: String,
    #[serde(default)]
    pub args: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Artifact {
    pub getter_source: String,
    #[serde(default)]
    pub getter_options: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub getter_mode: Option<String>,
    #[serde(default)]
    pub relative_dest: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DispatchPayload {
    pub file: String,
}

/// A file that is made before the task starts, and not again.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Template {
    #[serde(default)]
    pub embedded_tmpl: Option<String>,
    pub dest_path: String,
    #[serde(default)]
    change_mode: Option<String>,
}

impl Template {
    pub fn text(&self) -> &str {
        self.embedded_tmpl.as_deref().unwrap_or_default()
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Lifecycle {
    hook: String,
    #[serde(default)]
    sidecar: bool,
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

/// What the model and the client make of a job.
#[derive(Debug, Default)]
pub struct Read {
    pub spec: JobSpec,
    /// None: the client here cannot run it.
    pub plan: Option<Plan>,
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
    let Some(group) = job["TaskGroups"].get(0) else { return Read { spec, plan: None } };
    let disconnect =
        Option::<WireDisconnect>::deserialize(&group["Disconnect"]).unwrap_or_default();
    spec.disconnect = disconnect.and_then(|disconnect| {
        let lost_after = disconnect.lost_after? / NANOS;
        Some(Disconnect { lost_after, replace: disconnect.replace.unwrap_or(true) })
    });
    let name = group["Name"].as_str().unwrap_or_default().to_owned();
    // A driver that no node has keeps the whole group from being placed.
    let drivers = group["Tasks"].as_array().into_iter().flatten().map(|task| &task["Driver"]);
    if let Some(foreign) = drivers.filter_map(Value::as_str).find(|driver| *driver != "raw_exec") {
        foreign.clone_into(&mut spec.driver);
    }
    let tasks = Option::<Vec<Task>>::deserialize(&group["Tasks"]).ok().flatten();
    let plan = tasks.and_then(|tasks| plan(name, tasks).ok());
    if let Some(plan) = &plan {
        spec.kill_timeout = plan.main.kill_timeout();
        // It ends when its process does; this only bounds it.
        spec.poststop = plan.poststop.as_ref().map(|_| HOUR);
        (spec.cpu_mhz, spec.memory_mb) = needs(plan);
    }
    Read { spec, plan }
}

fn plan(group: String, tasks: Vec<Task>) -> Result<Plan, String> {
    let (mut prestart, mut main, mut poststop) = (Vec::new(), None, None);
    for task in tasks {
        task.is_runnable()?;
        let hook = task.lifecycle.as_ref().map(|lifecycle| lifecycle.hook.as_str());
        match hook.unwrap_or_default() {
            "" if main.is_none() => main = Some(task),
            "prestart" => prestart.push(task),
            "poststop" if poststop.is_none() => poststop = Some(task),
            "" => return Err(cannot("more than one main task")),
            hook => return Err(cannot(&format!("this task with the lifecycle hook {hook:?}"))),
        }
    }
    let main = main.ok_or_else(|| cannot("a group without a main task"))?;
    Ok(Plan { group, prestart, main, poststop })
}

impl Task {
    fn is_runnable(&self) -> Result<(), String> {
        if self.driver != "raw_exec" {
            return Err(cannot(&format!("the driver {:?}", self.driver)));
        }
        if self.user.as_ref().is_some_and(|user| !user.is_empty()) {
            return Err(cannot("tasks of another user"));
        }
        if self.lifecycle.as_ref().is_some_and(|lifecycle| lifecycle.sidecar) {
            return Err(cannot("sidecars"));
        }
        for template in self.templates.iter().flatten() {
            if template.change_mode.as_deref() != Some("noop") || template.text().is_empty() {
                return Err(cannot("templates that change, or lie in a file"));
            }
            render(template.text(), &BTreeMap::new()).map_err(|what| cannot(&what))?;
        }
        for artifact in self.artifacts.iter().flatten() {
            let options = artifact.getter_options.as_ref();
            let whole = options.is_some_and(|it| it.get("archive").is_some_and(|it| it == "false"));
            if artifact.getter_mode.as_deref() != Some("file") || !whole {
                return Err(cannot("artifacts other than single files that stay packed"));
            }
        }
        Ok(())
    }

    pub fn identities(&self) -> impl Iterator<Item = &IdentitySpec> {
        self.identity.iter().chain(self.identities.iter().flatten())
    }

    pub fn runs_as_the_agent(&self) -> bool {
        self.user.as_deref().is_none_or(str::is_empty)
    }

    pub fn kill_timeout(&self) -> Millis {
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
    let before = plan.prestart.iter().map(Task::needs);
    let before = before.fold((0, 0), |(cpu, memory), (c, m)| (cpu + c, memory + m));
    let others = plan.poststop.iter().map(Task::needs).chain([plan.main.needs()]);
    others.fold(before, |(cpu, memory), (c, m)| (cpu.max(c), memory.max(m)))
}

fn cannot(what: &str) -> String {
    format!("the stand-in for Nomad does not run {what}")
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
        super::super::submitted(asked, "default", "global").job.into()
    }

    #[test]
    fn the_model_learns_what_it_asks_for() {
        let read = read(&kept(&job()));
        assert_eq!(read.spec.payload, Some(PayloadRule::Required));
        assert_eq!(read.spec.constraints["attr.cpu.arch"], "arm64");
        assert_eq!((read.spec.cpu_mhz, read.spec.memory_mb), (500, 300));
        assert_eq!(read.spec.kill_timeout, 30_000);
        assert_eq!(read.spec.poststop, None);
        let plan = read.plan.unwrap();
        let tasks: Vec<&str> = plan.tasks().map(|task| task.name.as_str()).collect();
        assert_eq!(tasks, ["before", "main"]);
    }

    #[test]
    fn what_would_run_otherwise_is_not_run() {
        let foreign: [(&str, Value); 3] = [
            ("/TaskGroups/0/Tasks/1/Driver", json!("docker")),
            ("/TaskGroups/0/Tasks/0/Lifecycle/Sidecar", json!(true)),
            ("/TaskGroups/0/Tasks/0/Lifecycle/Hook", json!("poststart")),
        ];
        for (at, value) in foreign {
            let mut job = job();
            *job.pointer_mut(at).unwrap() = value;
            assert!(read(&kept(&job)).plan.is_none(), "{at}");
        }
    }
}
