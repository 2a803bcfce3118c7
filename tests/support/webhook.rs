//! Webhooks as GitHub sends them, and as anybody else might: requests are built byte for byte
//! and sent over a connection that the test holds in its hand.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use roustabout::webhook::signature::sign;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::daemon::{Daemon, SECRET};

/// GitHub and Nomad away, one pool for the repositories of `octo`.
pub const NOBODY_THERE: &str = "[github]\napi_url = \"http://127.0.0.1:1\"\n\
    [[github.credentials]]\nowners = [\"*\"]\ntoken = \"ghp_x\"\n\
    [nomad]\naddress = \"http://127.0.0.1:1\"\n\
    [[pools]]\nname = \"x64\"\nnomad_job = \"github-runner-x64\"\ndelivery = \"payload\"\n\
    labels = [\"self-hosted\", \"linux\", \"x64\"]\nrepositories = [\"octo/*\"]\n";

/// How long an answer may take before a test fails: more than any limit of the door.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running daemon with nobody around it; `webhook` is more keys of `[webhook]`.
pub async fn door_with(webhook: &str) -> Daemon {
    let mut daemon = Daemon::prepare_with("", webhook, NOBODY_THERE);
    daemon.start().await;
    daemon
}

pub async fn door() -> Daemon {
    door_with("").await
}

/// A job of a private repository that the pool serves, just queued.
pub fn queued(job: u64) -> Value {
    // A minute ago: one of long ago is asked about before a runner is launched for it.
    let created = jiff::Timestamp::now() - Duration::from_secs(60);
    json!({
        "action": "queued",
        "workflow_job": {"id": job, "run_id": 9, "run_attempt": 1, "name": "build",
            "labels": ["self-hosted", "linux"], "status": "queued", "runner_name": null,
            "conclusion": null, "created_at": created.to_string()},
        "repository": {"id": 1, "full_name": "octo/app", "private": true, "forks_count": 0,
            "html_url": "https://github.com/octo/app", "owner": {"type": "Organization"}},
        "sender": {"login": "octocat"}
    })
}

#[derive(Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    /// As GitHub sends it, signed with the daemon's secret.
    pub fn hook(event: &str, delivery: &str, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        Self { method: "POST".into(), path: "/webhook".into(), headers: Vec::new(), body }
            .with("host", "door")
            .with("content-type", "application/json")
            .with("x-github-event", event)
            .with("x-github-delivery", delivery)
            .signed(SECRET)
    }

    pub fn job(delivery: &str, payload: &Value) -> Self {
        Self::hook("workflow_job", delivery, payload.to_string())
    }

    /// The same as GitHub sends it where the hook says "application/x-www-form-urlencoded".
    pub fn into_form(mut self) -> Self {
        let json = String::from_utf8(self.body).unwrap();
        let form =
            form_urlencoded::Serializer::new(String::new()).append_pair("payload", &json).finish();
        self.body = form.into_bytes();
        self.with("content-type", "application/x-www-form-urlencoded").signed(SECRET)
    }

    pub fn signed(self, secret: &str) -> Self {
        let signature = sign(&SecretString::from(secret), &self.body);
        self.with("x-hub-signature-256", &signature)
    }

    /// With this header instead of one of the same name.
    pub fn with(self, name: &str, value: &str) -> Self {
        let mut request = self.without(name);
        request.headers.push((name.to_owned(), value.to_owned()));
        request
    }

    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    pub fn method(mut self, method: &str) -> Self {
        self.method = method.to_owned();
        self
    }

    pub fn path(mut self, path: &str) -> Self {
        self.path = path.to_owned();
        self
    }

    /// The head, with what is said in it and no length added.
    pub fn bare_head(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        (head + "\r\n").into_bytes()
    }

    /// The head that announces the body.
    pub fn head(&self) -> Vec<u8> {
        self.clone().with("content-length", &self.body.len().to_string()).bare_head()
    }

    pub fn bytes(&self) -> Vec<u8> {
        [self.head(), self.body.clone()].concat()
    }

    /// Sends it over a connection of its own.
    pub async fn send(&self, port: u16) -> Reply {
        let mut raw = Raw::open(port).await;
        raw.say(self.bytes()).await;
        raw.reply().await
    }
}

pub struct Reply {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn outcome(&self) -> (u16, String) {
        (self.status, self.json()["outcome"].as_str().unwrap().to_owned())
    }

    pub fn reason(&self) -> String {
        self.json()["reason"].as_str().unwrap_or_default().to_owned()
    }
}

/// A connection whose every byte the test decides.
pub struct Raw {
    pub stream: TcpStream,
    unread: Vec<u8>,
}

impl Raw {
    pub async fn open(port: u16) -> Self {
        Self::over(TcpStream::connect(("127.0.0.1", port)).await.unwrap())
    }

    pub fn over(stream: TcpStream) -> Self {
        Self { stream, unread: Vec::new() }
    }

    /// Sends as much as the other side takes: a refusal may come before the end.
    pub async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    pub async fn reply(&mut self) -> Reply {
        self.reply_or_end().await.expect("an answer, and not the end of the connection")
    }

    /// `None`: the connection was closed without a word.
    pub async fn reply_or_end(&mut self) -> Option<Reply> {
        let head_end = loop {
            if let Some(at) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if !self.read_some().await {
                assert!(self.unread.is_empty(), "half an answer");
                return None;
            }
        };
        let head: Vec<u8> = self.unread.drain(..head_end).collect();
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut reply = Reply { status, headers, body: Vec::new() };
        let length = reply.header("content-length").map_or(0, |text| text.parse().unwrap());
        while self.unread.len() < length {
            assert!(self.read_some().await, "the answer's body was cut off");
        }
        reply.body = self.unread.drain(..length).collect();
        Some(reply)
    }

    /// Waits for the end of the connection; fails if anything comes before.
    pub async fn end(&mut self) {
        assert!(!self.read_some().await, "something came: {:?}", self.unread);
    }

    async fn read_some(&mut self) -> bool {
        let read = self.stream.read_buf(&mut self.unread);
        let read = tokio::time::timeout(PATIENCE, read).await.expect("an answer or an end in time");
        // A reset is an end too.
        read.unwrap_or(0) > 0
    }
}

/// The door still does what it is there for.
pub async fn assert_accepts(port: u16) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let delivery = format!("good {}", NEXT.fetch_add(1, Ordering::Relaxed));
    let reply = Request::job(&delivery, &queued(4242)).send(port).await;
    assert_eq!(reply.outcome(), (202, "accepted".into()));
}
