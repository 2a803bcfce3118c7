//! What hangs on one job: its versions, its summary, its scale, where it came from.
//!
//! Read next: `summaries.rs`, `shapes.rs`.

use serde_json::{Map, Value, json};

use super::call::{Admitted, Call, Reply};
use super::reading::Found;
use super::refusal::Refusal;
use super::{shapes, summaries};
use crate::allocations::ClientStatus;
use crate::jobs::JobKey;
use crate::tables::Table;

fn key(admitted: &Admitted, id: &str) -> JobKey {
    JobKey { namespace: admitted.namespace.clone(), id: id.to_owned() }
}

pub(super) async fn summary(call: Call, id: &str) -> Reply {
    call.read(|view, admitted, _| {
        let summary = summaries::summary(view, &key(admitted, id));
        let found = summary["ModifyIndex"].as_u64().map(|index| (index, summary));
        Ok(Found::one(found, view.nomad.table(Table::Jobs), "job not found"))
    })
    .await
}

pub(super) async fn versions(call: Call, id: &str) -> Reply {
    call.read(|view, admitted, _| {
        let key = key(admitted, id);
        let now = shapes::job(view, &key);
        let all: Vec<Value> = view
            .nomad
            .versions(&key)
            .iter()
            .filter_map(|one| {
                let (mut whole, now) = (one.job.as_object()?.clone(), now.as_ref()?);
                for of_now in ["CreateIndex", "ModifyIndex", "Status", "StatusDescription"] {
                    whole.insert(of_now.to_owned(), now[of_now].clone());
                }
                whole.insert("Version".to_owned(), json!(one.version));
                whole.insert("JobModifyIndex".to_owned(), json!(one.job_modify_index));
                whole.insert("SubmitTime".to_owned(), json!(one.submit_time * 1_000_000));
                Some(Value::Object(whole))
            })
            .collect();
        let index = shapes::modify_index(view, &key).filter(|_| !all.is_empty());
        let body = index.map(|index| {
            let body = json!({
                "Versions": all, "Diffs": null, "Index": index, "LastContact": 0,
                "KnownLeader": true, "NextToken": "",
            });
            (index, body)
        });
        Ok(Found::one(body, view.nomad.table(Table::Jobs), "job versions not found"))
    })
    .await
}

/// Nothing is deployed here: there is no rolling update to follow.
pub(super) async fn deployments(call: Call, _id: &str) -> Reply {
    call.read(|view, _, _| Ok(Found::list(view.nomad.table(Table::Deployments), json!([])))).await
}

pub(super) async fn scale(call: Call, id: &str) -> Reply {
    call.read(|view, admitted, _| {
        let key = key(admitted, id);
        let found = shapes::modify_index(view, &key).zip(shapes::job(view, &key));
        let found = found.map(|(index, job)| {
            let of = |group: &Value| {
                let running = |one: &&crate::Allocation| one.client_status == ClientStatus::Running;
                let placed = view.nomad.allocations_of(&key).filter(|one| !one.is_terminal());
                let running = view.nomad.allocations_of(&key).filter(running);
                let scale = json!({
                    "Desired": group["Count"], "Placed": placed.count(),
                    "Running": running.count(), "Healthy": 0, "Unhealthy": 0, "Events": null,
                });
                (group["Name"].as_str().unwrap_or_default().to_owned(), scale)
            };
            let groups = job["TaskGroups"].as_array().into_iter().flatten().map(of);
            let body = json!({
                "JobID": job["ID"], "Namespace": job["Namespace"],
                "JobCreateIndex": job["CreateIndex"], "JobModifyIndex": job["JobModifyIndex"],
                "JobStopped": job["Stop"], "TaskGroups": groups.collect::<Map<_, _>>(),
            });
            (index, body)
        });
        Ok(Found::one(found, view.nomad.table(Table::Jobs), "job not found"))
    })
    .await
}

/// The text that a job was made from is not kept.
pub(super) async fn submission(call: Call, _id: &str) -> Reply {
    call.read(|_, _, _| Ok(Found::one(None, 0, "job source not found"))).await
}

/// Periodic jobs are kept, and not launched by anybody.
pub(super) fn force(call: &Call, id: &str) -> Reply {
    call.write(|view, admitted, _| {
        let refused = |why: &str| Err(Refusal::new(500, why));
        match view.nomad.definition(&key(admitted, id)) {
            None => refused("job not found"),
            Some(known) if known.job["Periodic"].is_null() => {
                refused("can't force launch non-periodic job")
            }
            Some(_) => refused("the stand-in for Nomad launches no periodic jobs"),
        }
    })
}
