//! What changes something: `pause` and `resume` of a pool, `retry` of a job. Answered when it is
//! on disk.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::named::{Named, no_job};
use super::shared::{Door, Shared, ask, no_answer, problem, read};
use crate::engine::Operation;
use crate::ledger::{JobId, PoolName};
use crate::quantity;

/// How long a pool is to be paused: `30m`, `2h`, `1d`. The error says what is wrong.
pub fn pause_time(text: &str) -> Result<Duration, String> {
    let time =
        quantity::duration(text).map_err(|why| format!("{why}; for example 30m, 2h or 1d"))?;
    within(time)
}

fn within(time: Duration) -> Result<Duration, String> {
    match time {
        time if time.is_zero() => Err("a pause must last at least a second".to_owned()),
        time if time.as_secs() > quantity::LONGEST => {
            Err("a pause may last ten years at most".to_owned())
        }
        time => Ok(time),
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct PauseBody {
    r#for: Option<String>,
    for_seconds: Option<u64>,
}

impl PauseBody {
    fn read(body: &[u8]) -> Result<Option<Duration>, String> {
        let said: Self = match body.trim_ascii().is_empty() {
            true => Self::default(),
            false => serde_json::from_slice(body).map_err(|error| {
                format!("the body is not {{\"for\": \"2h\"}} or {{\"for_seconds\": 7200}}: {error}")
            })?,
        };
        match (said.r#for, said.for_seconds) {
            (None, None) => Ok(None),
            (Some(text), None) => pause_time(&text).map(Some),
            (None, Some(seconds)) => within(Duration::from_secs(seconds)).map(Some),
            (Some(_), Some(_)) => Err("give for or for_seconds, not both".to_owned()),
        }
    }
}

pub(super) async fn pause(State(shared): Door, Named(name): Named, body: Bytes) -> Response {
    let time = match PauseBody::read(&body) {
        Ok(time) => time,
        Err(why) => return problem(StatusCode::BAD_REQUEST, &why),
    };
    let pool = PoolName(name.clone());
    if let Err((status, why)) = self::pool(&shared, &name, Operation::Pause(pool, time)).await {
        return problem(status, &why);
    }
    let until = match ask(shared.asking.status()).await {
        Ok(status) => status.pools.into_iter().find(|pool| pool.name == name),
        Err(why) => return no_answer(why),
    };
    let until = until.and_then(|pool| pool.paused_until);
    Json(json!({"done": true, "pool": name, "paused_until": until})).into_response()
}

pub(super) async fn resume(State(shared): Door, Named(name): Named) -> Response {
    let operation = Operation::Resume(PoolName(name.clone()));
    match pool(&shared, &name, operation).await {
        Ok(()) => Json(json!({"done": true, "pool": name})).into_response(),
        Err((status, why)) => problem(status, &why),
    }
}

/// Why it was not done: what the answer is, and in words.
pub(super) type No = (StatusCode, String);

/// Pauses or resumes the pool of this name.
pub(super) async fn pool(shared: &Shared, name: &str, operation: Operation) -> Result<(), No> {
    let status = ask(shared.asking.status()).await.map_err(not_now)?;
    let known = status.pools.iter().any(|pool| pool.name == name);
    operate(shared, operation, known).await
}

pub(super) async fn retry(State(shared): Door, id: Named) -> Response {
    let Some(id) = id.job() else { return no_job() };
    match job(&shared, id).await {
        Ok(()) => Json(json!({"done": true, "job": id})).into_response(),
        Err((status, why)) => problem(status, &why),
    }
}

/// Looks at this job again now.
pub(super) async fn job(shared: &Shared, id: JobId) -> Result<(), No> {
    let job = read(shared, move |reader| reader.job(id)).await;
    let open = job.is_ok_and(|job| job.is_some_and(|j| j.ended_at.is_none() && j.pool.is_some()));
    operate(shared, Operation::Retry(id), open).await
}

/// `known`: what it is about is there, so that a no is only for now.
async fn operate(shared: &Shared, operation: Operation, known: bool) -> Result<(), No> {
    let asked = async { Some(shared.asking.operate(operation).await) };
    match ask(asked).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(why)) if known => Err((StatusCode::SERVICE_UNAVAILABLE, why)),
        Ok(Err(why)) => Err((StatusCode::NOT_FOUND, why)),
        Err(why) => Err(not_now(why)),
    }
}

fn not_now(why: &str) -> No {
    (StatusCode::SERVICE_UNAVAILABLE, why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_says_how_long_or_nothing() {
        let seconds = |body: &str| {
            PauseBody::read(body.as_bytes()).map(|time| time.map(|time| time.as_secs()))
        };
        assert_eq!(seconds(""), Ok(None));
        assert_eq!(seconds("{}"), Ok(None));
        assert_eq!(seconds(r#"{"for": "2h"}"#), Ok(Some(7200)));
        assert_eq!(seconds(r#"{"for": "1d"}"#), Ok(Some(86_400)));
        assert_eq!(seconds(r#"{"for": "1h30m"}"#), Ok(Some(5400)));
        assert_eq!(seconds(r#"{"for_seconds": 90}"#), Ok(Some(90)));
        for wrong in [
            "2h",
            r#"{"for": "2"}"#,
            r#"{"for": "-2h"}"#,
            r#"{"for": "0s"}"#,
            r#"{"for": "9999999h"}"#,
            r#"{"for_seconds": 0}"#,
            r#"{"for": "2h", "for_seconds": 7200}"#,
            r#"{"fro": "2h"}"#,
        ] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
