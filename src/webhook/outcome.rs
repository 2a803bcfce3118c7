//! The door's answers: one JSON form for all of them (`interface.md`, "The public door").

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::ledger::DeliveryId;

#[derive(Debug, Serialize)]
struct Body<'a> {
    outcome: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<&'a str>,
}

/// How a request was judged.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Accepted,
    Duplicate,
    Pong(Pinger),
    Ignored(String),
    WrongPath,
    WrongMethod,
    TooLarge(u64),
    WrongType,
    /// The body did not come in this time.
    TooSlow(Duration),
    CutOff,
    Unsigned(Unsigned),
    Unreadable(String),
    /// Not kept: GitHub counts the delivery as failed.
    Unavailable(String),
}

/// Who sent a ping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pinger {
    /// It names the webhook that it is about, as each ping of GitHub does.
    Forge,
    /// `app status --rotate-secret`, or somebody's own test: nothing came from outside.
    Other,
}

impl Pinger {
    pub(super) fn of(ping: &serde_json::Map<String, serde_json::Value>) -> Self {
        match ping.contains_key("hook_id") {
            true => Pinger::Forge,
            false => Pinger::Other,
        }
    }
}

/// What is wrong with a signature: for the log, never for the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unsigned {
    Missing,
    Malformed,
    /// Of another secret, or another body.
    Wrong,
}

/// Seconds until a refused sender may come again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("10");

impl Outcome {
    pub(super) fn respond(&self, delivery: Option<&DeliveryId>) -> Response {
        let detail;
        let (status, outcome, reason) = match self {
            Outcome::Accepted => (StatusCode::ACCEPTED, "accepted", None),
            Outcome::Duplicate => {
                (StatusCode::ACCEPTED, "duplicate", Some("this delivery is already known"))
            }
            Outcome::Pong(_) => (StatusCode::OK, "pong", None),
            Outcome::Ignored(why) => (StatusCode::ACCEPTED, "ignored", Some(why.as_str())),
            Outcome::WrongPath => (
                StatusCode::NOT_FOUND,
                "not found",
                Some("webhooks are accepted only at webhook.path"),
            ),
            Outcome::WrongMethod => {
                (StatusCode::METHOD_NOT_ALLOWED, "method not allowed", Some("use POST"))
            }
            Outcome::TooLarge(limit) => {
                detail = format!("the body is over {limit} bytes (webhook.max_body)");
                (StatusCode::PAYLOAD_TOO_LARGE, "too large", Some(detail.as_str()))
            }
            Outcome::WrongType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported type",
                Some(
                    "the content type is neither application/json nor application/x-www-form-urlencoded",
                ),
            ),
            Outcome::TooSlow(time) => {
                detail = format!("the body did not arrive within {} s", time.as_secs());
                (StatusCode::REQUEST_TIMEOUT, "too slow", Some(detail.as_str()))
            }
            Outcome::CutOff => (StatusCode::BAD_REQUEST, "cut off", Some("the body was cut off")),
            // One and the same for no, malformed and wrong: nothing to learn from it.
            Outcome::Unsigned(_) => {
                (StatusCode::UNAUTHORIZED, "unauthorized", Some("invalid signature"))
            }
            Outcome::Unreadable(why) => (StatusCode::BAD_REQUEST, "unreadable", Some(why.as_str())),
            Outcome::Unavailable(why) => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable", Some(why.as_str()))
            }
        };
        let body = Body { outcome, reason, delivery: delivery.map(|id| id.as_str()) };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        match self {
            Outcome::WrongMethod => {
                headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
            }
            Outcome::Unavailable(_) => {
                headers.insert(header::RETRY_AFTER, RETRY_AFTER);
            }
            // What is left of the body is not read.
            Outcome::TooSlow(_)
            | Outcome::CutOff
            | Outcome::Unsigned(Unsigned::Missing | Unsigned::Malformed) => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}
