//! `POST /v1/job/:id/plan`.
//!
//! Read next: `../planning.rs`, `../jobspec/diff.rs`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::call::{Call, Reply, Written};
use super::evaluations;
use super::refusal::Refusal;
use super::registering::{Body, good, judged};
use crate::jobs::JobKey;
use crate::jobspec;

/// What only a row of the state has.
const OF_A_ROW: [&str; 5] =
    ["CreateIndex", "JobModifyIndex", "ModifyIndex", "QueuedAllocations", "SnapshotIndex"];

pub(super) fn plan(call: &Call, id: &str) -> Reply {
    let body = Body::read(call, &jobspec::PLAN)?;
    if id != body.id() {
        return Err(Refusal::new(400, "Job ID does not match"));
    }
    let (stated, wants_diff) = (body.stated(), body.rest["Diff"] == true);
    call.write_as(&stated, |view, admitted, now| {
        let submitted = judged(view, body.job, admitted);
        good(&submitted.problems)?;
        let key = JobKey::new(&admitted.namespace, id);
        let job = Value::Object(submitted.job);
        let planned = view.nomad.plan(&key, jobspec::read(&job), job.clone(), now);
        let shown = planned.as_ref().map(|planned| evaluations::shape(&planned.evaluation));
        let shown = shown.unwrap_or_default();
        let blocked = planned.and_then(|planned| planned.blocked).map(|one| {
            let mut shown = evaluations::shape(&one);
            if let Value::Object(fields) = &mut shown {
                fields.retain(|key, _| !OF_A_ROW.contains(&key.as_str()));
            }
            vec![shown]
        });
        let known = view.nomad.definition(&key);
        let index = known.map_or(0, |known| known.job_modify_index);
        let diff = wants_diff.then(|| {
            let old = known.map(|known| &known.job);
            jobspec::diff(old, &job, &updates(&shown["PlanAnnotations"]))
        });
        let body = json!({
            "Annotations": shown["PlanAnnotations"], "CreatedEvals": blocked, "Diff": diff,
            "FailedTGAllocs": shown["FailedTGAllocs"], "JobModifyIndex": index, "Index": index,
            "NextPeriodicLaunch": null, "Warnings": submitted.warnings,
        });
        Ok(Written::new(index, body))
    })
}

/// What becomes of each group's allocations, in the words of a diff.
fn updates(annotations: &Value) -> BTreeMap<String, Value> {
    let words = [
        ("Place", "create"),
        ("Stop", "destroy"),
        ("Ignore", "ignore"),
        ("Migrate", "migrate"),
        ("Canary", "canary"),
        ("InPlaceUpdate", "in-place update"),
        ("DestructiveUpdate", "create/destroy update"),
    ];
    let of = |(group, counts): (&String, &Value)| {
        let said = words.iter().filter(|(key, _)| counts[*key].as_u64().is_some_and(|it| it > 0));
        let said = said.map(|(key, word)| ((*word).to_owned(), counts[*key].clone()));
        (group.clone(), said.collect::<Map<_, _>>().into())
    };
    annotations["DesiredTGUpdates"].as_object().into_iter().flatten().map(of).collect()
}
