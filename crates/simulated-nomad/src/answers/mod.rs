//! The HTTP API, as far as a dispatcher uses it: each answer in the shape and the words of the real
//! one. What is not here is a 404 there too, and says whose it is.
//!
//! Read next: `jobs.rs`, `statuses.rs`, `stream.rs`; how things look in JSON is in `shapes.rs`.

mod filter;
mod jobs;
mod registering;
mod shapes;
mod statuses;
mod stream;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use serde_json::{Value, json};

use super::http::Server;
use crate::VERSION;

/// Where it runs, since it has one node only.
const REGION: &str = "global";

pub(super) fn router(server: Server) -> Router {
    let index = server.changes();
    Router::new()
        .route("/", get(front_page))
        .route("/.well-known/jwks.json", get(keys))
        .route("/v1/status/leader", get(async || axum::Json("127.0.0.1:4647")))
        .route("/v1/agent/self", get(agent))
        .route("/v1/acl/token/self", get(token))
        .route("/v1/nodes", get(jobs::nodes))
        .route("/v1/jobs", get(jobs::list).put(registering::register).post(registering::register))
        .route("/v1/jobs/parse", post(registering::parse).put(registering::parse))
        .route("/v1/jobs/statuses", post(statuses::statuses).get(statuses::statuses))
        .route("/v1/job/{id}", get(jobs::one).delete(jobs::deregister))
        .route("/v1/job/{id}/dispatch", put(jobs::dispatch).post(jobs::dispatch))
        .route("/v1/job/{id}/allocations", get(jobs::allocations))
        .route("/v1/job/{id}/evaluations", get(jobs::evaluations))
        .route("/v1/system/gc", put(jobs::collect).post(jobs::collect))
        .route("/v1/event/stream", get(stream::events))
        .fallback(async || {
            (StatusCode::NOT_FOUND, "the stand-in for Nomad does not have this endpoint")
        })
        .with_state(server)
        .layer(middleware::from_fn(in_this_region))
        .layer(middleware::map_response(move |response: Response| {
            let index = *index.borrow();
            async move { with_headers(response, index) }
        }))
}

async fn front_page() -> &'static str {
    "This is the stand-in for Nomad that roustabout brings along. It has no web page; the API below \
     /v1 answers as Nomad's does, as far as roustabout uses it.\n"
}

/// No key of anybody's: nothing is signed yet.
async fn keys() -> axum::Json<Value> {
    axum::Json(json!({"keys": [
        {"use": "sig", "kty": "RSA", "kid": "none", "alg": "RS256", "n": "AQAB", "e": "AQAB"},
    ]}))
}

async fn agent() -> axum::Json<Value> {
    axum::Json(json!({
        "config": {
            "Datacenter": "dc1",
            "Region": REGION,
            "Version": {"Version": VERSION, "VersionMetadata": "stand-in"},
        },
        "member": {"Name": "stand-in.global", "Tags": {"build": VERSION, "role": "nomad"}},
    }))
}

/// The token that everybody has where ACLs are off.
async fn token() -> axum::Json<Value> {
    axum::Json(json!({
        "AccessorID": "acls-disabled", "Name": "ACLs disabled token", "Type": "client",
        "Policies": null, "ExpirationTime": null,
    }))
}

async fn in_this_region(request: Request, next: Next) -> Response {
    let region = parameter(request.uri().query(), "region");
    if region.is_some_and(|region| region != REGION) {
        return refused(500, "No path to region");
    }
    next.run(request).await
}

fn with_headers(mut response: Response, index: u64) -> Response {
    let headers = response.headers_mut();
    headers.entry("x-nomad-index").or_insert(HeaderValue::from(index));
    headers.insert("x-nomad-knownleader", HeaderValue::from_static("true"));
    headers.insert("x-nomad-lastcontact", HeaderValue::from_static("0"));
    response
}

/// Nomad's errors are plain text.
fn refused(status: u16, text: impl Into<String>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let text: String = text.into();
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

/// The first of that name in a query.
fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs.into_owned().find(|(key, _)| key == name).map(|(_, value)| value)
}

fn namespace(query: Option<&str>) -> String {
    parameter(query, "namespace")
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "default".to_owned())
}
