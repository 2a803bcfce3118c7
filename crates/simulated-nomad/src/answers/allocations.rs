//! Allocations by themselves: the list of all, one of them, and stopping one.
//!
//! What of one lies on its client is in `client.rs`.

use axum::http::Method;
use serde_json::json;

use super::call::{Admitted, Call, Reply, Written};
use super::paging::page;
use super::reading::Found;
use super::refusal::Refusal;
use super::{allocation_shapes, rights};
use crate::acl::Capability;
use crate::allocations::Allocation;
use crate::http::View;
use crate::tables::Table;

/// `/v1/allocation/:id…`
pub(super) async fn answer(call: Call, rest: &str) -> Reply {
    let method = call.method.clone();
    match (rest.split_once('/'), method) {
        (None, Method::GET) => one(call, rest).await,
        (Some((id, "stop")), Method::PUT | Method::POST) => stop(&call, id),
        (None | Some((_, "stop")), _) => Err(Refusal::method()),
        _ => Err(Refusal::new(404, "resource not found")),
    }
}

pub(super) async fn list(call: Call) -> Reply {
    call.read(|view, admitted, options| {
        let mut found: Vec<&Allocation> = view
            .nomad
            .allocations()
            .filter(|one| admitted.lists(&one.child.namespace, Capability::ReadJob))
            .filter(|one| one.id.starts_with(&options.prefix))
            .collect();
        found.sort_by_key(|one| (one.create_index, one.id.as_str()));
        if options.reverse {
            found.reverse();
        }
        let from = options.next_token.split_once('.');
        let from = from.and_then(|(index, id)| Some((index.parse::<u64>().ok()?, id)));
        let rows = found.into_iter().map(|one| ((one.create_index, one.id.as_str()), one));
        let json = |one: &&Allocation| Some(allocation_shapes::whole(view, one));
        let (page, next) = page(rows, from.as_ref(), options.reverse, options, json)?;
        let list = page.into_iter().map(|one| allocation_shapes::stub(view, one)).collect();
        let next_token = next.map(|(index, id)| format!("{index}.{id}"));
        Ok(Found { next_token, ..Found::list(view.nomad.table(Table::Allocations), list) })
    })
    .await
}

async fn one(call: Call, id: &str) -> Reply {
    call.read(|view, admitted, _| {
        if id.len() != 36 {
            return Err(Refusal::new(
                500,
                "alloc lookup failed: index error: UUID must be 36 characters",
            ));
        }
        let one = view.nomad.allocation(id);
        if let Some(one) = one {
            // Whoever may not see it is told that it is not there, in other words than of what is not.
            may(admitted, one, &[Capability::ReadJob])
                .map_err(|_| Refusal::new(500, format!("Unknown allocation {id:?}")))?;
        }
        let found = one.map(|one| (one.modify_index, allocation_shapes::whole(view, one)));
        Ok(Found::one(found, view.nomad.table(Table::Allocations), "alloc not found"))
    })
    .await
}

fn stop(call: &Call, id: &str) -> Reply {
    let without_delay = call.query.flag("no_shutdown_delay")?.unwrap_or(false);
    call.write(|view, admitted, now| {
        let absent = || Refusal::new(404, "allocation not found");
        let one = view.nomad.allocation(id).ok_or_else(absent)?;
        may(admitted, one, &[Capability::AllocLifecycle])?;
        if without_delay {
            view.nomad.skip_shutdown_delay(id);
        }
        let (evaluation, index) = view.nomad.stop_allocation(id, now).ok_or_else(absent)?;
        Ok(Written::new(index, json!({"EvalID": evaluation, "Index": index})))
    })
}

/// # Errors
/// Without one of the rights in the allocation's own namespace.
pub(super) fn may(
    admitted: &Admitted,
    one: &Allocation,
    any_of: &[Capability],
) -> Result<(), Refusal> {
    let may = admitted.caller.may(&one.child.namespace, any_of);
    may.then_some(()).ok_or_else(rights::denied)
}

/// The namespace and the id of an allocation that is known.
pub(super) fn find<'a>(view: &'a View<'_>, id: &str) -> Result<&'a Allocation, Refusal> {
    let absent = || Refusal::new(404, format!("Unknown allocation {id:?}"));
    view.nomad.allocation(id).ok_or_else(absent)
}
