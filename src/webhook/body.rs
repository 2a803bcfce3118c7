//! Reads a body within its limits: size, time, and how many bytes are in flight in all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;

use super::answer::Answer;

/// A length can be announced by anyone, so no more than this is believed before it comes.
const ALLOCATED_AHEAD: u64 = 64 * 1024;

/// How much a door takes.
#[derive(Debug, Clone, Copy)]
pub struct Bodies {
    /// Bytes of one body.
    pub each: u64,
    /// Bytes of all bodies that are being read or judged.
    pub together: u64,
    /// How long one may take to come.
    pub time: Duration,
}

impl Bodies {
    /// The usual limits, with this one for a single body.
    pub fn up_to(each: u64) -> Self {
        Self { each, together: 64 * 1024 * 1024, time: Duration::from_secs(10) }
    }
}

/// Counts the bytes of bodies in flight.
#[derive(Clone, Default)]
pub struct InFlight(Arc<AtomicU64>);

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
    /// Takes more; `false` where that would be more than `most` in all.
    fn grow(&mut self, bytes: u64, most: u64) -> bool {
        let before = self.all.0.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        before + bytes <= most
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.all.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The whole body, and its share of what is in flight for as long as it is needed.
///
/// Only what has come counts: were announced lengths to count, three connections that announce
/// much and send nothing would close the door.
pub(super) async fn read(
    body: Body,
    announced: Option<u64>,
    limits: &Bodies,
    in_flight: &InFlight,
) -> Result<(Bytes, Share), Answer> {
    tokio::time::timeout(limits.time, collect(body, announced, limits, in_flight.share()))
        .await
        .unwrap_or(Err(Answer::TooSlow(limits.time)))
}

async fn collect(
    mut body: Body,
    announced: Option<u64>,
    limits: &Bodies,
    mut share: Share,
) -> Result<(Bytes, Share), Answer> {
    let capacity = announced.unwrap_or(0).min(ALLOCATED_AHEAD);
    let mut whole = BytesMut::with_capacity(usize::try_from(capacity).unwrap_or(0));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Answer::CutOff)?;
        let Ok(data) = frame.into_data() else { continue };
        if (whole.len() + data.len()) as u64 > limits.each {
            return Err(Answer::TooLarge(limits.each));
        }
        if !share.grow(data.len() as u64, limits.together) {
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

    async fn read_hello(each: u64, in_flight: &InFlight) -> Result<(Bytes, Share), Answer> {
        read(Body::from("hello"), None, &Bodies::up_to(each), in_flight).await
    }

    #[tokio::test]
    async fn what_is_in_flight_is_given_back() {
        let in_flight = InFlight::default();
        let read = read_hello(10, &in_flight).await;
        assert_eq!(in_flight.0.load(Ordering::Relaxed), 5);
        drop(read);
        assert_eq!(in_flight.0.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_body_is_counted_as_it_comes() {
        let answer = read_hello(4, &InFlight::default()).await.map(|_| ()).unwrap_err();
        assert_eq!(answer, Answer::TooLarge(4));
    }

    #[tokio::test]
    async fn too_many_bytes_in_all_are_refused_and_given_back() {
        let in_flight = InFlight::default();
        let taken = Bodies::up_to(10).together - 2;
        in_flight.0.store(taken, Ordering::Relaxed);
        let answer = read_hello(10, &in_flight).await.map(|_| ()).unwrap_err();
        assert!(matches!(answer, Answer::Unavailable(_)));
        assert_eq!(in_flight.0.load(Ordering::Relaxed), taken);
    }
}
