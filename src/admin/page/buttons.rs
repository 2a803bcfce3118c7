//! The buttons of the pages: forms, so that they work without a script. Afterwards the browser is back
//! where it was.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::super::named::Named;
use super::super::operate::{self, No};
use super::super::shared::{Door, Shared};
use super::{Viewer, field, frame, login};
use crate::engine::Operation;
use crate::ledger::PoolName;

pub(super) async fn pause(State(shared): Door, Named(name): Named, body: Bytes) -> Response {
    let time = match field(&body, "for").as_deref().filter(|time| !time.is_empty()) {
        None => Ok(None),
        Some(text) => operate::pause_time(text).map(Some),
    };
    let done = match time {
        Ok(time) => {
            let operation = Operation::Pause(PoolName(name.clone()), time);
            operate::pool(&shared, &name, operation).await
        }
        Err(why) => Err((StatusCode::BAD_REQUEST, why)),
    };
    back(done, "/")
}

pub(super) async fn resume(State(shared): Door, Named(name): Named) -> Response {
    let operation = Operation::Resume(PoolName(name.clone()));
    back(operate::pool(&shared, &name, operation).await, "/")
}

pub(super) async fn retry(State(shared): Door, id: Named) -> Response {
    let Some(job) = id.job() else {
        return frame::problem(StatusCode::BAD_REQUEST, "a job's id is a number");
    };
    back(operate::job(&shared, job).await, &format!("/jobs/{job}"))
}

pub(super) async fn sign_out(
    State(shared): State<Arc<Shared>>,
    Extension(viewer): Extension<Viewer>,
    headers: HeaderMap,
) -> Response {
    login::sign_out(&shared, &viewer, &headers)
}

fn back(done: Result<(), No>, to: &str) -> Response {
    match done {
        Ok(()) => login::go(to),
        Err((status, why)) => frame::problem(status, &why),
    }
}
