//! The runners' door: `/_simulated/…`, for the stand-in of actions/runner.
//!
//! The real protocol is not public; ours is in `simulated/protocol.rs`. A poll is held until there
//! is a job, the registration is gone, or 20 s are over. Read next: `runners.rs`.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::http::Server;
use super::runners::Refusal;
use super::runs::Conclusion;
use crate::protocol::{Poll, Registration, Removal, Report};
use crate::runner::archive;

pub(super) const PREFIX: &str = "/_simulated/";

/// How long a poll is held.
const HELD: Duration = Duration::from_secs(20);

pub(super) async fn handle(server: &Server, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
        return refused(&Refusal { status: 400, message: "Bad Request".to_owned() });
    };
    let path = head.uri.path().trim_start_matches(PREFIX);
    let segments: Vec<&str> = path.split('/').collect();
    match (&head.method, segments.as_slice()) {
        (&Method::GET, ["actions-runner.tar.gz"]) => {
            let bytes = archive::tar_gz(&server.runner_binary());
            let mut response = Response::new(Full::from(bytes));
            let kind = hyper::header::HeaderValue::from_static("application/gzip");
            response.headers_mut().insert(CONTENT_TYPE, kind);
            response
        }
        (&Method::POST, ["runners"]) => told(&body, |asked: Registration| {
            server.with(|github, now| github.register(&asked, now))
        }),
        (&Method::POST, ["runners", id, what]) => {
            let Ok(id) = id.parse() else { return not_found() };
            match *what {
                "next" => match serde_json::from_slice::<String>(&body) {
                    Ok(secret) => shown(200, &next(server, id, &secret).await),
                    Err(_) => not_found(),
                },
                "started" => told(&body, |report: Report| {
                    Ok(server
                        .with(|github, now| github.started(id, &report.secret, report.job, now)))
                }),
                "beat" => told(&body, |report: Report| {
                    Ok(server.with(|github, now| github.beat(id, &report.secret, report.job, now)))
                }),
                "finished" => told(&body, |report: Report| {
                    let conclusion =
                        Conclusion::from_word(report.conclusion.as_deref().unwrap_or_default());
                    Ok(server.with(|github, now| {
                        github.steps_begun(id, &report.secret, report.job, report.steps);
                        github.finished(id, &report.secret, report.job, conclusion, now)
                    }))
                }),
                "remove" => told(&body, |removal: Removal| {
                    server.with(|github, now| github.unregister(id, &removal.token, now))
                }),
                _ => not_found(),
            }
        }
        _ => not_found(),
    }
}

/// Registers for changes before it looks, so that no wake-up falls between.
async fn next(server: &Server, id: u64, secret: &str) -> Poll {
    let mut changes = server.changes();
    let waiting = async {
        loop {
            match server.with(|github, now| github.poll(id, secret, now)) {
                Poll::Wait => {}
                news => return news,
            }
            if changes.changed().await.is_err() {
                return Poll::Wait;
            }
        }
    };
    tokio::time::timeout(HELD, waiting).await.unwrap_or(Poll::Wait)
}

fn told<T: DeserializeOwned, R: Serialize>(
    body: &[u8],
    act: impl FnOnce(T) -> Result<R, Refusal>,
) -> Response<Full<Bytes>> {
    let Ok(asked) = serde_json::from_slice(body) else {
        return refused(&Refusal { status: 400, message: "Problems parsing JSON".to_owned() });
    };
    match act(asked) {
        Ok(result) => shown(200, &result),
        Err(refusal) => refused(&refusal),
    }
}

fn not_found() -> Response<Full<Bytes>> {
    refused(&Refusal { status: 404, message: "Not Found".to_owned() })
}

fn refused(refusal: &Refusal) -> Response<Full<Bytes>> {
    shown(refusal.status, &json!({ "message": refusal.message }))
}

fn shown(status: u16, body: &impl Serialize) -> Response<Full<Bytes>> {
    let body = serde_json::to_vec(body).unwrap_or_default();
    let mut response = Response::new(Full::from(body));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
