//! Prism with GitHub's description, as a proxy before the simulated GitHub: a request that the
//! description does not allow is not passed on (422), an answer that it does not allow is not handed
//! back (500). A recorder stands before it, for Prism lets through with a warning what the description
//! is silent about, and behind it, for names and redirects; whoever asks, asks the recorder.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, ETAG, HOST, HeaderMap, LOCATION, TRANSFER_ENCODING};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::contract::description::{Api, Description};
use crate::support::free_port;

/// Statuses that the description mentions for hardly any operation, and that GitHub gives on all.
/// The bodies of errors are checked here, since Prism does not: schema `basic-error`.
const UNDESCRIBED: [(u16, &str); 8] = [
    (301, "a renamed repository: Best practices for using the REST API"),
    (304, "a conditional request: Best practices for using the REST API"),
    (307, "a renamed repository, asked by POST: the same page"),
    (401, "no or a bad credential: Authenticating to the REST API"),
    (403, "a permission is missing, or the primary rate limit: Troubleshooting the REST API"),
    (404, "not there, or not to be seen: Troubleshooting the REST API"),
    (429, "a rate limit: Rate limits for the REST API"),
    (502, "GitHub's own trouble: actions/runner#4399"),
];

/// Carries `Location` past Prism, which would follow it.
const HIDDEN_LOCATION: &str = "x-location";

/// A request and its answer.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub method: String,
    pub path: String,
    pub status: u16,
    pub etag: String,
    content_type: String,
    /// What Prism found: `severity`, `location`, `message`.
    violations: Vec<Value>,
    body: Vec<u8>,
}

pub struct Judge {
    prism: Child,
    recorder: Arc<Recorder>,
}

struct Recorder {
    /// `HOST:PORT` of what stands before Prism.
    address: String,
    prism: String,
    github: String,
    api: Api,
    http: reqwest::Client,
    /// What a renamed repository's redirect leads to is not in the description: such a path is
    /// asked for by its name instead, "the same resource".
    by_id: Mutex<Vec<(String, String)>>,
    seen: Mutex<Vec<Exchange>>,
}

impl Judge {
    /// In front of the simulated GitHub at `github` (`http://HOST:PORT`), by that description.
    pub async fn before(github: &str, api: Api) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (front, back) = (listen().await, listen().await);
        let port = free_port();
        let url = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
        let prism = start_prism(port, &url(&back), api).await;
        let recorder = Arc::new(Recorder {
            address: front.local_addr().unwrap().to_string(),
            prism: format!("http://127.0.0.1:{port}"),
            github: github.trim_end_matches('/').to_owned(),
            api,
            http: reqwest::Client::builder()
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .unwrap(),
            by_id: Mutex::default(),
            seen: Mutex::default(),
        });
        let before = Router::new().fallback(before_prism).with_state(recorder.clone());
        tokio::spawn(async move { axum::serve(front, before).await });
        let behind = Router::new().fallback(behind_prism).with_state(recorder.clone());
        tokio::spawn(async move { axum::serve(back, behind).await });
        Self { prism, recorder }
    }

    /// The API's address.
    pub fn url(&self) -> String {
        format!("http://{}{}", self.recorder.address, self.recorder.api.prefix())
    }

    /// From now on `/repositories/ID` is judged as `/repos/NAME`.
    pub fn name_repository(&self, id: u64, name: &str) {
        let known = (format!("/repositories/{id}"), format!("/repos/{name}"));
        self.recorder.by_id.lock().unwrap().push(known);
    }

    pub fn seen(&self) -> Vec<Exchange> {
        self.recorder.seen.lock().unwrap().clone()
    }

    /// Everything in which one of the two sides did not keep to the description.
    pub fn breaches(&self) -> BTreeSet<String> {
        self.seen().iter().flat_map(Exchange::breaches).collect()
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.prism.kill();
        let _ = self.prism.wait();
        if std::thread::panicking() {
            eprintln!("--- breaches of the description ---\n{:#?}", self.breaches());
        }
    }
}

async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// Reading the whole description takes it about ten seconds.
async fn start_prism(port: u16, github: &str, api: Api) -> Child {
    let mut prism = Command::new("node")
        .arg(crate::contract::modules().join("@stoplight/prism-cli/dist/index.js"))
        .args(["proxy", "--errors", "--host", "127.0.0.1", "--port", &port.to_string()])
        .arg(Description::file(api))
        .arg(github)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("node starts; scripts/test says how to get it");
    let deadline = Instant::now() + Duration::from_secs(180);
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        assert_eq!(prism.try_wait().unwrap(), None, "Prism ended");
        if Instant::now() > deadline {
            let _ = prism.kill();
            panic!("Prism does not listen after three minutes");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    prism
}

/// In front of Prism. Who asks may go before the answer comes; it is judged all the same.
async fn before_prism(State(recorder): State<Arc<Recorder>>, request: Request) -> Response {
    tokio::spawn(recorder.judge(request)).await.unwrap()
}

/// Behind Prism: the simulated GitHub must be asked by the name that the client knows it by, or its
/// next pages lead past Prism; and Prism must not follow its redirects.
async fn behind_prism(State(recorder): State<Arc<Recorder>>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    parts.headers.insert(HOST, recorder.address.parse().unwrap());
    let github = format!("{}{}", recorder.github, recorder.api.prefix());
    let (status, mut headers, body) = recorder.ask(&github, parts, body).await;
    if let Some(location) = headers.remove(LOCATION) {
        headers.insert(HIDDEN_LOCATION, location);
    }
    told(status, headers, body)
}

fn told(status: StatusCode, mut headers: HeaderMap, body: Bytes) -> Response {
    headers.remove(TRANSFER_ENCODING);
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

impl Recorder {
    /// Passes it on; keeps what was asked, and what is told.
    async fn judge(self: Arc<Self>, request: Request) -> Response {
        let (mut parts, body) = request.into_parts();
        let below = parts.uri.to_string();
        // What is asked beside the API is in no description.
        let below = below.strip_prefix(self.api.prefix()).unwrap_or("/beside/the/api");
        parts.uri = self.by_name(below);
        let (method, path) = (parts.method.to_string(), parts.uri.path().to_owned());
        let (status, mut headers, body) = self.ask(&self.prism, parts, body).await;
        let text = |name: &str| {
            headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
        };
        let violations = match text("sl-violations") {
            none if none.is_empty() => Vec::new(),
            list => serde_json::from_str(&list).unwrap(),
        };
        self.seen.lock().unwrap().push(Exchange {
            method,
            path,
            status: status.as_u16(),
            etag: text(ETAG.as_str()),
            content_type: text(CONTENT_TYPE.as_str()),
            violations,
            body: body.to_vec(),
        });
        if let Some(location) = headers.remove(HIDDEN_LOCATION) {
            headers.insert(LOCATION, location);
        }
        told(status, headers, body)
    }

    async fn ask(&self, whom: &str, parts: Parts, body: Body) -> (StatusCode, HeaderMap, Bytes) {
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let asked = self.http.request(parts.method, format!("{whom}{}", parts.uri));
        let answer = asked.headers(parts.headers).body(body).send().await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        (status, headers, answer.bytes().await.unwrap())
    }

    fn by_name(&self, path: &str) -> Uri {
        let by_id = self.by_id.lock().unwrap();
        let named = by_id.iter().find_map(|(by_id, by_name)| {
            Some(format!("{by_name}{}", path.strip_prefix(by_id.as_str())?))
        });
        named.as_deref().unwrap_or(path).parse().unwrap()
    }
}

impl Exchange {
    pub fn breaches(&self) -> Vec<String> {
        let name = format!("{} {} {}", self.method, self.path, self.status);
        let mut found: Vec<String> = self
            .violations
            .iter()
            .filter(|violation| !self.is_known_to_be_undescribed(violation))
            .map(|violation| format!("{name}: {} {}", violation["location"], violation["message"]))
            .collect();
        let body = String::from_utf8_lossy(&self.body);
        // Prism's own answer, for a violation or for a path that is in no description.
        if self.content_type.starts_with("application/problem+json") {
            found.push(format!("{name}: {body}"));
        }
        if self.is_undescribed() && !self.is_empty_or_an_error() {
            found.push(format!("{name}: neither empty nor an error as GitHub's are: {body}"));
        }
        found
    }

    /// Prism warned that the description does not have this status.
    pub fn is_undescribed(&self) -> bool {
        self.violations.iter().any(is_about_the_status)
    }

    fn is_known_to_be_undescribed(&self, violation: &Value) -> bool {
        is_about_the_status(violation) && UNDESCRIBED.iter().any(|known| known.0 == self.status)
    }

    fn is_empty_or_an_error(&self) -> bool {
        if self.status == 304 {
            return self.body.is_empty();
        }
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let status = self.status.to_string();
        body["message"].is_string()
            && body["documentation_url"].is_string()
            && (body["status"] == status || self.status < 400)
            && self.content_type.starts_with("application/json")
    }
}

fn is_about_the_status(violation: &Value) -> bool {
    violation["severity"] == "Warning"
        && violation["message"].as_str().is_some_and(|message| {
            message.starts_with("Unable to match the returned status code with those defined")
        })
}

/// Undescribed statuses that nothing answered any more should not stay allowed.
pub fn undescribed_but_never_met(seen: &[Exchange]) -> Vec<u16> {
    let met = |status| seen.iter().any(|one| one.status == status && one.is_undescribed());
    UNDESCRIBED.iter().map(|known| known.0).filter(|status| !met(*status)).collect()
}
