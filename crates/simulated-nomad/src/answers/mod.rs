//! The HTTP API, as far as a dispatcher and its tests use it: each answer in the shape and the words
//! of the real one.
//!
//! Read next: `call.rs` (a request and its ways into the state), `routes.rs` (which paths there
//! are), `reading.rs` (indexes and waiting); how things look in JSON is in `shapes.rs`.

mod acl;
mod acl_bodies;
mod agent;
mod allocation_shapes;
mod allocations;
mod call;
mod client;
mod compression;
mod dispatch;
mod evaluations;
mod events;
mod filter;
mod forwarding;
mod gojson;
mod job_parts;
mod jobs;
mod keys;
mod leadership;
mod listening;
mod metrics;
mod namespaces;
mod node_resources;
mod nodes;
mod operator;
mod options;
mod own;
mod paging;
mod pieces;
mod planning;
mod reading;
mod refusal;
mod registering;
mod rights;
mod routes;
mod shapes;
mod statuses;
mod stream;
mod summaries;
mod variable_body;
mod variables;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};

use super::http::Server;
use super::journal;
use super::wire::Request;
use call::Call;
use refusal::Refusal;

pub(super) use events::told;

/// Where a request comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// The agent's own port.
    Agent,
    /// A task's socket, where nothing is said to nobody.
    Task,
}

/// Does a write of before once more; nobody waits for its answer.
pub(super) async fn again(server: Server, request: &journal::Request) {
    let Some((method, headers, body)) = request.parts() else { return };
    let target = (request.path.as_str(), request.query.as_str());
    if let Some(call) = Call::new(server, method, target, headers, body) {
        let _ = routes::answer(call, &request.query).await;
    }
}

/// Answers one request.
pub(super) async fn answer(server: Server, door: Door, request: Request) -> Response<Body> {
    let Request { method, path, query, headers, body, .. } = request;
    let Some(call) = Call::new(server, method, (&path, &query), headers, body) else {
        let mut refusal = Refusal::new(400, "400 Bad Request");
        refusal.headers.insert("connection", axum::http::HeaderValue::from_static("close"));
        return refusal.into_response();
    };
    let asked = call.headers.clone();
    let admitted = match door {
        Door::Task => keys::authenticate(&call),
        Door::Agent => Ok(()),
    };
    let reply = match admitted {
        Ok(()) => match leadership::elsewhere(&call).await {
            Some(reply) => reply,
            None => routes::answer(call, &query).await,
        },
        Err(refusal) => Err(refusal),
    };
    let response = reply.unwrap_or_else(axum::response::IntoResponse::into_response);
    compression::finish(&asked, response).await
}
