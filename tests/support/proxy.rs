//! A proxy before Nomad or GitHub that can hold a request before it is passed on, or its
//! answer before it is handed back, or cut the answer off: so that a daemon can be killed at
//! exactly that moment. It counts what passes, and can be away altogether.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// What befalls a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It waits here until it is released, and is passed on then, whether or not anybody still
    /// waits for its answer.
    HoldRequest,
    /// The other side has acted; its answer waits here.
    HoldAnswer,
    /// The other side has acted; the connection is cut.
    CutAnswer,
    /// The connection is cut and nothing was passed on.
    CutRequest,
    /// This status instead of passing it on.
    Refuse(u16),
    /// This status after the other side acted.
    Spoil(u16),
}

/// Which requests: `method`, and a path (with its query) that contains the text.
struct Rule {
    method: &'static str,
    path: String,
    /// How many are left alone first.
    skip: usize,
    times: usize,
    fate: Fate,
    arrived: watch::Sender<usize>,
    released: watch::Sender<bool>,
}

/// For the test that ordered a rule.
pub struct Held {
    arrived: watch::Receiver<usize>,
    released: watch::Sender<bool>,
}

impl Held {
    /// Until a request has met its fate or is held.
    pub async fn arrived(&mut self) {
        let wait = self.arrived.wait_for(|count| *count > 0);
        let waited = tokio::time::timeout(Duration::from_secs(30), wait).await;
        assert!(waited.is_ok(), "no such request came within 30 s");
    }

    pub fn release(&self) {
        self.released.send_replace(true);
    }
}

/// One request that came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub at: Instant,
    pub method: String,
    pub path: String,
}

pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: String,
    http: reqwest::Client,
    rules: Mutex<Vec<Rule>>,
    seen: Mutex<Vec<Seen>>,
    away: watch::Sender<bool>,
    /// Nomad's event stream is passed on as it comes; else it is held back to its end.
    streams: AtomicBool,
    stop: CancellationToken,
}

#[derive(Debug, thiserror::Error)]
#[error("the connection is cut, as ordered")]
struct Cut;

impl Proxy {
    /// In front of `http://HOST:PORT`.
    pub async fn before(upstream: &str) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            upstream: upstream.trim_end_matches('/').to_owned(),
            http: reqwest::Client::builder().no_proxy().http1_only().build().unwrap(),
            rules: Mutex::default(),
            seen: Mutex::default(),
            away: watch::Sender::new(false),
            streams: AtomicBool::new(false),
            stop: CancellationToken::new(),
        });
        tokio::spawn(shared.clone().listen(listener, address));
        Self { address, shared }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next such request meets this fate.
    pub fn next(&self, method: &'static str, path: &str, fate: Fate) -> Held {
        self.rule(method, path, 0, 1, fate)
    }

    /// Such requests, but for the first `skip`, meet it, `times` of them.
    pub fn rule(
        &self,
        method: &'static str,
        path: &str,
        skip: usize,
        times: usize,
        fate: Fate,
    ) -> Held {
        let (arrived, seen) = watch::channel(0);
        let released = watch::Sender::new(false);
        let held = Held { arrived: seen, released: released.clone() };
        let path = path.to_owned();
        lock(&self.shared.rules).push(Rule { method, path, skip, times, fate, arrived, released });
        held
    }

    pub fn clear_rules(&self) {
        lock(&self.shared.rules).clear();
    }

    /// While away, connections are refused, and those that are open are cut.
    pub fn set_away(&self, away: bool) {
        self.shared.away.send_replace(away);
    }

    /// From now on Nomad's event stream passes.
    pub fn let_streams_pass(&self) {
        self.shared.streams.store(true, Ordering::Relaxed);
    }

    pub fn seen(&self, method: &str, path: &str) -> Vec<Seen> {
        let seen = lock(&self.shared.seen);
        seen.iter().filter(|one| one.method == method && one.path.contains(path)).cloned().collect()
    }

    pub fn count(&self, method: &str, path: &str) -> usize {
        self.seen(method, path).len()
    }

    pub fn total(&self) -> usize {
        lock(&self.shared.seen).len()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

impl Shared {
    async fn listen(self: Arc<Self>, listener: TcpListener, address: SocketAddr) {
        let mut listener = Some(listener);
        let mut away = self.away.subscribe();
        let mut open = self.stop.child_token();
        loop {
            let is_away = *away.borrow_and_update();
            if is_away {
                listener = None;
                open.cancel();
            } else if listener.is_none() {
                open = self.stop.child_token();
                listener = Some(TcpListener::bind(address).await.unwrap());
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                _ = away.changed() => {}
                accepted = accept(listener.as_ref()) => {
                    if let Ok((stream, _)) = accepted {
                        let open = open.clone();
                        let shared = self.clone();
                        tokio::spawn(async move {
                            open.run_until_cancelled(shared.serve(stream)).await;
                        });
                    }
                }
            }
        }
    }

    async fn serve(self: Arc<Self>, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let service = hyper::service::service_fn(|request| self.clone().handle(request));
        // Ends with an error when the peer goes, or when a cut was ordered.
        let _ = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }

    async fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Either<Full<Bytes>, Stream>>, Cut> {
        let streams = self.streams.load(Ordering::Relaxed);
        if streams && request.uri().path().starts_with("/v1/event/stream") {
            return self.stream(request).await;
        }
        Ok(self.handle_whole(request).await?.map(Either::Left))
    }

    /// Passes on what comes, as it comes.
    async fn stream(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Either<Full<Bytes>, Stream>>, Cut> {
        let method = request.method().as_str().to_owned();
        let path = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
        lock(&self.seen).push(Seen {
            at: Instant::now(),
            method: method.clone(),
            path: path.clone(),
        });
        if let Some((Fate::Refuse(status), ..)) = self.fate(&method, &path) {
            return Ok(plain(status).map(Either::Left));
        }
        let sent = self.http.get(format!("{}{path}", self.upstream)).send();
        let mut answer = sent.await.map_err(|_| Cut)?;
        let (sender, receiver) = mpsc::channel(16);
        tokio::spawn(async move {
            while let Ok(Some(chunk)) = answer.chunk().await {
                if sender.send(chunk).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Either::Right(Stream(receiver))))
    }

    async fn handle_whole(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Cut> {
        let (head, body) = request.into_parts();
        let method = head.method.as_str().to_owned();
        let path = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
        lock(&self.seen).push(Seen {
            at: Instant::now(),
            method: method.clone(),
            path: path.clone(),
        });
        let mut headers = head.headers;
        for hop in [CONNECTION, TRANSFER_ENCODING, CONTENT_LENGTH] {
            headers.remove(hop);
        }
        let url = format!("{}{path}", self.upstream);
        let passing = self.http.request(head.method, url).headers(headers).body(body);
        let Some((fate, arrived, mut released)) = self.fate(&method, &path) else {
            return pass(passing).await;
        };
        let come = || arrived.send_modify(|count| *count += 1);
        match fate {
            Fate::CutRequest => {
                come();
                Err(Cut)
            }
            Fate::Refuse(status) => {
                come();
                Ok(plain(status))
            }
            // In tasks of their own: a daemon that is killed meanwhile ends this connection, but
            // not what is already under way.
            Fate::HoldRequest => {
                come();
                let passed = tokio::spawn(async move {
                    let _ = released.wait_for(|released| *released).await;
                    pass(passing).await
                });
                passed.await.map_err(|_| Cut)?
            }
            Fate::HoldAnswer | Fate::CutAnswer | Fate::Spoil(_) => {
                let answer = tokio::spawn(pass(passing)).await.map_err(|_| Cut)?;
                come();
                match fate {
                    Fate::CutAnswer => return Err(Cut),
                    Fate::Spoil(status) => return Ok(plain(status)),
                    _ => {}
                }
                let _ = released.wait_for(|released| *released).await;
                answer
            }
        }
    }

    fn fate(
        &self,
        method: &str,
        path: &str,
    ) -> Option<(Fate, watch::Sender<usize>, watch::Receiver<bool>)> {
        let mut rules = lock(&self.rules);
        let rule = rules
            .iter_mut()
            .find(|rule| rule.times > 0 && rule.method == method && path.contains(&rule.path))?;
        if rule.skip > 0 {
            rule.skip -= 1;
            return None;
        }
        rule.times -= 1;
        Some((rule.fate, rule.arrived.clone(), rule.released.subscribe()))
    }
}

/// A body that is not at its end yet.
struct Stream(mpsc::Receiver<Bytes>);

impl Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
    }
}

async fn accept(listener: Option<&TcpListener>) -> std::io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

async fn pass(request: reqwest::RequestBuilder) -> Result<Response<Full<Bytes>>, Cut> {
    let answer = request.send().await.map_err(|_| Cut)?;
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        if ![CONNECTION, TRANSFER_ENCODING, CONTENT_LENGTH].contains(name) {
            response = response.header(name, value);
        }
    }
    let body = answer.bytes().await.map_err(|_| Cut)?;
    response.body(Full::from(body)).map_err(|_| Cut)
}

fn plain(status: u16) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from("something went wrong in the middle"));
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap();
    response
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
