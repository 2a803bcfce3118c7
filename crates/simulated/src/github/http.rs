//! The shell around the model: sockets, the clock, the lock. It decides nothing.
//!
//! [`Server::with`] is the one way in: it locks, acts, and afterwards sends what is due and wakes
//! who waits. Read next: `courier.rs` (webhooks), `listening.rs` (runners), `rest/mod.rs`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, IF_NONE_MATCH};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::happenings::Happening;
use super::hooks::Delivery;
use super::model::{GitHub, Millis};
use super::rest::{Answer, Call};
use super::{courier, listening};

/// How often time passes in the model without anybody asking.
const TICK: Duration = Duration::from_millis(100);

/// The simulated GitHub, listening. Clones are the same server.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

struct Shared {
    address: SocketAddr,
    state: Mutex<State>,
    changed: watch::Sender<u64>,
    happenings: broadcast::Sender<Happening>,
    outbox: mpsc::UnboundedSender<Delivery>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

struct State {
    github: GitHub,
    /// How many happenings have been told to subscribers.
    told: usize,
    /// The program that stands in for actions/runner.
    runner_binary: PathBuf,
}

/// What was waited for did not come about in time.
#[derive(Debug, thiserror::Error)]
#[error("not so after {after:?}; left over: {leftovers:?}")]
pub struct NotInTime {
    pub after: Duration,
    pub leftovers: Vec<String>,
}

/// The connection is to be cut without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is cut, as ordered")]
struct Cut;

impl Server {
    /// Serves on the listener, on the current tokio runtime, until [`Server::shutdown`].
    ///
    /// # Errors
    /// When the listener has no address or the client for webhooks cannot be built.
    pub fn start(listener: TcpListener, seed: u64) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let github = GitHub::new(format!("http://{address}"), StdRng::seed_from_u64(seed));
        let (outbox, deliveries) = mpsc::unbounded_channel();
        let runner_binary = std::env::current_exe()?;
        let server = Self {
            shared: Arc::new(Shared {
                address,
                state: Mutex::new(State { github, told: 0, runner_binary }),
                changed: watch::Sender::new(0),
                happenings: broadcast::Sender::new(4_096),
                outbox,
                stop: CancellationToken::new(),
                tasks: TaskTracker::new(),
            }),
        };
        let courier = courier::run(server.clone(), deliveries)?;
        server.spawn(courier);
        server.spawn(server.clone().accept(listener));
        server.spawn(server.clone().pass_time());
        Ok(server)
    }

    /// Looks at the model or changes it; what follows from that (webhooks, jobs given to idle
    /// runners) is set going before this returns.
    pub fn with<R>(&self, act: impl FnOnce(&mut GitHub, Millis) -> R) -> R {
        let now = jiff::Timestamp::now().as_millisecond();
        let mut state = self.lock();
        let result = act(&mut state.github, now);
        state.github.assign(now);
        for delivery in state.github.take_deliveries(now) {
            // Fails only when the courier has ended, and then so has everything.
            let _ = self.shared.outbox.send(delivery);
        }
        let happened = state.github.events().len();
        let told = std::mem::replace(&mut state.told, happened);
        for happening in &state.github.events()[told..] {
            // Fails only when nobody listens.
            let _ = self.shared.happenings.send(happening.clone());
        }
        if happened > told {
            self.shared.changed.send_modify(|version| *version += 1);
        }
        result
    }

    /// Waits until the model is so.
    ///
    /// # Errors
    /// After `patience`, with what is left over.
    pub async fn until(
        &self,
        patience: Duration,
        mut so: impl FnMut(&GitHub) -> bool,
    ) -> Result<(), NotInTime> {
        let mut changed = self.changes();
        let waiting = async {
            while !self.with(|github, _| so(github)) {
                // Some conditions (`busy`, requests) change without a happening: look again then.
                let _ = tokio::time::timeout(TICK, changed.changed()).await;
            }
        };
        tokio::time::timeout(patience, waiting).await.map_err(|_| NotInTime {
            after: patience,
            leftovers: self.with(|github, _| github.leftovers()),
        })
    }

    /// All that happens from now on, as it happens.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Happening> {
        self.shared.happenings.subscribe()
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// `http://127.0.0.1:PORT`: the API's base, and what pages begin with.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.shared.address)
    }

    /// Where the stand-in for the actions/runner download is.
    #[must_use]
    pub fn runner_archive_url(&self) -> String {
        format!("{}/_simulated/actions-runner.tar.gz", self.url())
    }

    /// The program that the archive's `config.sh` and `run.sh` call; by default this one.
    pub fn set_runner_binary(&self, path: impl Into<PathBuf>) {
        self.lock().runner_binary = path.into();
    }

    /// Stops: cuts all connections and waits until every task has ended.
    pub async fn shutdown(&self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changed.subscribe()
    }

    pub(super) fn runner_binary(&self) -> PathBuf {
        self.lock().runner_binary.clone()
    }

    /// Runs until it ends or the server stops.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.shared.stop.clone();
        self.shared.tasks.spawn(async move {
            stop.run_until_cancelled(task).await;
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A test that panicked inside `with` has said so; the others may go on.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn accept(self, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => self.spawn(self.clone().serve(stream)),
                // Out of descriptors, most likely: let some be closed.
                Err(_) => tokio::time::sleep(TICK).await,
            }
        }
    }

    async fn pass_time(self) {
        let mut interval = tokio::time::interval(TICK);
        loop {
            interval.tick().await;
            self.with(GitHub::tick);
        }
    }

    async fn serve(self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let service = hyper::service::service_fn(|request| self.clone().handle(request));
        // Ends with an error when the peer goes, or when a cut was ordered.
        let _ = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }

    async fn handle(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Cut> {
        if request.uri().path().starts_with(listening::PREFIX) {
            return Ok(listening::handle(&self, request).await);
        }
        let mut call = self.call(&request);
        if let Ok(body) = http_body_util::BodyExt::collect(request.into_body()).await {
            call.body = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
        }
        let answer = self.with(|github, now| github.rest(&call, now));
        if let Ok(delay) = u64::try_from(answer.delay) {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        if answer.cut {
            return Err(Cut);
        }
        Ok(response(answer))
    }

    fn call(&self, request: &Request<Incoming>) -> Call {
        let header = |name| {
            request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let query = request.uri().query().unwrap_or_default();
        let host = header(HOST).unwrap_or_else(|| self.shared.address.to_string());
        Call {
            method: request.method().as_str().to_owned(),
            path: request.uri().path().to_owned(),
            query: Call::query_of(query),
            origin: format!("http://{host}"),
            token: header(AUTHORIZATION).map(|value| match value.split_once(' ') {
                Some((_, token)) => token.trim().to_owned(),
                None => value,
            }),
            if_none_match: header(IF_NONE_MATCH),
            api_version: header(HeaderName::from_static("x-github-api-version")),
            body: serde_json::Value::Null,
        }
    }
}

fn response(answer: Answer) -> Response<Full<Bytes>> {
    let mut builder = Response::builder()
        .status(answer.status)
        .header("x-github-media-type", "github.v3; format=json")
        .header("x-github-api-version-selected", "2022-11-28");
    for (name, value) in answer.headers {
        builder = builder.header(name, value);
    }
    let body = match answer.body {
        Some(body) => {
            builder = builder.header(CONTENT_TYPE, "application/json; charset=utf-8");
            Full::from(body.to_string())
        }
        None => Full::default(),
    };
    builder.body(body).unwrap_or_else(|_: hyper::http::Error| internal_error())
}

/// A fault ordered a status or header that HTTP does not know.
fn internal_error() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
    response
}
