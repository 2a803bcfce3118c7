//! `GET /v1/event/stream`: a line of JSON for each event, `{}` now and then, until the listener
//! goes or is too far behind.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::Frame;
use serde_json::json;
use tokio::sync::{broadcast, mpsc};

use super::call::Call;
use super::listening::{Wish, be_silent};
use crate::stream::Told;
use crate::wire::UntilClosed;

/// As the real one's.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// Lines that may wait for a slow reader.
const WAITING: usize = 64;

pub(super) fn events(call: Call) -> Response {
    let wish = Wish::of(&call);
    let (lines, body) = mpsc::channel(WAITING);
    let told = call.server.listen();
    if call.query.said("region").is_some_and(|region| call.is_elsewhere(region)) {
        // Nothing is ever heard from there, and nothing said of it.
        tokio::spawn(async move { lines.closed().await });
    } else {
        tokio::spawn(tell(call, told, wish, lines));
    }
    let heads = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")];
    let mut response = (heads, Body::new(Lines(body))).into_response();
    // The real one takes the connection away from its server, and writes as it likes.
    response.extensions_mut().insert(UntilClosed);
    response
}

async fn tell(
    call: Call,
    mut told: broadcast::Receiver<Arc<Told>>,
    wish: Wish,
    lines: mpsc::Sender<Bytes>,
) {
    let mut heartbeat = tokio::time::interval(HEARTBEAT);
    let wants = |one: &Told| {
        (wish.namespace == "*" || one.namespace == wish.namespace)
            && (wish.topics.is_empty() || wish.topics.iter().any(|it| it == "*" || it == one.topic))
    };
    loop {
        let line = tokio::select! {
            _ = heartbeat.tick() => "{}\n".to_owned(),
            one = told.recv() => match one {
                Ok(one) if wants(&one) => format!("{}\n", event(&one)),
                Ok(_) => continue,
                // Too far behind, or the server is no more: whoever listens lists everything anew.
                Err(_) => return,
            },
            () = lines.closed() => return,
        };
        if !wish.may_be_heard(&call) {
            return be_silent(&lines).await;
        }
        if lines.send(line.into()).await.is_err() {
            return;
        }
    }
}

fn event(one: &Told) -> serde_json::Value {
    let filter = if one.topic == "Job" { json!(null) } else { json!([one.job, ""]) };
    let payload = if one.purged { json!({"Deleted": true}) } else { json!({}) };
    json!({"Index": one.index, "Events": [{
        "Topic": one.topic, "Type": one.kind, "Key": one.key, "Namespace": one.namespace,
        "FilterKeys": filter, "Index": one.index, "Payload": payload,
    }]})
}

/// A body of what arrives in a channel.
struct Lines(mpsc::Receiver<Bytes>);

impl HttpBody for Lines {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|line| line.map(|line| Ok(Frame::data(line))))
    }
}
