//! Jobs: the list, one of them, its dispatch, its placements, its end.

use serde_json::json;

use super::call::{Admitted, Call, Reply, Written};
use super::paging::page;
use super::reading::Found;
use super::refusal::Refusal;
use super::{shapes, summaries};
use crate::acl::Capability;
use crate::jobs::JobKey;
use crate::tables::Table;

fn key(admitted: &Admitted, id: &str) -> JobKey {
    JobKey { namespace: admitted.namespace.clone(), id: id.to_owned() }
}

pub(super) async fn list(call: Call) -> Reply {
    let with_meta = call.query.flag("meta")?.unwrap_or(false);
    call.read(|view, admitted, options| {
        let registered = view.nomad.registered().map(|(key, _)| key);
        let mut keys: Vec<&JobKey> = registered
            .chain(view.nomad.children().map(|(key, _)| key))
            .filter(|key| {
                admitted.lists(&key.namespace, Capability::ListJobs)
                    && key.id.starts_with(&options.prefix)
            })
            .collect();
        keys.sort();
        if options.reverse {
            keys.reverse();
        }
        let table = view.nomad.table(Table::Jobs);
        let watched = match options.prefix.as_str() {
            "" => vec![table],
            _ => keys.iter().filter_map(|key| shapes::modify_index(view, key)).collect(),
        };
        let rows = keys.into_iter().map(|key| (format!("{}.{}", key.namespace, key.id), key));
        let from = Some(&options.next_token).filter(|token| !token.is_empty());
        let whole = |key: &&JobKey| shapes::job(view, key);
        let (page, next_token) = page(rows, from, options.reverse, options, whole)?;
        let stub = |key: &JobKey| summaries::stub(view, key, with_meta);
        let page = page.into_iter().filter_map(stub).collect();
        Ok(Found { next_token, ..Found::list(table, page).watching(watched) })
    })
    .await
}

pub(super) async fn one(call: Call, id: &str) -> Reply {
    call.read(|view, admitted, _| {
        let key = key(admitted, id);
        let found = shapes::modify_index(view, &key).zip(shapes::job(view, &key));
        Ok(Found::one(found, view.nomad.table(Table::Jobs), "job not found"))
    })
    .await
}

pub(super) async fn allocations(call: Call, id: &str) -> Reply {
    call.read(|view, admitted, _| {
        let key = key(admitted, id);
        let found: Vec<_> = view.nomad.allocations_of(&key).collect();
        let rows: Vec<u64> = found.iter().map(|one| one.modify_index).collect();
        let list = found.into_iter().map(|one| super::allocation_shapes::stub(view, one)).collect();
        let table = view.nomad.table(Table::Allocations);
        Ok(Found::list(table, list).watching(rows))
    })
    .await
}

pub(super) fn deregister(call: &Call, id: &str) -> Reply {
    let purge = call.query.flag("purge")?.unwrap_or(false);
    let priority = call.query.number("eval_priority")?;
    if priority.is_some_and(|priority| !(1..=100).contains(&priority)) {
        return Err(Refusal::new(400, "Eval priority must be between 1 and 100 inclusively"));
    }
    let without_delay = call.query.flag("no_shutdown_delay")?.unwrap_or(false);
    call.write(|view, admitted, now| {
        if without_delay {
            view.nomad.skip_shutdown_delays(&key(admitted, id));
        }
        let stopped = view.nomad.stop(&key(admitted, id), purge, now);
        let index = stopped.as_ref().map_or(0, |stopped| stopped.index);
        let evaluation = stopped.and_then(|stopped| stopped.evaluation);
        let body = json!({
            "EvalID": evaluation.unwrap_or_default(), "EvalCreateIndex": index,
            "JobModifyIndex": index, "Index": index,
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
