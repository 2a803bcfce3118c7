//! `GET /v1/event/stream`: a line of JSON for each write that is heard of, `{}` now and then, until
//! the listener goes or is too far behind.
//!
//! Since 1.11.2 the real one takes the connection away from its server and writes as it likes, so
//! the answer is not in chunks. Read next: `../stream.rs`, `events.rs`.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use hyper::body::Frame;
use tokio::sync::{broadcast, mpsc};

use super::call::{Call, Reply};
use super::listening::{Wish, be_silent};
use super::refusal::Refusal;
use crate::stream::{Told, Wanted};
use crate::wire::UntilClosed;

/// As the real one's.
const HEARTBEAT: Duration = Duration::from_secs(30);
const BEAT: Bytes = Bytes::from_static(b"{}\n");
/// Lines that may wait for a slow reader.
const WAITING: usize = 64;

pub(super) fn events(call: Call) -> Reply {
    let index = match call.query.said("index") {
        None => 0,
        Some(text) => text.parse::<i64>().map_err(|_| {
            let why = format!("strconv.Atoi: parsing {text:?}: invalid syntax");
            Refusal::new(400, format!("Unable to parse index: {why}"))
        })?,
    };
    let namespace = call.query.said("namespace").unwrap_or("default");
    let wanted =
        Wanted::read(call.query.all("topic"), namespace).map_err(|why| Refusal::new(400, why))?;
    let (lines, body) = mpsc::channel(WAITING);
    if call.query.said("region").is_some_and(|region| call.is_elsewhere(region)) {
        // Nothing is ever heard from there, and nothing said of it.
        tokio::spawn(async move { lines.closed().await });
    } else {
        let wish = Wish::of(&call);
        tokio::spawn(tell(Listener { call, wish, wanted, lines }, index));
    }
    Ok(answer(index, body))
}

fn answer(index: i64, body: mpsc::Receiver<Bytes>) -> Response {
    let heads = |kind| [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")];
    let body = Body::new(Lines(body));
    let mut response = match index {
        0.. => (heads("application/json"), body).into_response(),
        // It is refused, and heard all the same: see `again`.
        _ => (StatusCode::BAD_REQUEST, heads("text/plain; charset=utf-8"), body).into_response(),
    };
    response.extensions_mut().insert(UntilClosed);
    response
}

/// The head that the real one writes after that of its refusal of an index below 0.
fn again() -> Bytes {
    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nCache-Control: no-cache\r\n\
                Content-Type: text/plain; charset=utf-8\r\nVary: Accept-Encoding\r\n\r\n";
    Bytes::from_static(head.as_bytes())
}

/// One who listens.
struct Listener {
    call: Call,
    wish: Wish,
    wanted: Wanted,
    lines: mpsc::Sender<Bytes>,
}

async fn tell(listener: Listener, index: i64) {
    let (before, told) = listener.call.server.listen(u64::try_from(index).unwrap_or(0));
    if listener.hears(index, &before, told).await.is_some_and(|right| right == Right::Lost) {
        be_silent(&listener.call.server, &listener.lines).await;
    }
}

#[derive(PartialEq, Eq)]
enum Right {
    Kept,
    Lost,
}

impl Listener {
    /// Tells it everything until it may not hear it any more; None: it is gone, or too far behind.
    async fn hears(
        &self,
        index: i64,
        before: &[Arc<Told>],
        mut told: broadcast::Receiver<Arc<Told>>,
    ) -> Option<Right> {
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        heartbeat.tick().await;
        // In one piece, as it is there already.
        let mut first = if index < 0 { again().to_vec() } else { Vec::new() };
        first.extend_from_slice(&BEAT);
        let replayed = before.iter().filter_map(|one| self.wanted.line(one));
        replayed.for_each(|line| first.extend_from_slice(line.as_bytes()));
        if self.say(first.into()).await? == Right::Lost {
            return Some(Right::Lost);
        }
        loop {
            let line = self.next(&mut heartbeat, &mut told).await?;
            if self.say(line).await? == Right::Lost {
                return Some(Right::Lost);
            }
        }
    }

    async fn say(&self, line: Bytes) -> Option<Right> {
        if !self.wish.may_be_heard(&self.call) {
            return Some(Right::Lost);
        }
        self.lines.send(line).await.ok().map(|()| Right::Kept)
    }

    /// The next line for the listener.
    async fn next(
        &self,
        heartbeat: &mut tokio::time::Interval,
        told: &mut broadcast::Receiver<Arc<Told>>,
    ) -> Option<Bytes> {
        loop {
            tokio::select! {
                // In order, so that a simulation is repeated exactly.
                biased;
                _ = heartbeat.tick() => return Some(BEAT),
                // Too far behind, or the server is no more: whoever listens lists everything anew.
                one = told.recv() => {
                    let one = one.ok()?;
                    if let Some(line) = self.wanted.line(&one) {
                        return Some(line.into());
                    }
                }
                () = self.lines.closed() => return None,
            }
        }
    }
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
