//! Dispatching a parameterized job: the one call that must never be doubled or lost.
//!
//! Its failures say what is known of Nomad's side: nothing was sent, nothing was made, or nobody
//! knows. It does not retry; with the same idempotency token the caller can. The reasons of a
//! refusal are in `refusal`, the look-up by token in `children`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::connection::Place;
use super::endpoint::Endpoint;
use super::refusal::Refusal;
use super::transport::{Answer, Call, Client, Failure};
use super::wire;

/// Bytes, before base64 (Nomad `DispatchPayloadSizeLimit`).
pub const PAYLOAD_LIMIT: usize = 16_384;

/// What a dispatch carries. Its `Debug` shows no value, for any may be a credential.
#[derive(Clone, Copy, Debug)]
pub struct DispatchRequest<'a> {
    /// Nomad keeps it per parent and only as long as it keeps the child: a guard for retries, no
    /// lasting memory.
    pub idempotency_token: &'a str,
    pub payload: Option<&'a SecretString>,
    pub meta: &'a BTreeMap<String, SecretString>,
}

/// A dispatch that Nomad took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispatched {
    /// The child's job id, `<parent>/dispatch-<seconds>-<hex>`.
    pub child: String,
    pub evaluation: Option<String>,
    /// Nomad had a child with this token already, in whatever state, and made none.
    pub repeated: bool,
}

/// Why there is no [`Dispatched`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DispatchError {
    /// It certainly did not reach Nomad.
    #[error("Nomad was not reached: {0}")]
    NotSent(String),
    /// Nomad said no, and nothing was made. `text` is its own wording.
    #[error("{kind}")]
    Refused { kind: Refusal, text: String },
    /// It may have acted, or may yet.
    #[error("it is unknown whether Nomad took it: {0}")]
    Unknown(String),
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct WireRequest<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    meta: BTreeMap<&'a str, &'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireDispatched {
    #[serde(rename = "DispatchedJobID")]
    child: String,
    #[serde(rename = "EvalID", default, deserialize_with = "wire::or_default")]
    evaluation: String,
}

impl Client {
    /// `PUT /v1/job/:parent/dispatch`. Needs the capability `dispatch-job`.
    ///
    /// Of two dispatches with one token at the same moment, the loser may be told an id that does
    /// not exist (seen on 1.11.3): let one be in flight a token, or confirm with
    /// [`job`](Self::job).
    pub async fn dispatch(
        &self,
        place: &Place,
        parent: &str,
        request: &DispatchRequest<'_>,
    ) -> Result<Dispatched, DispatchError> {
        let call = Call::to(Endpoint::Dispatch(parent))
            .at(place)
            .query("idempotency_token", request.idempotency_token)
            .body(body(request)?);
        match self.send(call).await {
            Ok(answer) => read(&answer, place, parent, request),
            Err(Failure::NotSent(reason)) => Err(DispatchError::NotSent(reason)),
            Err(Failure::Unknown(reason)) => Err(DispatchError::Unknown(reason)),
        }
    }
}

fn body(request: &DispatchRequest<'_>) -> Result<Vec<u8>, DispatchError> {
    if let Some(payload) = request.payload
        && payload.expose_secret().len() > PAYLOAD_LIMIT
    {
        let text = format!("{} > {PAYLOAD_LIMIT} bytes; not sent", payload.expose_secret().len());
        return Err(DispatchError::Refused { kind: Refusal::PayloadTooLarge, text });
    }
    let wire = WireRequest {
        payload: request.payload.map(|p| STANDARD.encode(p.expose_secret())),
        meta: request.meta.iter().map(|(k, v)| (k.as_str(), v.expose_secret())).collect(),
    };
    serde_json::to_vec(&wire).map_err(|e| DispatchError::NotSent(e.to_string()))
}

fn read(
    answer: &Answer,
    place: &Place,
    parent: &str,
    request: &DispatchRequest<'_>,
) -> Result<Dispatched, DispatchError> {
    if (200..300).contains(&answer.status) {
        return match serde_json::from_slice::<WireDispatched>(&answer.body) {
            Ok(wire) if !wire.child.is_empty() => Ok(Dispatched {
                child: wire.child,
                repeated: wire.evaluation.is_empty(),
                evaluation: wire::some(wire.evaluation),
            }),
            _ => Err(DispatchError::Unknown("an answer that names no child".to_owned())),
        };
    }
    let text = without_secrets(answer.text(), request);
    Err(match Refusal::read(answer.status, &text, parent, &place.namespace) {
        Some(kind) => DispatchError::Refused { kind, text },
        None => DispatchError::Unknown(format!("{}: {text}", answer.status)),
    })
}

/// Nomad repeats no value, but whatever stands before it might. Values too short to be secrets
/// stay, so that words remain words.
fn without_secrets(mut text: String, request: &DispatchRequest<'_>) -> String {
    let encoded = request.payload.map(|p| STANDARD.encode(p.expose_secret()));
    let values = request.meta.values().chain(request.payload).map(|s| s.expose_secret());
    for value in values.chain(encoded.as_deref()).filter(|v| v.len() >= 12) {
        text = text.replace(value, "[hidden]");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use serde_json::json;
    use wiremock::matchers::{body_json, method, path, query_param};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    const SECRET: &str = "AAAA-registration-token";

    async fn dispatch(address: &str) -> Result<Dispatched, DispatchError> {
        let meta = BTreeMap::from([("runner_token".to_owned(), SecretString::from(SECRET))]);
        let payload = SecretString::from(SECRET);
        let request = DispatchRequest {
            idempotency_token: "roustabout-x@o/r#1",
            payload: Some(&payload),
            meta: &meta,
        };
        assert!(!format!("{request:?}").contains(SECRET));
        let client = testing::client(address);
        client.dispatch(client.place(), "gha/x64", &request).await
    }

    async fn answered(status: u16, body: &str) -> Result<Dispatched, DispatchError> {
        let server = MockServer::start().await;
        Mock::given(method("PUT"))
            .respond_with(ResponseTemplate::new(status).set_body_string(body))
            .mount(&server)
            .await;
        dispatch(&server.uri()).await
    }

    #[tokio::test]
    async fn the_request_is_nomads() {
        let server = MockServer::start().await;
        Mock::given(method("PUT"))
            .and(path("/v1/job/gha%2Fx64/dispatch"))
            .and(query_param("namespace", "default"))
            .and(query_param("idempotency_token", "roustabout-x@o/r#1"))
            .and(body_json(json!({
                "Payload": STANDARD.encode(SECRET), "Meta": {"runner_token": SECRET}
            })))
            .respond_with(ResponseTemplate::new(200).set_body_json(json!({
                "DispatchedJobID": "gha/x64/dispatch-1-ab", "EvalID": "e1", "EvalCreateIndex": 5
            })))
            .mount(&server)
            .await;
        assert_eq!(
            dispatch(&server.uri()).await.unwrap(),
            Dispatched {
                child: "gha/x64/dispatch-1-ab".into(),
                evaluation: Some("e1".into()),
                repeated: false
            }
        );
    }

    #[tokio::test]
    async fn an_empty_evaluation_marks_a_repetition() {
        let body = r#"{"DispatchedJobID":"gha/dispatch-1-ab","EvalID":"","EvalCreateIndex":0}"#;
        let dispatched = answered(200, body).await.unwrap();
        assert!(dispatched.repeated);
        assert_eq!(dispatched.evaluation, None);
    }

    #[tokio::test]
    async fn refusals_and_unknown_outcomes_are_told_apart() {
        let refused = answered(500, "rpc error: parameterized job not found").await;
        let Err(DispatchError::Refused { kind, text }) = refused else { panic!("{refused:?}") };
        let expected = Refusal::NoSuchJob { job: "gha/x64".into(), namespace: "default".into() };
        assert_eq!(kind, expected);
        assert_eq!(text, "parameterized job not found");
        for (status, body) in [
            (500, "No cluster leader"),
            (500, "leadership lost while committing log"),
            (502, "bad gateway"),
            (504, ""),
            (200, "{}"),
            (200, "<html>"),
        ] {
            let outcome = answered(status, body).await;
            assert!(matches!(outcome, Err(DispatchError::Unknown(_))), "{status} {body}");
        }
    }

    #[tokio::test]
    async fn a_closed_port_was_certainly_not_reached() {
        let outcome = dispatch(&testing::closed_port().await).await;
        let Err(DispatchError::NotSent(reason)) = outcome else { panic!("{outcome:?}") };
        assert!(reason.contains("refused"), "{reason}");
    }

    #[tokio::test]
    async fn tls_that_fails_sent_nothing() {
        let plain = testing::hangs_up_after("HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let outcome = dispatch(&plain.replace("http://", "https://")).await;
        assert!(matches!(outcome, Err(DispatchError::NotSent(_))), "{outcome:?}");
    }

    #[tokio::test]
    async fn a_name_that_does_not_resolve_sent_nothing() {
        let outcome = dispatch("http://nomad.invalid:4646").await;
        assert!(matches!(outcome, Err(DispatchError::NotSent(_))), "{outcome:?}");
    }

    #[tokio::test]
    async fn a_connection_cut_after_the_request_is_unknown() {
        for reply in ["", "HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n{\"Dispatched"] {
            let outcome = dispatch(&testing::hangs_up_after(reply).await).await;
            assert!(matches!(outcome, Err(DispatchError::Unknown(_))), "{outcome:?}");
        }
    }

    #[tokio::test]
    async fn a_time_out_is_unknown() {
        let server = MockServer::start().await;
        let late = ResponseTemplate::new(200).set_delay(std::time::Duration::from_secs(30));
        Mock::given(method("PUT")).respond_with(late).mount(&server).await;
        let client = testing::client(&server.uri());
        let mut call = Call::to(Endpoint::Dispatch("gha")).body(b"{}".to_vec());
        call.timeout = std::time::Duration::from_millis(200);
        assert!(matches!(client.send(call).await, Err(Failure::Unknown(_))));
    }

    #[tokio::test]
    async fn what_echoes_the_request_does_not_leak_it() {
        let echo = format!("bad request: {{\"Payload\":\"{}\"}} {SECRET}", STANDARD.encode(SECRET));
        let error = answered(400, &echo).await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(SECRET) && !shown.contains(&STANDARD.encode(SECRET)), "{shown}");
    }

    #[tokio::test]
    async fn too_large_a_payload_is_refused_here() {
        let client = testing::client("http://127.0.0.1:1");
        let payload = SecretString::from("x".repeat(PAYLOAD_LIMIT + 1));
        let request = DispatchRequest {
            idempotency_token: "t",
            payload: Some(&payload),
            meta: &BTreeMap::new(),
        };
        let error = client.dispatch(client.place(), "gha", &request).await.unwrap_err();
        assert!(matches!(error, DispatchError::Refused { kind: Refusal::PayloadTooLarge, .. }));
    }
}
