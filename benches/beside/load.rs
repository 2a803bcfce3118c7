//! Signed webhooks over so many connections, each waiting for its answer before it sends the
//! next. They are made before the clock starts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::webhook::{Request, queued};

/// A webhook of GitHub's is about so long; the rest is links, of which ours need not be true.
const BODY: usize = 11_000;

static NEXT: AtomicU64 = AtomicU64::new(1);

/// A number that no other webhook of this run has.
pub fn next() -> u64 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// One job, just queued, as long as GitHub's own.
pub fn webhook(job: u64) -> Value {
    let mut payload = queued(job);
    let length = BODY - payload.to_string().len();
    payload["repository"]["links"] =
        json!("https://api.github.com/repos/octo/app/".repeat(length / 38));
    payload
}

pub fn request(payload: &Value) -> Vec<u8> {
    Request::job(&format!("bench-{}", next()), payload).bytes()
}

pub fn queued_jobs(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|_| request(&webhook(next()))).collect()
}

pub struct Outcome {
    pub took: Duration,
    pub latencies: Vec<Duration>,
}

/// Posts them all; every answer has to be 202.
pub async fn post(port: u16, requests: Vec<Vec<u8>>, connections: usize) -> Outcome {
    let requests = Arc::new(requests);
    let next = Arc::new(AtomicUsize::new(0));
    let mut streams = Vec::new();
    for _ in 0..connections {
        streams.push(Connection::open(port).await);
    }
    let started = Instant::now();
    let tasks: Vec<_> = streams
        .into_iter()
        .map(|mut connection| {
            let (requests, next) = (requests.clone(), next.clone());
            tokio::spawn(async move {
                let mut latencies = Vec::new();
                while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    latencies.push(connection.post(request).await);
                }
                latencies
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.unwrap());
    }
    Outcome { took: started.elapsed(), latencies }
}

pub struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Connection {
    pub async fn open(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, unread: Vec::with_capacity(4096) }
    }

    /// How long it took until the whole answer was there.
    pub async fn post(&mut self, request: &[u8]) -> Duration {
        let started = Instant::now();
        self.stream.write_all(request).await.unwrap();
        self.unread.clear();
        loop {
            let read = self.stream.read_buf(&mut self.unread).await.unwrap();
            assert!(read > 0, "the connection was closed");
            if let Some(length) = answer_length(&self.unread)
                && self.unread.len() >= length
            {
                let status = &self.unread[9..12];
                assert_eq!(status, b"202", "{}", String::from_utf8_lossy(&self.unread));
                return started.elapsed();
            }
        }
    }
}

/// Head and body together, once the head is whole.
fn answer_length(answer: &[u8]) -> Option<usize> {
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&answer[..head]).unwrap().to_ascii_lowercase();
    let body = text.lines().find_map(|line| line.strip_prefix("content-length: "));
    Some(head + body.map_or(0, |length| length.parse::<usize>().unwrap()))
}
