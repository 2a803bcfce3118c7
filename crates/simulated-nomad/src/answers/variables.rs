//! `/v1/var/PATH` and `/v1/vars`: Nomad Variables over HTTP, each call for whoever may make it.
//!
//! What a change comes to is decided by `crate::variables`; what a variable looks like in JSON is in
//! `variable_body.rs`.

use axum::http::header::{CONTENT_TYPE, VARY};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::call::{Admitted, Call, Reply, Stated};
use super::paging::page;
use super::reading::Found;
use super::refusal::Refusal;
use super::rights::denied;
use super::variable_body::{self, Body, Shown, kept, show};
use crate::acl::OnVariables;
use crate::http::View;
use crate::model::Millis;
use crate::tables::Table;
use crate::variables::{Outcome, VariableKey, VariableRefused};

/// Both answer to browsers of any origin, and say so in every answer. Without a path: the list.
pub(super) async fn answer(call: Call, path: Option<&str>) -> Reply {
    let vary = HeaderValue::from_static("Origin");
    let reply = match path {
        Some(path) => one(call, path).await,
        None => list(call).await,
    };
    match reply {
        Ok(mut response) => {
            response.headers_mut().insert(VARY, vary);
            Ok(response)
        }
        Err(mut refusal) => {
            refusal.headers.insert(VARY, vary);
            Err(refusal)
        }
    }
}

async fn one(call: Call, path: &str) -> Reply {
    if path.is_empty() {
        return Err(Refusal::new(400, "missing variable path"));
    }
    match call.method {
        Method::GET => read(call, path).await,
        Method::PUT | Method::POST => write(&call, path),
        Method::DELETE => delete(&call, path),
        _ => Err(Refusal::method()),
    }
}

fn may(admitted: &Admitted, key: &VariableKey, capability: OnVariables) -> bool {
    admitted.caller.may_on_variable(&key.namespace, &key.path, capability)
}

/// Whoever may list nothing gets an empty list.
async fn list(call: Call) -> Reply {
    if call.method != Method::GET {
        return Err(Refusal::method());
    }
    call.read(|view, admitted, options| {
        let listed = |key: &VariableKey| {
            (admitted.namespace == "*" || admitted.namespace == key.namespace)
                && key.path.starts_with(&options.prefix)
                && may(admitted, key, OnVariables::List)
        };
        let all = view.nomad.variables().iter().filter(|(key, _)| listed(key));
        let rows = all.map(|(key, variable)| (token_of(key), (key, variable)));
        let from = Some(&options.next_token).filter(|it| !it.is_empty());
        let (rows, next_token) =
            page(rows, from, false, options, |(key, variable)| Some(kept(key, variable)))?;
        let rows = rows.into_iter().map(|(key, it)| show(key, Some(it), Shown::Metadata));
        let table = view.nomad.table(Table::Variables);
        Ok(Found { next_token, ..Found::list(table, rows.collect()) })
    })
    .await
}

/// Where a page begins.
fn token_of(key: &VariableKey) -> String {
    format!("{}.{}", key.namespace, key.path)
}

async fn read(call: Call, path: &str) -> Reply {
    call.read(|view, admitted, _| {
        let key = VariableKey::new(&admitted.namespace, path);
        if !may(admitted, &key, OnVariables::Read) {
            return Err(denied());
        }
        let found = view.nomad.variables().get(&key);
        let found = found.map(|it| (it.modify_index, show(&key, Some(it), Shown::WithItems)));
        Ok(Found::one(found, view.nomad.table(Table::Variables), "variable not found"))
    })
    .await
}

/// What is asked for with a PUT.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Put { expected: Option<u64> },
    Acquire,
    Renew,
    Release,
}

fn write(call: &Call, path: &str) -> Reply {
    let mut body = variable_body::read(&call.body)?;
    let asked = |name| call.query.get(name).is_some();
    let wanted = if asked("lock-acquire") {
        Wanted::Acquire
    } else if asked("lock-renew") {
        Wanted::Renew
    } else if asked("lock-release") {
        Wanted::Release
    } else if body.items.is_empty() {
        return Err(Refusal::new(400, "variable missing required Items object"));
    } else {
        Wanted::Put { expected: expected(call)? }
    };
    let namespace = body.namespace.take();
    changing(call, namespace, path, OnVariables::Write, |view, key, now| {
        let outcome = match wanted {
            Wanted::Put { expected } => put(view, key, body, expected, now),
            Wanted::Acquire => view.nomad.acquire_lock(key, body.items, &body.lock, now),
            Wanted::Renew => Ok(view.nomad.renew_lock(key, &id(&body), now)),
            Wanted::Release => view.nomad.release_lock(key, &body.items, &id(&body), now),
        };
        Ok((outcome.map_err(refused)?, wanted))
    })
}

fn put(
    view: &mut View<'_>,
    key: &VariableKey,
    body: Body,
    expected: Option<u64>,
    now: Millis,
) -> Result<Outcome, VariableRefused> {
    view.nomad.put_variable(key, body.items, body.lock.id.as_deref(), expected, now)
}

/// Of the lock that the caller holds.
fn id(body: &Body) -> String {
    body.lock.id.clone().unwrap_or_default()
}

fn delete(call: &Call, path: &str) -> Reply {
    let expected = expected(call)?;
    changing(call, None, path, OnVariables::Destroy, |view, key, _| {
        let outcome = view.nomad.delete_variable(key, None, expected);
        Ok((outcome, Wanted::Put { expected }))
    })
}

/// The index that the caller knows the variable with.
fn expected(call: &Call) -> Result<Option<u64>, Refusal> {
    let Some(text) = call.query.said("cas") else { return Ok(None) };
    text.parse().map(Some).map_err(|_| {
        let why = format!("can not parse cas: strconv.ParseUint: parsing {text:?}: invalid syntax");
        Refusal::new(400, why)
    })
}

fn changing(
    call: &Call,
    namespace: Option<String>,
    path: &str,
    capability: OnVariables,
    act: impl FnOnce(&mut View<'_>, &VariableKey, Millis) -> Result<(Outcome, Wanted), Refusal>,
) -> Reply {
    let answered = call.server.change(
        || call.entry(),
        |view, now| {
            let admitted = call.admit(view, &Stated::default(), now)?;
            // What the body says goes before the query ([V]).
            let key = VariableKey::new(&namespace.unwrap_or(admitted.namespace.clone()), path);
            if !may(&admitted, &key, capability) {
                return Err(denied());
            }
            let (outcome, wanted) = act(view, &key, now)?;
            let reads = may(&admitted, &key, OnVariables::Read);
            Ok(after(call, &key, outcome, wanted, reads))
        },
    );
    answered.map_err(|mut refusal: Refusal| {
        refusal.headers.insert("x-nomad-index", HeaderValue::from(0));
        refusal
    })
}

/// `reads`: the caller may see what is in a variable that is not as expected.
fn after(
    call: &Call,
    key: &VariableKey,
    outcome: Outcome,
    wanted: Wanted,
    reads: bool,
) -> Response {
    let (mut response, index) = match outcome {
        Outcome::Done { index, variable: None } => (StatusCode::NO_CONTENT.into_response(), index),
        Outcome::Done { index, variable } => {
            let renewed = wanted == Wanted::Renew;
            let shown = if renewed { Shown::Metadata } else { Shown::WithItems };
            (call.json(&show(key, variable.as_ref(), shown)), index)
        }
        Outcome::Conflict(variable) => {
            let shown = if reads { Shown::WithItems } else { Shown::Metadata };
            let mut response = call.json(&show(key, variable.as_ref(), shown));
            *response.status_mut() = StatusCode::CONFLICT;
            let plain = HeaderValue::from_static("text/plain; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, plain);
            (response, variable.map_or(0, |it| it.modify_index))
        }
    };
    // Nothing was written by a renewal, nor by a lock that was not had.
    let untold = match wanted {
        Wanted::Put { .. } => false,
        Wanted::Renew => true,
        Wanted::Acquire | Wanted::Release => response.status() == StatusCode::CONFLICT,
    };
    if !untold {
        response.headers_mut().insert("x-nomad-index", HeaderValue::from(index));
    }
    response
}

/// A rule of the servers was broken.
fn refused(why: VariableRefused) -> Refusal {
    Refusal::new(400, format!("RPC Error:: 400,{}", why.0))
}
