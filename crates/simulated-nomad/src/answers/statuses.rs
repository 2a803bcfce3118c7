//! `POST /v1/jobs/statuses`: many jobs at once, the one that changed last first, with their
//! allocations.
//!
//! Read next: `paging.rs`, `summaries.rs`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::call::{Admitted, Call, Reply};
use super::gojson::{self, Shape, Struct};
use super::paging::page;
use super::reading::Found;
use super::refusal::Refusal;
use super::{shapes, summaries};
use crate::acl::Capability;
use crate::children::JobStatus;
use crate::http::View;
use crate::jobs::JobKey;
use crate::tables::Table;

static REQUEST: Struct = Struct {
    name: "api.JobStatusesRequest",
    fields: &[("Jobs", Shape::List(&Shape::Struct(&NAMESPACED))), ("IncludeChildren", Shape::Bool)],
};
static NAMESPACED: Struct =
    Struct { name: "api.NamespacedID", fields: &[("Namespace", Shape::Text), ("ID", Shape::Text)] };

pub(super) async fn statuses(call: Call) -> Reply {
    let (mut keys, mut with_children) = (None, false);
    if !call.body.is_empty() {
        let asked = gojson::decode(&call.body, &REQUEST)
            .map_err(|why| Refusal::new(400, format!("error decoding request: {why}")))?;
        let text = |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
        let key = |one: &Value| JobKey { namespace: text(one, "Namespace"), id: text(one, "ID") };
        let jobs: Vec<JobKey> = asked["Jobs"].as_array().into_iter().flatten().map(key).collect();
        if jobs.is_empty() {
            return Err(Refusal::new(400, "no jobs in request"));
        }
        keys = Some(jobs);
        with_children = asked["IncludeChildren"] == true;
    }
    with_children = call.query.flag("include_children")?.unwrap_or(with_children);
    call.read(|view, admitted, options| {
        let mut rows = asked_for(view, admitted, keys.as_deref(), with_children);
        rows.sort();
        rows.dedup();
        if !options.reverse {
            rows.reverse();
        }
        let mut options = options.clone();
        if keys.is_some() {
            // Whoever names the jobs gets all of them.
            options.per_page = 0;
        }
        let from = options.next_token.parse().ok();
        let whole = |key: &&JobKey| shapes::job(view, key);
        let (page, next) =
            page(rows.into_iter(), from.as_ref(), !options.reverse, &options, whole)?;
        let watched: Vec<u64> = page.iter().flat_map(|key| indexes(view, key)).collect();
        let newest = watched.iter().max().copied().unwrap_or(0);
        let body = page.iter().filter_map(|key| status(view, key)).collect();
        Ok(Found {
            next_token: next.map(|index: u64| index.to_string()),
            on_loss: view.nomad.table(Table::Jobs),
            ..Found::list(newest, body).watching(watched)
        })
    })
    .await
}

/// The jobs that are named, or all, as far as they are there and may be seen.
fn asked_for<'a>(
    view: &'a View<'_>,
    admitted: &Admitted,
    named: Option<&'a [JobKey]>,
    with_children: bool,
) -> Vec<(u64, &'a JobKey)> {
    let nomad = &*view.nomad;
    let all: Vec<&JobKey> = match named {
        Some(named) => {
            let may = |key: &&JobKey| admitted.caller.may(&key.namespace, &[Capability::ReadJob]);
            named.iter().filter(may).collect()
        }
        None => {
            let registered = nomad.registered().map(|(key, _)| key);
            let keys = registered.chain(nomad.children().map(|(key, _)| key));
            keys.filter(|key| admitted.lists(&key.namespace, Capability::ReadJob)).collect()
        }
    };
    let dispatched = |key: &JobKey| nomad.child(key).is_some_and(|child| !child.parent.is_empty());
    let hidden = hidden(view);
    all.into_iter()
        .filter(|key| !hidden.contains(key))
        .filter(|key| with_children || !dispatched(key))
        .filter_map(|key| Some((shapes::modify_index(view, key)?, key)))
        .collect()
}

/// Jobs that changed last at the same index, as those do whose allocations one client told of at
/// once: only one of them is found here (GH-28132, until 2.0.4).
fn hidden<'a>(view: &'a View<'_>) -> BTreeSet<&'a JobKey> {
    let nomad = &*view.nomad;
    let registered = nomad.registered().map(|(key, job)| (job.modify_index, key));
    let children = nomad.children().map(|(key, child)| (child.modify_index, key));
    let mut shown: BTreeMap<u64, &JobKey> = BTreeMap::new();
    registered.chain(children).filter_map(|(index, key)| shown.insert(index, key)).collect()
}

/// Of the job, its allocations and its children: the newest is the answer's.
fn indexes(view: &View<'_>, key: &JobKey) -> Vec<u64> {
    let nomad = &*view.nomad;
    let placed = nomad.allocations_of(key).map(|one| one.modify_index);
    let of_children = nomad.children_of(key).map(|(_, of)| of.modify_index);
    shapes::modify_index(view, key).into_iter().chain(placed).chain(of_children).collect()
}

fn status(view: &View<'_>, key: &JobKey) -> Option<Value> {
    let whole = shapes::job(view, key)?;
    let allocations: Vec<Value> = view
        .nomad
        .allocations_of(key)
        .map(|one| {
            json!({
                "ID": one.id, "Group": one.group, "NodeID": one.node,
                "ClientStatus": one.client_status.as_str(), "JobVersion": one.job_version,
                "DeploymentStatus": {"Canary": false, "Healthy": null}, "FollowupEvalID": one.followup.clone().unwrap_or_default(),
                "HasPausedTask": false,
            })
        })
        .collect();
    let allocations = if allocations.is_empty() { Value::Null } else { allocations.into() };
    let children: Vec<&str> = summaries::children(view, key).map(JobStatus::as_str).collect();
    let parameterized = !whole["ParameterizedJob"].is_null() && whole["ParentID"] == "";
    let children = if parameterized { json!(children) } else { Value::Null };
    let groups = whole["TaskGroups"].as_array().cloned().unwrap_or_default();
    let count: i64 = groups.iter().map(|group| group["Count"].as_i64().unwrap_or(1)).sum();
    let mut status = json!({
        "Allocs": allocations, "ChildStatuses": children, "GroupCountSum": count,
        "IsPack": !whole["Meta"]["pack.name"].is_null(), "LatestDeployment": null,
    });
    let fields = [
        "Datacenters",
        "ID",
        "ModifyIndex",
        "Name",
        "Namespace",
        "NodePool",
        "ParentID",
        "Priority",
        "Status",
        "Stop",
        "SubmitTime",
        "Type",
        "Version",
    ];
    for field in fields {
        status[field] = whole[field].clone();
    }
    Some(status)
}
