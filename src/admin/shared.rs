//! What the pages and answers of the private door have in common: what they read from, and how they say
//! that there is no answer. The routes are in `door.rs`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use clock::Clock;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::at_forge::AtForge;
use super::who::Guard;
use crate::engine::{Asking, Happenings};
use crate::metrics::Metrics;
use crate::store::{Reader, Readers, Store, StoreError};
use crate::webhook::Tally;

/// How long the engine may take to answer. It writes before it answers, so a store that
/// cannot be written keeps it from answering at all.
const ENGINE_ANSWERS: Duration = Duration::from_secs(4);

pub(super) struct Shared {
    pub tally: Option<Tally>,
    pub asking: Asking,
    pub happenings: Happenings,
    pub metrics: Metrics,
    pub stop: CancellationToken,
    pub store: Store,
    pub readers: Readers,
    pub guard: Guard,
    pub explainer: Explainer,
    pub clock: Clock,
    pub at_forge: AtForge,
}

impl Shared {
    /// Seconds since 1970.
    pub fn now(&self) -> u64 {
        u64::try_from(self.clock.now().as_second()).unwrap_or_default()
    }
}

/// Whom `explain` asks beside store and engine.
pub struct Explainer {
    pub forges: crate::forge::Forges,
    pub nomad: crate::nomad::Client,
    pub settings: Arc<crate::config::Settings>,
    pub rules: crate::ledger::Rules,
}

pub(super) type Door = State<Arc<Shared>>;

pub(super) fn problem(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({"error": error}))).into_response()
}

/// The engine's answer, or why there is none.
pub(super) async fn ask<T>(question: impl Future<Output = Option<T>>) -> Result<T, &'static str> {
    match tokio::time::timeout(ENGINE_ANSWERS, question).await {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => Err("the daemon is shutting down"),
        Err(_) => Err("the engine does not answer; most likely it cannot write to the store"),
    }
}

pub(super) fn no_answer(why: &str) -> Response {
    problem(StatusCode::SERVICE_UNAVAILABLE, why)
}

pub(super) async fn read<T: Send + 'static>(
    shared: &Shared,
    question: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    shared.readers.read(question).await
}

pub(super) fn unread(error: &StoreError) -> Response {
    problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string())
}
