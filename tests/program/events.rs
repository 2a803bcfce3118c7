//! `GET /events`: what happens, live, without a gap that is not told.

use std::time::Duration;

use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::webhook::{Request, door, queued};

const PATIENCE: Duration = Duration::from_secs(20);

/// A browser's view of the stream.
struct Stream {
    answer: Response,
    read: String,
}

#[derive(Debug)]
struct Event {
    kind: String,
    id: String,
    data: Value,
}

impl Stream {
    async fn open(request: RequestBuilder) -> Self {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self { answer, read: String::new() }
    }

    /// `None`: the daemon has ended the stream.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.read.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.read = rest;
                let field = |name: &str| {
                    let line = event.lines().find_map(|line| line.strip_prefix(name));
                    line.map(|value| value.trim().to_owned())
                };
                let Some(kind) = field("event:") else { continue };
                let data = serde_json::from_str(&field("data:").unwrap()).unwrap();
                return Some(Event { kind, id: field("id:").unwrap(), data });
            }
            let chunk = tokio::time::timeout(PATIENCE, self.answer.chunk());
            let chunk = chunk.await.expect("an event in time").unwrap()?;
            self.read.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    async fn until(&mut self, name: &str) -> Event {
        loop {
            let event = self.next().await.expect("the stream goes on");
            if event.data["name"] == name {
                return event;
            }
        }
    }
}

fn events(daemon: &Daemon) -> RequestBuilder {
    daemon.at_private_door("GET", "/events")
}

async fn deliver(daemon: &Daemon, job: u64) {
    let reply = Request::job(&format!("of-{job}"), &queued(job)).send(daemon.door).await;
    assert_eq!(reply.status, 202);
}

#[tokio::test]
async fn what_happens_comes_at_once_and_after_a_break_what_was_missed() {
    let mut daemon = door().await;
    let mut stream = Stream::open(events(&daemon)).await;
    deliver(&daemon, 7).await;
    let first = stream.until("job.queued").await;
    assert_eq!(first.kind, "job");
    assert_eq!(first.data["job"], 7);
    assert_eq!(first.data["repository"], "octo/app");
    assert!(first.data["message"].as_str().is_some_and(|words| words.contains("queued")));
    assert!(first.data.get("runner").is_none(), "what is not known is left out");
    drop(stream);

    deliver(&daemon, 8).await;
    let back = events(&daemon).header("last-event-id", &first.id);
    let missed = Stream::open(back).await.until("job.queued").await;
    assert_eq!(missed.data["job"], 8);

    for strange in ["", "nonsense", "1-1"] {
        let strange = events(&daemon).header("last-event-id", strange);
        assert_eq!(Stream::open(strange).await.next().await.unwrap().kind, "reset");
    }
    daemon.terminate().await;
    daemon.start().await;
    let mut stream = Stream::open(events(&daemon).header("last-event-id", &missed.id)).await;
    assert_eq!(
        stream.next().await.unwrap().kind,
        "reset",
        "what was told before a restart is gone"
    );
    deliver(&daemon, 9).await;
    assert_eq!(stream.until("job.queued").await.data["job"], 9);
}

#[tokio::test]
async fn other_things_are_told_as_what_they_are() {
    let daemon = door().await;
    let mut stream = Stream::open(events(&daemon)).await;
    let pause = daemon.at_private_door("POST", "/api/v1/pools/x64/pause").json(&json!({}));
    assert!(pause.send().await.unwrap().status().is_success());
    let paused = stream.until("pool.paused").await;
    assert_eq!((paused.kind.as_str(), &paused.data["pool"]), ("pool", &json!("x64")));
}

#[tokio::test]
async fn an_open_stream_does_not_hold_up_the_end() {
    let mut daemon = door().await;
    let mut stream = Stream::open(events(&daemon)).await;
    assert_eq!(daemon.terminate().await, Some(0));
    while stream.next().await.is_some() {}
    assert!(!daemon.log().contains("connections still open"), "{}", daemon.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_when_its_token_is_no_longer_the_one() {
    let daemon = door().await;
    let mut stream = Stream::open(events(&daemon)).await;
    // Another change ends nothing.
    daemon.configure(|config| config.replace("[log]", "[log]\nlevel = \"debug\""));
    daemon.reload().await;
    deliver(&daemon, 7).await;
    stream.until("job.queued").await;
    daemon.configure(|config| config.replace("[admin]", "[admin]\ntoken = \"another\""));
    daemon.reload().await;
    let end = async { while stream.next().await.is_some() {} };
    tokio::time::timeout(PATIENCE, end).await.expect("the stream ends");
}

#[tokio::test]
async fn whoever_shows_no_token_gets_none() {
    let daemon = door().await;
    let url = format!("http://127.0.0.1:{}/events", daemon.admin);
    assert_eq!(reqwest::get(url).await.unwrap().status(), 401);
}
