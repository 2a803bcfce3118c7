//! What of an allocation lies on its client: its folder, its logs, its processes.
//!
//! Such answers come from a client, not from the state: they have no index. Read next:
//! `../tasks/files.rs`.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::allocations::{find, may};
use super::call::{Call, Reply, Stated};
use super::pieces;
use super::refusal::Refusal;
use crate::acl::Capability;
use crate::tasks::files;
use crate::tasks::{Client, Folder};

/// How often it is looked whether a followed file has grown.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often a reader who follows hears that nothing has come.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// The longest piece of a file in one frame.
const FRAME: usize = 64 * 1024;

/// What each asks of a caller: one of these.
const FILES: &[Capability] = &[Capability::ReadFs];
const LOGS: &[Capability] = &[Capability::ReadLogs, Capability::ReadFs];
const LIFECYCLE: &[Capability] = &[Capability::AllocLifecycle];

const TEXT: &str = "text/plain";
const JSON: &str = "application/json";

/// `/v1/client/…`
pub(super) async fn answer(call: Call, rest: &str) -> Reply {
    let reply = routed(&call, rest).await;
    let vary = HeaderValue::from_static("Origin");
    match reply {
        Ok(mut response) => {
            response.headers_mut().insert(header::VARY, vary);
            Ok(response)
        }
        Err(mut refusal) => {
            refusal.headers.insert(header::VARY, vary);
            Err(refusal)
        }
    }
}

async fn routed(call: &Call, rest: &str) -> Reply {
    let mut parts = rest.splitn(3, '/');
    let (first, second, third) = (parts.next(), parts.next(), parts.next());
    match (first, second, third, call.method.clone()) {
        (Some("fs"), Some(what), id, Method::GET) => folder(call, what, id.unwrap_or_default()),
        (Some("allocation"), Some(id), Some("restart"), Method::PUT | Method::POST) => {
            restart(call, id).await
        }
        (Some("allocation"), Some(id), Some("signal"), Method::PUT | Method::POST) => {
            signal(call, id).await
        }
        (Some("fs"), ..) | (Some("allocation"), _, Some("restart" | "signal"), _) => {
            Err(Refusal::method())
        }
        _ => Err(Refusal::new(404, "resource not found")),
    }
}

/// What is asked of an allocation below `/v1/client/`, by its path there; None: nothing that there is.
pub(super) fn asked(rest: &str) -> Option<(&str, &'static [Capability])> {
    let mut parts = rest.splitn(3, '/');
    match (parts.next()?, parts.next()?, parts.next()?) {
        ("fs", "logs", id) => Some((id, LOGS)),
        ("fs", _, id) => Some((id, FILES)),
        ("allocation", id, _) => Some((id, LIFECYCLE)),
        _ => None,
    }
}

/// # Errors
/// There is no such allocation, or the caller has not that right.
pub(super) fn may_reach(call: &Call, id: &str, any_of: &[Capability]) -> Result<(), Refusal> {
    call.server.view(|view, now| {
        let admitted = call.admit(view, &Stated::default(), now)?;
        may(&admitted, find(view, id)?, any_of)
    })
}

/// The allocation's folder and the names of its tasks, for whoever has the right.
fn reach(
    call: &Call,
    id: &str,
    any_of: &[Capability],
) -> Result<(Client, Folder, Vec<String>), Refusal> {
    if id.is_empty() {
        return Err(Refusal::new(400, "must provide a valid alloc id"));
    }
    // A client apart knows no more than what it has itself; its server has asked whether one may.
    if call.server.upstream().is_none() {
        may_reach(call, id, any_of)?;
    }
    let unknown = || Refusal::new(404, format!("Unknown allocation {id:?}"));
    let client = call.server.client().ok_or_else(unknown)?;
    let (folder, tasks) = client.folder(id).ok_or_else(unknown)?;
    Ok((client.clone(), folder, tasks))
}

fn folder(call: &Call, what: &str, id: &str) -> Reply {
    let path = call.query.get("path").unwrap_or("/").to_owned();
    if what == "logs" {
        return logs(call, id);
    }
    let (_, folder, _) = reach(call, id, FILES)?;
    let number = |name| call.query.said(name).and_then(|text| text.parse().ok());
    let shown = |found: Result<Value, String>| match found {
        Ok(value) => Ok(call.json(&value)),
        Err(why) => Err(Refusal::new(500, why)),
    };
    match what {
        "ls" => shown(files::list(&folder, &path)),
        "stat" => shown(files::stat(&folder, &path)),
        "cat" => Ok(text(files::read(&folder, &path, 0, None))),
        "readat" => {
            let offset =
                number("offset").ok_or_else(|| Refusal::new(400, "error parsing offset"))?;
            let limit = number("limit").ok_or_else(|| Refusal::new(400, "error parsing limit"))?;
            Ok(text(files::read(&folder, &path, offset, Some(limit))))
        }
        "stream" => {
            let offset = number("offset").unwrap_or_default();
            let read = {
                let path = path.clone();
                move |offset| files::read(&folder, &path, offset, None)
            };
            let name = path.trim_start_matches('/').to_owned();
            follow(call, read, Some(name), offset, call.query.get("follow") != Some("false"))
        }
        _ => Err(Refusal::new(404, "resource not found")),
    }
}

/// A file as it is. What goes wrong is told in its place: the head is gone by then.
fn text(read: Result<Vec<u8>, String>) -> Response {
    let kind = match &read {
        Ok(_) => TEXT,
        Err(_) => "text/plain; charset=utf-8",
    };
    let body = read.unwrap_or_else(String::into_bytes);
    (StatusCode::OK, [(header::CONTENT_TYPE, kind)], body).into_response()
}

fn logs(call: &Call, id: &str) -> Reply {
    let task = call.query.said("task").unwrap_or_default().to_owned();
    if task.is_empty() {
        return Err(Refusal::new(400, "must provide task name"));
    }
    let stream = call.query.get("type").unwrap_or_default().to_owned();
    if !["stdout", "stderr"].contains(&stream.as_str()) {
        return Err(Refusal::new(400, "must provide log type (stdout/stderr)"));
    }
    let (_, folder, tasks) = reach(call, id, LOGS)?;
    if !tasks.contains(&task) {
        return Err(Refusal::new(400, format!("unknown task name {task:?}")));
    }
    let offset: u64 = call.query.said("offset").and_then(|it| it.parse().ok()).unwrap_or_default();
    let length = files::log(&folder, &task, &stream, 0).map_or(0, |bytes| bytes.len() as u64);
    let offset = if call.query.get("origin") == Some("end") {
        length.saturating_sub(offset)
    } else {
        offset
    };
    let name =
        (!call.query.flag("plain")?.unwrap_or(false)).then(|| files::log_name(&task, &stream));
    let follows = call.query.flag("follow")?.unwrap_or(false);
    let read = move |offset| files::log(&folder, &task, &stream, offset);
    follow(call, read, name, offset, follows)
}

/// A file from an offset on, and what is added to it later. `name`: in frames that have one.
fn follow(
    call: &Call,
    read: impl Fn(u64) -> Result<Vec<u8>, String> + Send + 'static,
    name: Option<String>,
    from: u64,
    goes_on: bool,
) -> Reply {
    let first = read(from).map_err(|why| Refusal::new(404, why))?;
    let kind = if name.is_some() { JSON } else { TEXT };
    if first.is_empty() && !goes_on {
        return Ok((StatusCode::OK, [(header::CONTENT_TYPE, kind)], Vec::new()).into_response());
    }
    let (pieces, body) = pieces::body();
    call.server.spawn(async move {
        let (mut offset, mut bytes, mut silent) = (from, first, Duration::ZERO);
        loop {
            for piece in bytes.chunks(FRAME) {
                offset += piece.len() as u64;
                if pieces.send(frame(name.as_deref(), piece, offset)).await.is_err() {
                    return;
                }
                silent = Duration::ZERO;
            }
            if !goes_on {
                return;
            }
            if silent >= HEARTBEAT {
                silent = Duration::ZERO;
                if name.is_some() && pieces.send(Bytes::from_static(b"{}")).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => silent += LOOK_EVERY,
                () = pieces.closed() => return,
            }
            match read(offset) {
                Ok(more) => bytes = more,
                Err(_) => return,
            }
        }
    });
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}

fn frame(name: Option<&str>, piece: &[u8], offset: u64) -> Bytes {
    match name {
        None => Bytes::copy_from_slice(piece),
        Some(name) => {
            let frame = json!({"Data": STANDARD.encode(piece), "File": name, "Offset": offset});
            frame.to_string().into()
        }
    }
}

async fn restart(call: &Call, id: &str) -> Reply {
    let (client, _, _) = reach(call, id, LIFECYCLE)?;
    let asked: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    let task = asked["TaskName"].as_str().unwrap_or_default();
    client.restart(id, task).await.map_err(|why| Refusal::new(500, why))?;
    Ok(call.json(&json!({"Index": 0})))
}

async fn signal(call: &Call, id: &str) -> Reply {
    let (client, _, _) = reach(call, id, LIFECYCLE)?;
    let asked: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    let text = |name: &str| asked[name].as_str().unwrap_or_default().to_owned();
    let (task, signal) = (text("Task"), text("Signal"));
    client.signal(id, &task, &signal).await.map_err(|why| Refusal::new(500, why))?;
    Ok(call.json(&json!({"Index": 0})))
}
