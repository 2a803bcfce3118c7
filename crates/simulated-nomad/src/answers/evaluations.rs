//! Evaluations: of a job, one of them, all of them, and making one by hand.
//!
//! Fields that say nothing are left out, as the real one leaves them out. Read next:
//! `../evaluations.rs`.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::call::{Call, Reply, Written};
use super::paging::page;
use super::reading::Found;
use super::refusal::Refusal;
use super::{allocation_shapes, shapes};
use crate::acl::Capability;
use crate::evaluations::{Desired, Evaluation};
use crate::jobs::JobKey;
use crate::placing::PlacementFailure;
use crate::tables::Table;

/// In a millisecond.
const NANOS: i64 = 1_000_000;
/// The model has no clock, so no placement takes time in it.
const ALLOCATION_TIME: u64 = 1;

/// `GET /v1/job/:id/evaluations`.
pub(super) async fn of_job(call: Call, id: &str) -> Reply {
    call.read(|view, admitted, _| {
        let key = JobKey { namespace: admitted.namespace.clone(), id: id.to_owned() };
        let found: Vec<_> = view.nomad.evaluations_of(&key).collect();
        let rows: Vec<u64> = found.iter().map(|one| one.modify_index).collect();
        let list = found.into_iter().map(shape).collect();
        Ok(Found::list(view.nomad.table(Table::Evaluations), list).watching(rows))
    })
    .await
}

/// `GET /v1/evaluations`: in the order in which they were made.
pub(super) async fn list(call: Call) -> Reply {
    let (job, status) = (call.query.said("job"), call.query.said("status"));
    call.read(|view, admitted, options| {
        let seen = |one: &&Evaluation| {
            admitted.lists(&one.job.namespace, Capability::ReadJob)
                && one.id.starts_with(&options.prefix)
                && job.is_none_or(|job| one.job.id == job)
                && status.is_none_or(|status| one.status.as_str() == status)
        };
        let mut rows: Vec<((u64, &str), &Evaluation)> = { view.nomad.evaluations().filter(seen) }
            .map(|one| ((one.create_index, one.id.as_str()), one))
            .collect();
        rows.sort_by_key(|(key, _)| *key);
        if options.reverse {
            rows.reverse();
        }
        let from = options.next_token.split_once('.');
        let from = from.and_then(|(index, id)| Some((index.parse::<u64>().ok()?, id)));
        let whole = |one: &&Evaluation| Some(with_everything(shape(one)));
        let (page, next) = page(rows.into_iter(), from.as_ref(), options.reverse, options, whole)?;
        let list = page.into_iter().map(shape).collect();
        let next_token = next.map(|(index, id)| format!("{index}.{id}"));
        Ok(Found { next_token, ..Found::list(view.nomad.table(Table::Evaluations), list) })
    })
    .await
}

/// With the fields that are left out where they say nothing: a filter may name them.
fn with_everything(mut shape: Value) -> Value {
    let texts =
        ["BlockedEval", "DeploymentID", "NextEval", "NodeID", "PreviousEval", "StatusDescription"];
    let nulls = [
        "ClassEligibility",
        "FailedTGAllocs",
        "PlanAnnotations",
        "QueuedAllocations",
        "RelatedEvals",
    ];
    let absent = texts.into_iter().map(|name| (name, json!("")));
    for (name, nothing) in absent.chain(nulls.into_iter().map(|name| (name, Value::Null))) {
        if shape[name].is_null() {
            shape[name] = nothing;
        }
    }
    shape
}

/// `GET /v1/evaluation/:id`.
pub(super) async fn one(call: Call, id: &str) -> Reply {
    call.read(|view, admitted, _| {
        if id.len() != 36 {
            let why = "failed to lookup eval: eval lookup failed: index error: UUID must be 36 \
                       characters";
            return Err(Refusal::new(500, why));
        }
        let found = view.nomad.evaluation(id);
        let found = found.filter(|one| admitted.lists(&one.job.namespace, Capability::ReadJob));
        let found = found.map(|one| (one.modify_index, shape(one)));
        Ok(Found::one(found, view.nomad.table(Table::Evaluations), "eval not found"))
    })
    .await
}

/// `GET /v1/evaluation/:id/allocations`.
pub(super) async fn allocations(call: Call, id: &str) -> Reply {
    call.read(|view, admitted, _| {
        let of_it = view.nomad.allocations().filter(|one| one.evaluation == id);
        let found: Vec<_> =
            of_it.filter(|one| admitted.lists(&one.child.namespace, Capability::ReadJob)).collect();
        let rows: Vec<u64> = found.iter().map(|one| one.modify_index).collect();
        let list = found.into_iter().map(|one| allocation_shapes::stub(view, one)).collect();
        Ok(Found::list(view.nomad.table(Table::Allocations), list).watching(rows))
    })
    .await
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Asked {
    #[serde(rename = "JobID")]
    job: String,
    eval_options: Options,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Options {
    force_reschedule: bool,
}

/// `PUT /v1/job/:id/evaluate`.
pub(super) fn by_hand(call: &Call, id: &str) -> Reply {
    let asked = match call.body.as_ref() {
        b"" => Asked::default(),
        body => {
            serde_json::from_slice(body).map_err(|error| Refusal::new(400, format!("{error}")))?
        }
    };
    if !asked.job.is_empty() && asked.job != id {
        return Err(Refusal::new(400, "JobID not same as job name"));
    }
    call.write(|view, admitted, now| {
        let key = JobKey { namespace: admitted.namespace.clone(), id: id.to_owned() };
        if view.nomad.job(&key).is_some() {
            return Err(Refusal::new(500, "can't evaluate parameterized job"));
        }
        let force = asked.eval_options.force_reschedule;
        let made = view.nomad.evaluate_by_hand(&key, force, now);
        let (evaluation, index) = made.ok_or_else(|| Refusal::new(500, "job not found"))?;
        let modified = view.nomad.child(&key).map_or(0, |child| child.job_modify_index);
        let body = json!({
            "EvalID": evaluation, "EvalCreateIndex": index, "JobModifyIndex": modified,
            "Index": index, "Warnings": "", "KnownLeader": false, "LastContact": 0,
            "NextToken": "",
        });
        Ok(Written::new(index, body))
    })
}

/// An evaluation in JSON.
pub(super) fn shape(one: &Evaluation) -> Value {
    let mut shown = json!({
        "ID": one.id, "Namespace": one.job.namespace, "Priority": one.priority,
        "Type": one.kind, "TriggeredBy": one.triggered_by.as_str(), "JobID": one.job.id,
        "JobModifyIndex": one.job_modify_index, "Status": one.status.as_str(),
        "CreateIndex": one.create_index, "ModifyIndex": one.modify_index,
        "CreateTime": one.created_at * NANOS, "ModifyTime": one.modified_at * NANOS,
    });
    let mut add = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            shown[name] = value;
        }
    };
    let text = |text: &Option<String>| text.as_ref().map(|text| json!(text));
    add("NodeID", text(&one.node));
    add("BlockedEval", text(&one.blocked_eval));
    add("PreviousEval", text(&one.previous_eval));
    let description = Some(one.status_description.clone()).filter(|text| !text.is_empty());
    add("StatusDescription", text(&description));
    add("SnapshotIndex", Some(one.snapshot_index).filter(|it| *it > 0).map(|it| json!(it)));
    add("QueuedAllocations", one.queued.as_ref().map(|queued| json!(queued)));
    add("WaitUntil", one.wait_until.map(|at| json!(date(at))));
    add("ClassEligibility", (!one.classes.is_empty()).then(|| json!(one.classes)));
    let failed = one.failures.iter().map(|(group, all)| (group.clone(), metrics(all)));
    let failed: Map<String, Value> = failed.collect();
    add("FailedTGAllocs", (!failed.is_empty()).then_some(Value::Object(failed)));
    let desired = one.desired.iter().map(|(group, it)| (group.clone(), updates(it)));
    let desired: Map<String, Value> = desired.collect();
    let annotations = || json!({"DesiredTGUpdates": desired, "PreemptedAllocs": null});
    add("PlanAnnotations", (!desired.is_empty()).then(annotations));
    shown
}

fn updates(desired: &Desired) -> Value {
    json!({
        "Canary": 0, "DestructiveUpdate": 0, "Disconnect": desired.disconnect,
        "Ignore": desired.ignore, "InPlaceUpdate": 0, "Migrate": desired.migrate,
        "Place": desired.place, "Preemptions": 0, "Reconnect": 0,
        "RescheduleLater": desired.reschedule_later, "RescheduleNow": desired.reschedule_now,
        "Stop": desired.stop,
    })
}

/// `AllocMetric`. Maps that hold nothing are null, but for that of the datacenters.
pub(super) fn metrics(all: &PlacementFailure) -> Value {
    let map = |map: &std::collections::BTreeMap<String, u64>| {
        if map.is_empty() { Value::Null } else { json!(map) }
    };
    let exhausted = all.resources_exhausted.iter().map(|(task, (cpu, memory))| {
        (task.clone(), shapes::resources(&[("CPU", *cpu), ("MemoryMB", *memory)]))
    });
    let exhausted: Map<String, Value> = exhausted.collect();
    let scores: Vec<Value> = all
        .scores
        .iter()
        .map(|(node, score)| {
            json!({
                "NodeID": node, "NormScore": score,
                "Scores": {
                    "binpack": score, "job-anti-affinity": 0.0, "node-affinity": 0.0,
                    "node-reschedule-penalty": 0.0,
                },
            })
        })
        .collect();
    json!({
        "AllocationTime": ALLOCATION_TIME, "ClassExhausted": map(&all.class_exhausted),
        "ClassFiltered": map(&all.class_filtered), "CoalescedFailures": all.coalesced,
        "ConstraintFiltered": map(&all.constraint_filtered),
        "DimensionExhausted": map(&all.dimension_exhausted), "NodePool": all.node_pool,
        "NodesAvailable": all.nodes_available, "NodesEvaluated": all.nodes_evaluated,
        "NodesExhausted": all.nodes_exhausted, "NodesFiltered": all.nodes_filtered,
        "NodesInPool": all.nodes_in_pool, "QuotaExhausted": null,
        "ResourcesExhausted":
            if exhausted.is_empty() { Value::Null } else { Value::Object(exhausted) },
        "ScoreMetaData": if scores.is_empty() { Value::Null } else { json!(scores) },
        "Scores": null,
    })
}

fn date(at: i64) -> String {
    jiff::Timestamp::from_millisecond(at).unwrap_or_default().to_string()
}
