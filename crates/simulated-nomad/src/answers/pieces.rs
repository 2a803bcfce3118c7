//! A response's body that comes piece by piece, as long as somebody sends some.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::Frame;
use tokio::sync::mpsc;

/// How many pieces may wait for a reader.
const WAITING: usize = 16;

/// The body, and where its pieces are sent.
pub(super) fn body() -> (mpsc::Sender<Bytes>, Body) {
    let (sender, pieces) = mpsc::channel(WAITING);
    (sender, Body::new(Pieces(pieces)))
}

struct Pieces(mpsc::Receiver<Bytes>);

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}
