//! The seam under the clients: a request, and the response or the failure that it comes to.
//!
//! It knows nothing of sockets; `http` does. A simulation gives an [`Exchange`] of its own, which
//! answers from its models in the same process.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use url::Url;

/// One request, whole.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Option<Vec<u8>>,
    /// Of the whole exchange, connecting and reading the body included.
    pub timeout: Duration,
}

/// Status and headers are there; the body comes as it is read.
pub struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Box<dyn Body>,
}

/// Why there is no response, or not all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Whether the other side may have got the request and acted.
    pub sent: bool,
    /// For people, without the URL, which may hold a password.
    pub reason: String,
}

/// Why a body was not read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    Failed(Failure),
    /// It has more bytes than this.
    Longer(usize),
}

/// What an [`Exchange`] does: it is under way until it is awaited to its end or dropped.
pub type Answering<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// Carries requests to one server.
pub trait Exchange: Send + Sync {
    /// Sends the request once: it neither retries nor follows redirects.
    fn send(&self, request: Request) -> Answering<'_, Response>;
}

/// A body that is read piece by piece.
pub trait Body: Send + Sync {
    /// The next piece; `None` at the end.
    fn chunk(&mut self) -> Answering<'_, Option<Bytes>>;
}

/// A body that is there already, for an [`Exchange`] without a network.
pub struct Whole(Option<Bytes>);

impl Whole {
    pub fn of(body: impl Into<Bytes>) -> Box<dyn Body> {
        Box::new(Self(Some(body.into())))
    }
}

impl Body for Whole {
    fn chunk(&mut self) -> Answering<'_, Option<Bytes>> {
        let all = self.0.take();
        Box::pin(async move { Ok(all) })
    }
}

/// Is told of a request, and of its status where there was an answer.
pub type Observer = Box<dyn Fn(&Method, &Url, Option<StatusCode>) + Send + Sync>;

static OBSERVER: OnceLock<Observer> = OnceLock::new();

/// From now on all requests of this process are told to `observer`. A process counts for itself, whatever
/// clients it makes; the first observer stays.
pub fn observe(observer: Observer) {
    let _ = OBSERVER.set(observer);
}

/// The way to one server. Clones share it.
#[derive(Clone)]
pub struct Transport(Arc<dyn Exchange>);

impl Transport {
    pub fn new(exchange: impl Exchange + 'static) -> Transport {
        Transport(Arc::new(exchange))
    }

    /// As [`Exchange::send`].
    pub async fn send(&self, request: Request) -> Result<Response, Failure> {
        let Some(observer) = OBSERVER.get() else { return self.0.send(request).await };
        let (method, url) = (request.method.clone(), request.url.clone());
        let answer = self.0.send(request).await;
        observer(&method, &url, answer.as_ref().ok().map(|response| response.status));
        answer
    }
}

impl Response {
    /// The next piece of the body; `None` at its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        self.body.chunk().await
    }

    /// The rest of the body, if it has at most `limit` bytes.
    pub async fn rest(&mut self, limit: usize) -> Result<Vec<u8>, Unread> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await.map_err(Unread::Failed)? {
            if body.len() + chunk.len() > limit {
                return Err(Unread::Longer(limit));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces, and then a failure or an end.
    struct Pieces(Vec<&'static str>, bool);

    impl Body for Pieces {
        fn chunk(&mut self) -> Answering<'_, Option<Bytes>> {
            let next = (!self.0.is_empty()).then(|| Bytes::from(self.0.remove(0)));
            let broken = next.is_none() && self.1;
            Box::pin(async move {
                match broken {
                    true => Err(Failure { sent: true, reason: "cut".to_owned() }),
                    false => Ok(next),
                }
            })
        }
    }

    async fn read(pieces: &[&'static str], broken: bool) -> Result<Vec<u8>, Unread> {
        let body = Box::new(Pieces(pieces.to_vec(), broken));
        let mut response = Response { status: StatusCode::OK, headers: HeaderMap::new(), body };
        response.rest(6).await
    }

    #[tokio::test]
    async fn a_body_is_read_to_its_limit_and_a_cut_is_no_end() {
        assert_eq!(read(&["abc", "def"], false).await.unwrap(), b"abcdef");
        assert_eq!(read(&["abc", "defg"], false).await, Err(Unread::Longer(6)));
        assert!(matches!(read(&["abc"], true).await, Err(Unread::Failed(_))));
    }
}
