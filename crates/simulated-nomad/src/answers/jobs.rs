//! Jobs: the list, one of them, its dispatch, its placements, its end.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{Admitted, Call, Reply, Written};
use super::filter::Filter;
use super::reading::Found;
use super::refusal::Refusal;
use super::shapes;
use crate::acl::Capability;
use crate::dispatching::DispatchCall;
use crate::jobs::JobKey;
use crate::tables::Table;

fn key(admitted: &Admitted, id: &str) -> JobKey {
    JobKey { namespace: admitted.namespace.clone(), id: id.to_owned() }
}

pub(super) async fn list(call: Call) -> Reply {
    call.read(|view, admitted, options| {
        let filter = match options.filter.as_str() {
            "" => None,
            text => Some(Filter::read(text).map_err(|why| Refusal::new(400, why))?),
        };
        let per_page = usize::try_from(options.per_page).ok().filter(|it| *it > 0);
        let registered = view.nomad.registered().map(|(key, _)| (key, None));
        let children = view.nomad.children().map(|(key, child)| (key, child.token.as_deref()));
        let mut found: Vec<(&JobKey, Option<&str>)> = registered
            .chain(children)
            .filter(|(key, _)| {
                admitted.lists(&key.namespace, Capability::ListJobs)
                    && key.id.starts_with(&options.prefix)
            })
            .collect();
        found.sort();
        if options.reverse {
            found.reverse();
        }
        let table = view.nomad.table(Table::Jobs);
        let watched = match options.prefix.as_str() {
            "" => vec![table],
            _ => found.iter().filter_map(|(key, _)| shapes::modify_index(view, key)).collect(),
        };
        found.retain(|(key, token)| {
            filter.as_ref().is_none_or(|filter| filter.holds(*token))
                && match options.next_token.as_str() {
                    "" => true,
                    next if options.reverse => token_of(key).as_str() <= next,
                    next => token_of(key).as_str() >= next,
                }
        });
        let next_token = per_page.and_then(|length| found.get(length));
        let next_token = next_token.map(|(key, _)| token_of(key));
        found.truncate(per_page.unwrap_or(usize::MAX));
        let page = found.into_iter().filter_map(|(key, _)| shapes::stub(view, key)).collect();
        Ok(Found { next_token, ..Found::list(table, page).watching(watched) })
    })
    .await
}

/// Where a page begins.
fn token_of(key: &JobKey) -> String {
    format!("{}.{}", key.namespace, key.id)
}

pub(super) async fn one(call: Call, id: &str) -> Reply {
    call.read(|view, admitted, _| {
        let key = key(admitted, id);
        let found = shapes::modify_index(view, &key).zip(shapes::job(view, &key));
        Ok(Found::one(found, view.nomad.table(Table::Jobs), "job not found"))
    })
    .await
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Dispatch {
    #[serde(default)]
    payload: Option<String>,
    #[serde(default)]
    meta: Option<BTreeMap<String, String>>,
}

pub(super) fn dispatch(call: &Call, parent: &str) -> Reply {
    let Ok(asked) = serde_json::from_slice::<Dispatch>(&call.body) else {
        return Err(Refusal::new(400, "the body is no dispatch in JSON"));
    };
    let payload = asked.payload.filter(|it| !it.is_empty()).map(|text| STANDARD.decode(text));
    let payload = payload.transpose().ok().map(|bytes| bytes.map(String::from_utf8).transpose());
    let Some(Ok(payload)) = payload else {
        return Err(Refusal::new(400, "the payload is no text in base64"));
    };
    let token = call.query.said("idempotency_token").map(str::to_owned);
    let dispatch = DispatchCall { token, payload, meta: asked.meta.unwrap_or_default() };
    call.write(|view, admitted, now| {
        let parent = key(admitted, parent);
        let dispatched = view.nomad.dispatch(&parent, dispatch, now)?;
        let index = view.nomad.index();
        let body = json!({
            "DispatchedJobID": dispatched.child, "EvalID": dispatched.evaluation,
            "JobCreateIndex": index, "EvalCreateIndex": index, "Index": index,
        });
        Ok(Written::new(index, body))
    })
}

pub(super) async fn allocations(call: Call, id: &str) -> Reply {
    call.read(|view, admitted, _| {
        let key = key(admitted, id);
        let found: Vec<_> = view.nomad.allocations_of(&key).collect();
        let rows: Vec<u64> = found.iter().map(|one| one.modify_index).collect();
        let list = found.into_iter().map(|one| shapes::allocation(view, one)).collect();
        let table = view.nomad.table(Table::Allocations);
        Ok(Found::list(table, list).watching(rows))
    })
    .await
}

pub(super) async fn evaluations(call: Call, id: &str) -> Reply {
    call.read(|view, admitted, _| {
        let key = key(admitted, id);
        let found: Vec<_> = view.nomad.evaluations_of(&key).collect();
        let rows: Vec<u64> = found.iter().map(|one| one.modify_index).collect();
        let list = found.into_iter().map(|one| shapes::evaluation(view, one)).collect();
        let table = view.nomad.table(Table::Evaluations);
        Ok(Found::list(table, list).watching(rows))
    })
    .await
}

pub(super) fn deregister(call: &Call, id: &str) -> Reply {
    let purge = call.query.flag("purge")?.unwrap_or(false);
    call.write(|view, admitted, now| {
        let known = view.nomad.stop(&key(admitted, id), purge, now);
        let index = if known { view.nomad.index() } else { 0 };
        let body = json!({
            "EvalID": "", "EvalCreateIndex": 0, "JobModifyIndex": index, "Index": index,
            "VolumeEvalID": "", "VolumeEvalIndex": 0,
            "KnownLeader": false, "LastContact": 0, "NextToken": "",
        });
        Ok(Written::new(index, body))
    })
}

pub(super) fn collect(call: &Call) -> Reply {
    call.write(|view, _, now| {
        view.nomad.system_gc(now);
        Ok(Written { index: None, body: None })
    })
}

pub(super) async fn nodes(call: Call) -> Reply {
    let node = |node: &crate::Node| {
        json!({
            "ID": node.id, "Name": shapes::NODE_NAME, "Datacenter": "dc1", "NodePool": "default",
            "Status": if node.down { "down" } else { "ready" }, "Drain": node.draining,
            "SchedulingEligibility": if node.draining { "ineligible" } else { "eligible" },
            "Drivers": {"raw_exec": {"Detected": true, "Healthy": true}},
        })
    };
    call.read(|view, _, _| {
        let list: Value = view.nomad.nodes().map(node).collect();
        Ok(Found::list(view.nomad.table(Table::Nodes), list))
    })
    .await
}
