//! The routes of the private door. Who may use them is judged by `who.rs`; health and metrics ask
//! nobody.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use serde_json::json;

use super::explaining::{self, Explainer};
use super::json::{JobJson, RunnerJson};
use super::operate;
use super::who::{Guard, Refused};
use crate::engine::Asking;
use crate::ledger::JobId;
use crate::store::{Reader, Store};
use crate::webhook::listener::LocalAddress;

/// How many rows a list shows.
const LIMIT: usize = 1000;
/// How long the engine may take to answer. It writes before it answers, so a store that
/// cannot be written keeps it from answering at all.
const ENGINE_ANSWERS: Duration = Duration::from_secs(4);
/// What a request may send, and how long that may take to arrive.
const BODY_BYTES: usize = 64 * 1024;
const BODY_TIME: Duration = Duration::from_secs(10);

pub struct Admin {
    pub asking: Asking,
    pub store: Store,
    pub reader: Reader,
    pub guard: Guard,
    pub explainer: Explainer,
}

pub(super) struct Shared {
    pub asking: Asking,
    store: Store,
    pub reader: Mutex<Reader>,
    guard: Guard,
    pub explainer: Explainer,
}

pub(super) type Door = State<Arc<Shared>>;

pub fn router(admin: Admin) -> Router {
    let Admin { asking, store, reader, guard: who, explainer } = admin;
    let shared =
        Arc::new(Shared { asking, store, reader: Mutex::new(reader), guard: who, explainer });
    let guarded = Router::new()
        .route("/api/v1/status", get(status))
        .route("/api/v1/pools", get(pools))
        .route("/api/v1/jobs", get(jobs))
        .route("/api/v1/jobs/{id}", get(job))
        .route("/api/v1/runners", get(runners))
        .route("/api/v1/explain/{*job}", get(explaining::job))
        .route("/api/v1/deliveries/{id}", get(explaining::delivery))
        .route("/api/v1/pools/{name}/pause", post(operate::pause))
        .route("/api/v1/pools/{name}/resume", post(operate::resume))
        .route("/api/v1/jobs/{id}/retry", post(operate::retry))
        .route("/", any(not_yet))
        .route("/events", any(not_yet))
        .layer(from_fn_with_state(shared.clone(), guard));
    Router::new()
        .route("/healthz", get(async || Json(json!({"status": "ok"}))))
        .route("/readyz", get(ready))
        .route("/metrics", any(not_yet))
        .merge(guarded)
        .fallback(async || problem(StatusCode::NOT_FOUND, "there is nothing at this path"))
        .with_state(shared)
}

pub(super) fn problem(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({"error": error}))).into_response()
}

async fn not_yet() -> Response {
    problem(StatusCode::NOT_IMPLEMENTED, "not yet: this version does not have it")
}

/// Judges who asks, and reads what little a body may hold within its limits.
async fn guard(State(shared): Door, request: Request, next: Next) -> Response {
    let local = request.extensions().get::<LocalAddress>().map(|local| local.0.ip());
    match shared.guard.judge(request.method(), request.headers(), local) {
        Ok(()) => {}
        Err(why) => return refused(why),
    }
    let (head, body) = request.into_parts();
    let whole = tokio::time::timeout(BODY_TIME, axum::body::to_bytes(body, BODY_BYTES)).await;
    match whole {
        Ok(Ok(body)) => next.run(Request::from_parts(head, body.into())).await,
        Ok(Err(_)) => problem(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the body did not arrive whole, or is longer than anything that this door takes",
        ),
        Err(_) => problem(StatusCode::REQUEST_TIMEOUT, "the body did not arrive within 10 s"),
    }
}

fn refused(why: Refused) -> Response {
    let (status, words) = match why {
        Refused::Host => (
            StatusCode::MISDIRECTED_REQUEST,
            "this door is not known by that host name; use the address it listens on, or add the name \
             to [admin] hosts",
        ),
        Refused::Origin => (StatusCode::FORBIDDEN, "requests from another page are refused"),
        Refused::ContentType => {
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "a POST needs Content-Type: application/json")
        }
        Refused::Token => (
            StatusCode::UNAUTHORIZED,
            "this door needs Authorization: Bearer with the admin token; `roustabout admin-token` \
             says where it is",
        ),
    };
    let mut refused = problem(status, words);
    if why == Refused::Token {
        refused
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, axum::http::HeaderValue::from_static("Bearer"));
    }
    refused
}

/// 200 while webhooks can be kept. GitHub or Nomad away is no reason for a proxy to refuse
/// webhooks: that is told beside it.
async fn ready(State(shared): Door) -> Response {
    let degraded = shared.asking.health.degraded();
    let why = match shared.store.probe().await {
        Err(error) => Some(error.to_string()),
        Ok(()) => ask(shared.asking.status()).await.err().map(str::to_owned),
    };
    match why {
        None => Json(json!({"ready": true, "degraded": degraded})).into_response(),
        Some(why) => {
            let body = json!({"ready": false, "reason": why, "degraded": degraded});
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
    }
}

/// The engine's answer, or why there is none.
pub(super) async fn ask<T>(question: impl Future<Output = Option<T>>) -> Result<T, &'static str> {
    match tokio::time::timeout(ENGINE_ANSWERS, question).await {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => Err("the daemon is ending"),
        Err(_) => Err("the engine does not answer; most likely the store cannot be written"),
    }
}

pub(super) fn no_answer(why: &str) -> Response {
    problem(StatusCode::SERVICE_UNAVAILABLE, why)
}

async fn status(State(shared): Door) -> Response {
    match ask(shared.asking.status()).await {
        Ok(status) => Json(status).into_response(),
        Err(why) => no_answer(why),
    }
}

async fn pools(State(shared): Door) -> Response {
    match ask(shared.asking.status()).await {
        Ok(status) => Json(status.pools).into_response(),
        Err(why) => no_answer(why),
    }
}

async fn jobs(State(shared): Door) -> Response {
    let reasons = match ask(shared.asking.reasons()).await {
        Ok(reasons) => reasons,
        Err(why) => return no_answer(why),
    };
    let jobs = match read(&shared, |reader| reader.jobs(LIMIT)) {
        Ok(jobs) => jobs,
        Err(error) => return unread(&error),
    };
    let shown = jobs.into_iter().map(|job| {
        let reason = reasons.get(&job.id()).cloned();
        JobJson::of(job, reason)
    });
    Json(shown.collect::<Vec<_>>()).into_response()
}

async fn job(State(shared): Door, Path(id): Path<String>) -> Response {
    let Ok(id) = id.parse::<u64>() else {
        return problem(
            StatusCode::BAD_REQUEST,
            "a job's id is a number, as in its page's address",
        );
    };
    let reasons = match ask(shared.asking.reasons()).await {
        Ok(reasons) => reasons,
        Err(why) => return no_answer(why),
    };
    match read(&shared, |reader| reader.job(JobId(id))) {
        Err(error) => unread(&error),
        Ok(None) => problem(StatusCode::NOT_FOUND, "no webhook has told of this job"),
        Ok(Some(job)) => {
            let reason = reasons.get(&job.id()).cloned();
            Json(JobJson::of(job, reason)).into_response()
        }
    }
}

async fn runners(State(shared): Door) -> Response {
    match read(&shared, |reader| reader.runners(LIMIT)) {
        Ok(runners) => {
            Json(runners.into_iter().map(RunnerJson::of).collect::<Vec<_>>()).into_response()
        }
        Err(error) => unread(&error),
    }
}

pub(super) fn read<T>(
    shared: &Shared,
    question: impl FnOnce(&Reader) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    // A reader has no state that a panic could leave half done.
    let reader = shared.reader.lock().unwrap_or_else(PoisonError::into_inner);
    question(&reader)
}

pub(super) fn unread(error: &rusqlite::Error) -> Response {
    problem(StatusCode::INTERNAL_SERVER_ERROR, &format!("cannot read the store: {error}"))
}
