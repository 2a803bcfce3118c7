//! How allocations look in JSON: in a list, by themselves, and in an event.
//!
//! Read next: `../allocations.rs`.

use serde_json::{Map, Value, json};

use super::{evaluations, shapes};
use crate::allocations::Allocation;
use crate::http::View;
use crate::wants::{Group, TaskWants};

/// In a millisecond.
const NANOS: i64 = 1_000_000;

/// An allocation in a list.
pub(super) fn stub(view: &View<'_>, one: &Allocation) -> Value {
    let kind = view.nomad.child(&one.child).map(|it| it.definition.wants.kind.clone());
    let migrate = one.migrate.map(|_| true);
    json!({
        "ID": one.id, "Name": one.name, "TaskGroup": one.group, "Namespace": one.child.namespace,
        "JobID": one.child.id, "JobVersion": one.job_version, "JobType": kind,
        "EvalID": one.evaluation, "NodeID": one.node, "NodeName": node_name(view, one),
        "ClientStatus": one.client_status.as_str(), "ClientDescription": one.client_description,
        "DesiredStatus": desired(one), "DesiredDescription": one.desired_description,
        "DesiredTransition": {
            "Migrate": migrate, "MigrateDisablePlacement": null, "Reschedule": null,
            "ForceReschedule": null, "NoShutdownDelay": null,
        },
        "DeploymentStatus": null, "FollowupEvalID": one.followup.clone().unwrap_or_default(),
        "NextAllocation": one.next.clone().unwrap_or_default(), "PreemptedAllocations": null,
        "PreemptedByAllocation": "", "RescheduleTracker": tracker(one),
        "TaskStates": task_states(one).unwrap_or_default(),
        "CreateTime": one.created_at * NANOS, "ModifyTime": one.modified_at * NANOS,
        "CreateIndex": one.create_index, "ModifyIndex": one.modify_index,
    })
}

/// `GET /v1/allocation/:id`: with its job as it was when it was placed.
pub(super) fn whole(view: &View<'_>, one: &Allocation) -> Value {
    let mut whole = told(view, one);
    let job = match &one.job {
        Some(child) => Some(shapes::child(&one.child, child)),
        None => shapes::job(view, &one.child),
    };
    whole["Job"] = job.unwrap_or_default();
    whole
}

/// All of it but its job. Fields that say nothing are left out, as the real one leaves them out.
pub(super) fn told(view: &View<'_>, one: &Allocation) -> Value {
    let mut all = json!({
        "ID": one.id, "Name": one.name, "TaskGroup": one.group, "Namespace": one.child.namespace,
        "JobID": one.child.id, "EvalID": one.evaluation, "NodeID": one.node,
        "NodeName": node_name(view, one), "ClientStatus": one.client_status.as_str(),
        "DesiredStatus": desired(one), "Metrics": evaluations::metrics(&one.metrics),
        "SigningKeyID": view.nomad.signing_key(),
        "CreateTime": one.created_at * NANOS, "ModifyTime": one.modified_at * NANOS,
        "CreateIndex": one.create_index, "ModifyIndex": one.modify_index,
        "AllocModifyIndex": one.alloc_modify_index,
    });
    let text = |text: &String| (!text.is_empty()).then(|| json!(text));
    let maybe = |text: &Option<String>| text.as_ref().map(|text| json!(text));
    let migrate = one.migrate.map(|_| json!({"Migrate": true}));
    let network = || json!({"Address": "", "AddressIPv6": "", "DNS": null, "InterfaceName": ""});
    let said = [
        ("ClientDescription", text(&one.client_description)),
        ("DesiredDescription", text(&one.desired_description)),
        ("DesiredTransition", migrate),
        ("FollowupEvalID", maybe(&one.followup)),
        ("NextAllocation", maybe(&one.next)),
        ("PreviousAllocation", maybe(&one.previous)),
        ("RescheduleTracker", Some(tracker(one)).filter(|it| !it.is_null())),
        ("TaskStates", task_states(one)),
        ("NetworkStatus", (!one.tasks.is_empty()).then(network)),
    ];
    for (name, value) in said.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        all[name] = value;
    }
    let job = one.job.as_ref().map(|child| &child.definition);
    let now = view.nomad.child(&one.child).map(|child| &child.definition);
    if let Some(group) = job.or(now).and_then(|it| it.wants.group(&one.group)) {
        add_resources(&mut all, group);
    }
    all
}

fn add_resources(all: &mut Value, group: &Group) {
    let each = |of: fn(&TaskWants) -> Value| -> Map<String, Value> {
        group.tasks.iter().map(|task| (task.name.clone(), of(task))).collect()
    };
    let tasks = each(|task| {
        json!({
            "Cpu": {"CpuShares": task.cpu_mhz, "ReservedCores": null}, "Devices": null,
            "Memory": {"MemoryMB": task.memory_mb, "MemoryMaxMB": 0}, "Networks": null,
        })
    });
    let lifecycles = each(|task| task.lifecycle.clone());
    all["AllocatedResources"] = json!({
        "Shared": {"DiskMB": group.disk_mb, "Networks": null, "Ports": null},
        "TaskLifecycles": lifecycles, "Tasks": tasks,
    });
    let sum = |of: fn(&TaskWants) -> u64| group.tasks.iter().map(of).sum::<u64>();
    let (cpu, memory) = (sum(|task| task.cpu_mhz), sum(|task| task.memory_mb));
    let disk = ("DiskMB", group.disk_mb);
    all["Resources"] =
        shapes::resources(&[("CPU", cpu), ("MemoryMB", memory), ("MemoryMaxMB", memory), disk]);
    all["SharedResources"] = shapes::resources(&[disk]);
    let of_task =
        each(|task| shapes::resources(&[("CPU", task.cpu_mhz), ("MemoryMB", task.memory_mb)]));
    all["TaskResources"] = Value::Object(of_task);
}

fn node_name<'a>(view: &'a View<'_>, one: &Allocation) -> &'a str {
    view.nomad.node(&one.node).map_or("", |node| &node.spec.name)
}

fn desired(one: &Allocation) -> &'static str {
    if one.stopping { "stop" } else { "run" }
}

/// When it was tried again.
fn tracker(one: &Allocation) -> Value {
    let event = |at: &i64| {
        json!({
            "RescheduleTime": at * NANOS, "PrevAllocID": one.previous, "PrevNodeID": one.node,
            "Delay": 0,
        })
    };
    let events: Vec<Value> = one.reschedules.iter().map(event).collect();
    if events.is_empty() { Value::Null } else { json!({"Events": events}) }
}

/// The states of its tasks; None where its client has said nothing yet.
fn task_states(one: &Allocation) -> Option<Value> {
    let told = !one.tasks.is_empty();
    told.then(|| serde_json::to_value(&one.tasks).unwrap_or_default())
}
