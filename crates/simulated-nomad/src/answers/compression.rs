//! How an answer's body goes out: compressed where that is asked for, in chunks where it is long.
//!
//! Go's server knows the length of what fits its buffer, and sends anything longer in chunks.

use std::io::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
use http_body_util::BodyExt as _;
use hyper::body::Frame;

/// Go's buffer before an answer.
const BUFFER: usize = 2_048;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
}

/// The last step of every answer but those that are streamed: they have no known length.
pub(super) async fn finish(asked: &HeaderMap, response: Response) -> Response {
    let (mut head, body) = response.into_parts();
    let Some(length) = body.size_hint().exact() else { return Response::from_parts(head, body) };
    head.headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    // What is in memory is always there.
    let mut whole = body.collect().await.map(|it| it.to_bytes()).unwrap_or_default();
    let coding = asked.get(header::ACCEPT_ENCODING).and_then(|it| it.to_str().ok());
    if let Some(coding) = coding.and_then(wanted).filter(|_| length > 0) {
        let name = if coding == Coding::Gzip { "gzip" } else { "deflate" };
        head.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
        head.headers.remove(header::CONTENT_LENGTH);
        whole = compressed(coding, &whole).into();
    }
    let long = whole.len() > BUFFER;
    let body = if long { Body::new(InChunks(Some(whole))) } else { Body::from(whole) };
    Response::from_parts(head, body)
}

/// A body that does not say its length.
struct InChunks(Option<Bytes>);

impl HttpBody for InChunks {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.0.take().map(|whole| Ok(Frame::data(whole))))
    }
}

/// The first of the two that is not refused; `gzip` before `deflate`.
fn wanted(accepted: &str) -> Option<Coding> {
    let takes = |name: &str| {
        accepted.split(',').any(|one| {
            let (coding, quality) = one.split_once(';').unwrap_or((one, ""));
            let quality = quality.trim().strip_prefix("q=").map(|it| it.trim().parse::<f64>());
            coding.trim().eq_ignore_ascii_case(name)
                && quality.is_none_or(|it| it.is_ok_and(|it| it > 0.0))
        })
    };
    if takes("gzip") {
        return Some(Coding::Gzip);
    }
    takes("deflate").then_some(Coding::Deflate)
}

fn compressed(coding: Coding, text: &[u8]) -> Vec<u8> {
    // Writing to memory does not fail.
    let done = match coding {
        Coding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(text).and_then(|()| encoder.finish())
        }
        Coding::Deflate => {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(text).and_then(|()| encoder.finish())
        }
    };
    done.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codings_are_chosen_by_quality() {
        assert_eq!(wanted("gzip, deflate, br"), Some(Coding::Gzip));
        assert_eq!(wanted("br, deflate"), Some(Coding::Deflate));
        assert_eq!(wanted("gzip;q=0"), None);
        assert_eq!(wanted("identity"), None);
        assert_eq!(wanted("gzip;q=0.5"), Some(Coding::Gzip));
    }
}
