//! Reads a body within its limits and judges its signature as it comes. Until that holds anybody may
//! have sent it, so little of it is in memory: a short start, and the rest in a file that has no name.
//!
//! What all bodies together may take up, and who gives way when it is too much: `in_flight`.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::sync::OwnedSemaphorePermit;

use super::in_flight::{InFlight, Share};
use super::outcome::{Outcome, Unsigned};
use super::signature::{Checking, Signer};

/// Of each body this much is in memory at most. GitHub's have 10 to 40 kB.
const IN_MEMORY: usize = 64 * 1024;
/// A length can be announced by anyone, so no more than this is believed before it comes.
const ALLOCATED_AHEAD: u64 = 16 * 1024;

/// How much a door takes.
#[derive(Debug, Clone, Copy)]
pub struct Bodies {
    /// Bytes of one body.
    pub each: u64,
    /// Bytes in memory, of all bodies that are being read or judged. What is more goes into files.
    pub memory: u64,
    /// Bytes in files, without the little that each body may always have there.
    pub files: u64,
    /// How long one may take to come.
    pub time: Duration,
}

impl Bodies {
    /// The usual limits, with this one for a single body.
    pub fn up_to(each: u64) -> Self {
        Self {
            each,
            memory: 8 * 1024 * 1024,
            files: 64 * 1024 * 1024,
            time: Duration::from_secs(10),
        }
    }
}

/// How much of a body is of use once its signature holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    All,
    /// It will be kept for whoever asks what could not be read.
    Start,
    Nothing,
}

/// A body whose signature holds, as much of it as is of use.
pub(super) struct Signed {
    pub bytes: Bytes,
    /// With whose secrets.
    pub signers: Vec<Signer>,
    _share: Share,
    /// Large ones are in memory one at a time.
    _turn: Option<OwnedSemaphorePermit>,
}

/// Only what has come counts: were announced lengths to count, three connections that announce
/// much and send nothing would close the door.
pub(super) async fn read(
    body: Body,
    announced: Option<u64>,
    wanted: Use,
    limits: &Bodies,
    in_flight: &InFlight,
    checking: Checking,
) -> Result<Signed, Outcome> {
    let share = in_flight.share();
    let gives_way = share.gives_way();
    let capacity = match wanted {
        Use::Nothing => 0,
        _ => usize::try_from(announced.unwrap_or(0).min(ALLOCATED_AHEAD)).unwrap_or(0),
    };
    let coming =
        Coming { start: BytesMut::with_capacity(capacity), rest: None, signers: Vec::new(), share };
    let all = coming.read(body, wanted, limits, checking);
    let all = tokio::time::timeout(limits.time, gives_way.run_until_cancelled(all)).await;
    let coming = all
        .map_err(|_| Outcome::TooSlow(limits.time))?
        .ok_or_else(|| too_much("this one was the slowest"))??;
    coming.whole(in_flight).await
}

/// What has come of a body.
struct Coming {
    start: BytesMut,
    /// What follows the start.
    rest: Option<File>,
    signers: Vec<Signer>,
    share: Share,
}

impl Coming {
    async fn read(
        mut self,
        mut body: Body,
        wanted: Use,
        limits: &Bodies,
        mut checking: Checking,
    ) -> Result<Self, Outcome> {
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Outcome::CutOff)?;
            let Ok(data) = frame.into_data() else { continue };
            length += data.len() as u64;
            if length > limits.each {
                return Err(Outcome::TooLarge(limits.each));
            }
            checking.update(&data);
            let before = usize::try_from(length).unwrap_or(usize::MAX) - data.len();
            let used = match wanted {
                Use::All => data.len(),
                Use::Start => IN_MEMORY.saturating_sub(before).min(data.len()),
                Use::Nothing => 0,
            };
            if used > 0 {
                self.keep(data.slice(..used), limits).await?;
            }
        }
        self.signers = checking.signers();
        if self.signers.is_empty() {
            return Err(Outcome::Unsigned(Unsigned::Wrong));
        }
        Ok(self)
    }

    async fn keep(&mut self, data: Bytes, limits: &Bodies) -> Result<(), Outcome> {
        let bytes = data.len() as u64;
        let fits = self.rest.is_none() && self.start.len() + data.len() <= IN_MEMORY;
        if fits && self.share.takes_memory(bytes, limits.memory) {
            self.start.extend_from_slice(&data);
            return Ok(());
        }
        if !self.share.takes_file(bytes, limits.files) {
            return Err(too_much("this one was no faster than the others"));
        }
        let file = self.share.in_flight().write(self.rest.take(), data).await;
        self.rest = Some(file.map_err(|error| {
            Outcome::Unavailable(format!(
                "cannot write a large webhook to a temporary file: {error}"
            ))
        })?);
        Ok(())
    }

    /// Its signature holds: from here on it gives way to nobody.
    async fn whole(mut self, in_flight: &InFlight) -> Result<Signed, Outcome> {
        self.share.is_signed();
        let Some(mut rest) = self.rest.take() else {
            let (bytes, signers) = (self.start.freeze(), self.signers);
            return Ok(Signed { bytes, signers, _share: self.share, _turn: None });
        };
        let turn = in_flight.turn().await;
        let signers = self.signers;
        let read = move || -> io::Result<_> {
            let length = rest.stream_position()?;
            rest.rewind()?;
            let mut whole =
                Vec::with_capacity(self.start.len() + usize::try_from(length).unwrap_or_default());
            whole.extend_from_slice(&self.start);
            rest.read_to_end(&mut whole)?;
            Ok((Bytes::from(whole), self.share))
        };
        let read = tokio::task::spawn_blocking(read).await;
        let (bytes, share) = read.map_err(io::Error::other).flatten().map_err(|error| {
            Outcome::Unavailable(format!(
                "cannot read a large webhook from its temporary file: {error}"
            ))
        })?;
        Ok(Signed { bytes, signers, _share: share, _turn: turn })
    }
}

fn too_much(which: &str) -> Outcome {
    Outcome::Unavailable(format!("too many large webhooks are in flight, and {which}"))
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use hyper::body::Frame;
    use secrecy::SecretString;

    use super::super::signature::{Given, Secrets, sign};
    use super::*;

    const KB: usize = 1024;

    fn folder() -> (tempfile::TempDir, InFlight) {
        let folder = tempfile::tempdir().unwrap();
        let in_flight = InFlight::in_folder(folder.path());
        (folder, in_flight)
    }

    fn limits(each: u64) -> Bodies {
        Bodies { memory: 1 << 20, files: 1 << 20, ..Bodies::up_to(each) }
    }

    async fn read_by(
        body: &[u8],
        key: &str,
        wanted: Use,
        limits: &Bodies,
        in_flight: &InFlight,
    ) -> Result<Bytes, Outcome> {
        let given = Given::read(sign(&SecretString::from(key), body).as_bytes()).unwrap();
        let checking = Secrets::new("key".into(), None).check(given);
        let frames = body.chunks(16 * KB).map(Bytes::copy_from_slice).collect::<Vec<_>>();
        let body = Body::new(Frames(frames.into_iter()));
        read(body, None, wanted, limits, in_flight, checking).await.map(|signed| signed.bytes)
    }

    struct Frames(std::vec::IntoIter<Bytes>);

    impl hyper::body::Body for Frames {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Poll::Ready(self.0.next().map(|data| Ok(Frame::data(data))))
        }
    }

    #[tokio::test]
    async fn a_body_comes_whole_whether_it_fits_into_memory_or_not() {
        let (_folder, in_flight) = folder();
        let body: Vec<u8> = (0..900 * KB).map(|at| (at % 251) as u8).collect();
        for (length, memory) in [
            (0, 1 << 20),
            (10, 1 << 20),
            (64 * KB, 1 << 20),
            (64 * KB, 0),
            (65 * KB, 1 << 20),
            (900 * KB, 1 << 20),
            (900 * KB, 40_000),
        ] {
            let limits = Bodies { memory, ..limits(1 << 20) };
            let read = read_by(&body[..length], "key", Use::All, &limits, &in_flight).await;
            assert!(read.unwrap() == body[..length], "{length} bytes, {memory} in memory");
            assert!(in_flight.is_empty(), "all is given back");
        }
    }

    #[tokio::test]
    async fn a_body_of_another_secret_is_refused_and_given_back() {
        let (folder, in_flight) = folder();
        for length in [10, 900 * KB] {
            let body = vec![1; length];
            let read = read_by(&body, "other", Use::All, &limits(1 << 20), &in_flight).await;
            assert_eq!(read.unwrap_err(), Outcome::Unsigned(Unsigned::Wrong));
            assert!(in_flight.is_empty());
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "no file has a name");
    }

    #[tokio::test]
    async fn a_body_is_counted_as_it_comes_and_what_is_of_no_use_is_not_kept() {
        let (_folder, in_flight) = folder();
        let body = vec![1; 900 * KB];
        for wanted in [Use::All, Use::Start, Use::Nothing] {
            let read = read_by(&body, "key", wanted, &limits(4), &in_flight).await;
            assert_eq!(read.unwrap_err(), Outcome::TooLarge(4));
            let none = Bodies { files: 0, ..limits(1 << 20) };
            let read = read_by(&body, "key", wanted, &none, &in_flight).await;
            let kept = read.map(|read| read.len());
            match wanted {
                Use::All => assert!(matches!(kept, Err(Outcome::Unavailable(_)))),
                Use::Start => assert_eq!(kept, Ok(IN_MEMORY)),
                Use::Nothing => assert_eq!(kept, Ok(0)),
            }
            assert!(in_flight.is_empty());
        }
    }
}
