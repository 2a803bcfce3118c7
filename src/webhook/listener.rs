//! Accepts connections for a door, and closes those that are slow or too many: a head has 10 s, also the
//! first on a new connection, an idle connection 60 s. Beyond `max_connections` the one that has been idle
//! for longest is closed, then the one whose request has been coming for longest; where all are being
//! served the answer is 503. What is served is looked up for every request, so a reload can exchange it.
//!
//! The time-outs are ours (`Timed`): hyper's one, `header_read_timeout`, also runs while a connection is
//! idle, and hyper has none for an answer that is not taken. Bodies are timed where they are read.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, header};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, Sleep};
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::open::Open;
use super::phase::{Doing, Phase};
use super::quota::{Quota, Tell};
pub use super::socket::{CameBy, Listener, Socket};
use super::socket::{Stream, came_by};
use super::tls::Tls;

/// How many connections a door has, and how long each thing may take on one.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub connections: usize,
    /// From a head's first byte to its last.
    pub head: Duration,
    /// Without any byte of a head.
    pub idle: Duration,
    /// While the other side takes nothing of an answer.
    pub write: Duration,
    /// After the last answer, how long what the other side still sends is read and thrown
    /// away, so that a reset does not overtake the answer.
    pub linger: Duration,
    /// After `stop`, how long an idle connection may still bring a request: one may be on its
    /// way, and GitHub sends it once only.
    pub last_requests: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            head: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            write: Duration::from_secs(10),
            linger: Duration::from_secs(2),
            last_requests: Duration::from_secs(3),
        }
    }
}

/// What a door serves, and within which limits. A new router answers the next request of every
/// connection, new limits hold for connections that come after.
#[derive(Clone)]
pub struct Served {
    pub router: Router,
    pub limits: Limits,
    /// `None`: plain HTTP.
    pub tls: Option<Tls>,
}

/// Bytes that a head may have, and that a connection reads ahead. GitHub's heads have less than 1 kB.
const HEAD_BYTES: usize = 16 * 1024;
/// Connections that are being told 503; beyond these they are simply closed.
const REFUSING: usize = 64;
/// After a failed accept: out of file descriptors, most likely, so those that are open get
/// time to end.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// Serves until `stop`; then accepts nobody new, and answers what comes on open connections with
/// `Connection: close`. Returns when the last connection has ended.
pub async fn serve(
    listener: impl Into<Listener>,
    served: watch::Receiver<Served>,
    stop: CancellationToken,
) {
    let listener = listener.into();
    let open = Open::default();
    let failures = Quota::default();
    let refusals = Arc::new(Semaphore::new(REFUSING));
    let tasks = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok(stream) => {
                let (limits, tls) = (served.borrow().limits, served.borrow().tls.clone());
                if open.count() < limits.connections || open.end_one() {
                    let slot = open.enter();
                    let (served, stop) = (served.clone(), stop.clone());
                    tasks.spawn(async move {
                        let given_away = slot.given_away.clone();
                        let served = begun(stream, tls, served, limits, stop, slot.phase.clone());
                        // Cut where it is: no request has come whole on it.
                        given_away.run_until_cancelled(served).await;
                        drop(slot);
                    });
                } else if tls.is_none()
                    && let Ok(permit) = refusals.clone().try_acquire_owned()
                {
                    tasks.spawn(async move {
                        refuse(stream, limits.linger).await;
                        drop(permit);
                    });
                }
            }
            Err(error) => {
                // Out of descriptors it fails twenty times a second.
                if let Tell::Yes { kept_back } = failures.take(std::time::Instant::now()) {
                    warn!(%error, kept_back, "cannot accept a connection");
                }
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
    drop(listener);
    tasks.close();
    tasks.wait().await;
}

async fn begun(
    stream: Stream,
    tls: Option<Tls>,
    served: watch::Receiver<Served>,
    limits: Limits,
    stop: CancellationToken,
    phase: Arc<Phase>,
) {
    // Answers are small and wait for nobody.
    if let Either::Left(stream) = &stream {
        let _ = stream.set_nodelay(true);
    }
    let came_by = came_by(&stream);
    let Some(tls) = tls else {
        return connection(stream, came_by, served, limits, stop, phase).await;
    };
    match tokio::time::timeout(limits.head, tls.acceptor().accept(stream)).await {
        Ok(Ok(stream)) => connection(stream, came_by, served, limits, stop, phase).await,
        Ok(Err(error)) => debug!(%error, "no TLS with a client"),
        Err(_) => debug!("a TLS handshake took too long"),
    }
}

async fn connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    came_by: Option<CameBy>,
    served: watch::Receiver<Served>,
    limits: Limits,
    stop: CancellationToken,
    phase: Arc<Phase>,
) {
    let io = TokioIo::new(Timed::new(stream, limits, phase.clone()));
    let stopping = stop.clone();
    let service =
        hyper::service::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            phase.is(Doing::Serving);
            request.extensions_mut().insert(phase.clone());
            if let Some(came_by) = came_by {
                request.extensions_mut().insert(came_by);
            }
            let (phase, stopping) = (phase.clone(), stopping.clone());
            let router = served.borrow().router.clone();
            async move {
                let response = hyper_util::service::TowerToHyperService::new(router);
                let mut response = hyper::service::Service::call(&response, request).await;
                if let Ok(response) = &mut response
                    && stopping.is_cancelled()
                {
                    let close = HeaderValue::from_static("close");
                    response.headers_mut().insert(header::CONNECTION, close);
                }
                phase.is(Doing::Idling);
                response
            }
        });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // `Timed` tells a head that is late from an idle connection.
        .header_read_timeout(None)
        .max_buf_size(HEAD_BYTES)
        // Who has said all it has to say may still listen.
        .half_close(true);
    let mut connection = std::pin::pin!(builder.serve_connection(io, service));
    let last_call = async {
        stop.cancelled().await;
        tokio::time::sleep(limits.last_requests).await;
    };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = last_call => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "connection ended");
    }
}

async fn refuse(mut stream: Stream, linger: Duration) {
    const BODY: &str = "{\"outcome\":\"unavailable\",\"reason\":\"too many connections are open\"}";
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\
         retry-after: 10\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    let told = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        let mut scratch = [0u8; 4096];
        while stream.read(&mut scratch).await? > 0 {}
        io::Result::Ok(())
    };
    let _ = tokio::time::timeout(linger, told).await;
}

/// A stream whose reads end in time, and whose end waits a moment for the other side.
struct Timed<S> {
    stream: S,
    phase: Arc<Phase>,
    /// The phase that the deadline was set for.
    timed: Doing,
    deadline: Pin<Box<Sleep>>,
    /// There while the other side takes nothing of what is written.
    stalled: Option<Pin<Box<Sleep>>>,
    lingering: bool,
    limits: Limits,
}

impl<S> Timed<S> {
    fn new(stream: S, limits: Limits, phase: Arc<Phase>) -> Self {
        Self {
            stream,
            phase,
            timed: Doing::Idling,
            // A new connection is opened to say something.
            deadline: Box::pin(tokio::time::sleep(limits.head.min(limits.idle))),
            stalled: None,
            lingering: false,
            limits,
        }
    }

    fn keep_time(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let phase = self.phase.now();
        if phase != self.timed {
            self.timed = phase;
            let time =
                if phase == Doing::ReadingHead { self.limits.head } else { self.limits.idle };
            self.deadline.as_mut().reset(Instant::now() + time);
        }
        if phase <= Doing::ReadingHead && self.deadline.as_mut().poll(context).is_ready() {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the request's head did not arrive in time",
            ));
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.stalled.is_some() {
            // Who takes no answers brings no more requests; writing wakes this task.
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        match Pin::new(&mut this.stream).poll_read(context, buffer) {
            Poll::Pending => {
                this.keep_time(context)?;
                Poll::Pending
            }
            ready => {
                if buffer.filled().len() > before && this.phase.now() == Doing::Idling {
                    this.phase.is(Doing::ReadingHead);
                }
                // A head that trickles in is late although each read succeeds.
                this.keep_time(context)?;
                ready
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stream).poll_write(context, data) {
            Poll::Pending => {
                let write = this.limits.write;
                let stalled =
                    this.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(write)));
                std::task::ready!(stalled.as_mut().poll(context));
                Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the answer was not read in time",
                )))
            }
            ready => {
                this.stalled = None;
                ready
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.lingering {
            std::task::ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
            this.lingering = true;
            this.deadline.as_mut().reset(Instant::now() + this.limits.linger);
        }
        loop {
            if this.deadline.as_mut().poll(context).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let mut scratch = [0u8; 16 * 1024];
            let mut scratch = ReadBuf::new(&mut scratch);
            match std::task::ready!(Pin::new(&mut this.stream).poll_read(context, &mut scratch)) {
                Ok(()) if !scratch.filled().is_empty() => {}
                _ => return Poll::Ready(Ok(())),
            }
        }
    }
}
