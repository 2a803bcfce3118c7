//! The routes of the private door. Who may use them is judged by `who.rs`; health and metrics ask
//! nobody. The pages for people have their own in `page`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, RawQuery, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use clock::Clock;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::at_forge::AtForge;
use super::events;
use super::explaining;
use super::json::{JobJson, ListsJson, RunnerJson, StatusJson};
use super::list::List;
use super::metrics;
use super::named::{Named, no_job};
use super::operate;
use super::page;
use super::reporting;
use super::shared::{Door, Explainer, Shared, ask, no_answer, problem, read, unread};
use super::who::{Guard, Posted, Refused, Way};
use crate::engine::{Asking, Happenings, SweepsView};
use crate::metrics::Metrics;
use crate::store::{Store, StoreError};
use crate::webhook::listener::CameBy;
use crate::webhook::{Deliveries, Tally};

/// How many rows a list shows.
const LIMIT: usize = 1000;
/// And of jobs that ended, beside those that are open.
const ENDED: usize = 50;
/// What a request may send, and how long that may take to arrive.
const BODY_BYTES: usize = 64 * 1024;
const BODY_TIME: Duration = Duration::from_secs(10);

pub struct Admin {
    /// What came to the public door, where there is one.
    pub tally: Option<Tally>,
    pub asking: Asking,
    pub happenings: Happenings,
    pub metrics: Metrics,
    /// When it is cancelled, answers that have no end end.
    pub stop: CancellationToken,
    pub store: Store,
    pub guard: Guard,
    pub explainer: Explainer,
    pub clock: Clock,
}

pub fn router(admin: Admin) -> Router {
    let Admin { tally, asking, happenings, metrics, stop, store, guard: who, explainer, clock } =
        admin;
    let readers = store.readers();
    let shared = Arc::new(Shared {
        tally,
        asking,
        happenings,
        metrics,
        stop,
        store,
        readers,
        guard: who,
        explainer,
        clock,
        at_forge: AtForge::default(),
    });
    let guarded = Router::new()
        .route("/api/v1/status", get(status))
        .route("/api/v1/pools", get(pools))
        .route("/api/v1/jobs", get(jobs))
        .route("/api/v1/jobs/{id}", get(job))
        .route("/api/v1/runners", get(runners))
        .route("/api/v1/report", get(reporting::report))
        .route("/api/v1/explain/{*job}", get(explaining::job))
        .route("/api/v1/deliveries/{id}", get(explaining::delivery))
        .route("/api/v1/pools/{name}/pause", post(operate::pause))
        .route("/api/v1/pools/{name}/resume", post(operate::resume))
        .route("/api/v1/jobs/{id}/retry", post(operate::retry))
        .route("/events", get(events::stream))
        .layer(from_fn_with_state(shared.clone(), guard));
    Router::new()
        .route("/healthz", get(async || Json(json!({"status": "ok"}))))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics::metrics))
        .merge(guarded)
        .merge(page::router(&shared))
        .merge(page::open())
        .fallback(async || problem(StatusCode::NOT_FOUND, "there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            problem(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method")
        })
        .with_state(shared)
}

/// Judges who asks, and reads what little a body may hold within its limits.
async fn guard(State(shared): Door, way: Way, request: Request, next: Next) -> Response {
    let (method, headers) = (request.method(), request.headers());
    if let Err(why) = shared.guard.judge(method, headers, way, Posted::Json, shared.now()) {
        return refused(why);
    }
    match whole(request).await {
        Ok(request) => next.run(request).await,
        Err(refused) => refused,
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Way {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(match parts.extensions.get::<CameBy>() {
            Some(CameBy::Socket) => Way::Socket,
            Some(CameBy::Tcp(local)) => Way::Tcp(Some(local.ip())),
            None => Way::Tcp(None),
        })
    }
}

/// The request with its body in memory, within the limits.
pub(super) async fn whole(request: Request) -> Result<Request, Response> {
    let (head, body) = request.into_parts();
    let whole = tokio::time::timeout(BODY_TIME, axum::body::to_bytes(body, BODY_BYTES)).await;
    match whole {
        Ok(Ok(body)) => Ok(Request::from_parts(head, body.into())),
        Ok(Err(_)) => Err(problem(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the body was cut off, or is longer than 64 kB",
        )),
        Err(_) => Err(problem(StatusCode::REQUEST_TIMEOUT, "the body did not arrive within 10 s")),
    }
}

pub(super) fn refused(why: Refused) -> Response {
    let (status, words) = match why {
        Refused::Host => (
            StatusCode::MISDIRECTED_REQUEST,
            "unknown host name; use the address of [admin] listen, or add the name to [admin] hosts",
        ),
        Refused::Origin => (StatusCode::FORBIDDEN, "requests from another origin are refused"),
        Refused::ContentType => {
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "a POST needs Content-Type: application/json")
        }
        Refused::Token => (
            StatusCode::UNAUTHORIZED,
            "send Authorization: Bearer with the admin token; `roustabout admin-token` says where it is",
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
        // About no job: proxies ask often, and only whether there is an answer.
        Ok(()) => ask(shared.asking.reasons(Vec::new())).await.err().map(str::to_owned),
    };
    match why {
        None => Json(json!({"ready": true, "degraded": degraded})).into_response(),
        Some(why) => {
            let body = json!({"ready": false, "reason": why, "degraded": degraded});
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
    }
}

async fn status(State(shared): Door, RawQuery(query): RawQuery) -> Response {
    let lists = match lists(query.as_deref().unwrap_or_default()) {
        Ok(None) => return short_status(&shared).await,
        Ok(Some(lists)) => lists,
        Err(why) => return problem(StatusCode::BAD_REQUEST, &why),
    };
    let overview = match ask(shared.asking.overview(lists)).await {
        Ok(overview) => overview,
        Err(why) => return no_answer(why),
    };
    let (deliveries, sweeps) = beside(&shared);
    let answer = read(&shared, move |reader| {
        let (ended, runners) = (reader.ended_jobs(lists.min(ENDED))?, reader.open_runners(lists)?);
        let (status, lists) = ListsJson::of(overview, ended, runners);
        let answer = StatusJson::of(status, deliveries, sweeps).with(lists);
        // Written here, where it keeps no thread from serving webhooks.
        serde_json::to_vec(&answer).map_err(StoreError::unread)
    });
    match answer.await {
        Ok(answer) => ([(header::CONTENT_TYPE, "application/json")], answer).into_response(),
        Err(error) => unread(&error),
    }
}

async fn short_status(shared: &Shared) -> Response {
    match ask(shared.asking.status()).await {
        Ok(status) => {
            let (deliveries, sweeps) = beside(shared);
            Json(StatusJson::of(status, deliveries, sweeps)).into_response()
        }
        Err(why) => no_answer(why),
    }
}

fn beside(shared: &Shared) -> (Option<Deliveries>, SweepsView) {
    (shared.tally.as_ref().map(Tally::deliveries), shared.asking.health.sweeps())
}

/// How many jobs and runners `status` is to list; `None`: no lists.
fn lists(query: &str) -> Result<Option<usize>, String> {
    let mut lists = None;
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        match (&*key, value.parse()) {
            ("lists", Ok(count)) if count <= LIMIT => lists = Some(count),
            ("lists", _) => return Err(format!("lists={value}: write a number up to {LIMIT}")),
            (key, _) => return Err(format!("{key:?} is unknown here; use lists")),
        }
    }
    Ok(lists)
}

async fn pools(State(shared): Door) -> Response {
    match ask(shared.asking.status()).await {
        Ok(status) => Json(status.pools).into_response(),
        Err(why) => no_answer(why),
    }
}

async fn jobs(State(shared): Door) -> Response {
    let open = match read(&shared, |reader| reader.open_jobs(LIMIT)).await {
        Ok(open) => open,
        Err(error) => return unread(&error),
    };
    let mut reasons = match ask(shared.asking.reasons(open)).await {
        Ok(reasons) => reasons,
        Err(why) => return no_answer(why),
    };
    let list = read(&shared, move |reader| {
        let mut list = List::default();
        reader.each_job(LIMIT, |job| {
            let reason = reasons.remove(&job.id());
            list.add(&JobJson::of(job, reason))
        })?;
        Ok(list)
    });
    list.await.map_or_else(|error| unread(&error), IntoResponse::into_response)
}

async fn job(State(shared): Door, id: Named) -> Response {
    let Some(id) = id.job() else { return no_job() };
    let job = match read(&shared, move |reader| reader.job(id)).await {
        Err(error) => return unread(&error),
        Ok(None) => return problem(StatusCode::NOT_FOUND, "no job with this id is known"),
        Ok(Some(job)) => job,
    };
    match ask(shared.asking.reasons(vec![id])).await {
        Ok(mut reasons) => Json(JobJson::of(job, reasons.remove(&id))).into_response(),
        Err(why) => no_answer(why),
    }
}

async fn runners(State(shared): Door) -> Response {
    let list = read(&shared, |reader| {
        let mut list = List::default();
        reader.each_runner(LIMIT, |runner| list.add(&RunnerJson::of(runner)))?;
        Ok(list)
    });
    list.await.map_or_else(|error| unread(&error), IntoResponse::into_response)
}
