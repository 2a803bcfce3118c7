//! Reads a body within its limits: size, time, and how many bytes are in flight in all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;

use super::answer::Answer;

/// Bodies that are being read or judged, in bytes, over all connections.
const IN_FLIGHT: u64 = 64 * 1024 * 1024;
/// How long a body may take to come.
const TIME: Duration = Duration::from_secs(10);

/// Counts the bytes of bodies in flight.
#[derive(Clone, Default)]
pub(super) struct InFlight(Arc<AtomicU64>);

/// A share of the bytes in flight; given back when dropped.
pub(super) struct Share {
    all: InFlight,
    bytes: u64,
}

impl InFlight {
    fn share(&self) -> Share {
        Share { all: self.clone(), bytes: 0 }
    }
}

impl Share {
    /// Takes more; `false` where that would be too much in all.
    fn grow(&mut self, bytes: u64) -> bool {
        let before = self.all.0.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        before + bytes <= IN_FLIGHT
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.all.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The whole body, and its share of what is in flight for as long as it is needed.
pub(super) async fn read(
    body: Body,
    announced: Option<u64>,
    limit: u64,
    in_flight: &InFlight,
) -> Result<(Bytes, Share), Answer> {
    let mut share = in_flight.share();
    if !share.grow(announced.unwrap_or(0)) {
        return Err(too_much());
    }
    tokio::time::timeout(TIME, collect(body, announced.unwrap_or(0), limit, share))
        .await
        .unwrap_or(Err(Answer::TooSlow))
}

async fn collect(
    mut body: Body,
    reserved: u64,
    limit: u64,
    mut share: Share,
) -> Result<(Bytes, Share), Answer> {
    // Reserved is not allocated: a length can be announced by anyone.
    let mut whole = BytesMut::with_capacity(usize::try_from(reserved.min(64 * 1024)).unwrap_or(0));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Answer::Unreadable("the body was cut off".to_owned()))?;
        let Ok(data) = frame.into_data() else { continue };
        let length = (whole.len() + data.len()) as u64;
        if length > limit {
            return Err(Answer::TooLarge(limit));
        }
        if length > share.bytes && !share.grow(length - share.bytes) {
            return Err(too_much());
        }
        whole.extend_from_slice(&data);
    }
    Ok((whole.freeze(), share))
}

fn too_much() -> Answer {
    Answer::Unavailable("too many bytes of webhooks are in flight".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_in_flight_is_given_back() {
        let in_flight = InFlight::default();
        let read = read(Body::from("hello"), Some(5), 10, &in_flight).await;
        assert_eq!(in_flight.0.load(Ordering::Relaxed), 5);
        drop(read);
        assert_eq!(in_flight.0.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_body_is_counted_as_it_comes() {
        let in_flight = InFlight::default();
        let answer = read(Body::from("hello"), None, 4, &in_flight).await.map(|_| ()).unwrap_err();
        assert_eq!(answer, Answer::TooLarge(4));
    }

    #[tokio::test]
    async fn too_many_bytes_in_all_are_refused() {
        let in_flight = InFlight::default();
        in_flight.0.store(IN_FLIGHT - 2, Ordering::Relaxed);
        let answer = read(Body::from("hello"), None, 10, &in_flight).await.map(|_| ()).unwrap_err();
        assert!(matches!(answer, Answer::Unavailable(_)));
        assert_eq!(in_flight.0.load(Ordering::Relaxed), IN_FLIGHT - 2);
    }
}
