//! Follows a daemon: its status whenever something has happened, across its restarts.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use crate::admin::{Client, ClientError, Events};

#[derive(Debug)]
pub enum News {
    Status(Value),
    /// It does not answer, and why.
    Away(String),
}

/// Not all that changes is an event: a circuit breaker's pause ends, a rate limit is filled again.
const EVERY: Duration = Duration::from_secs(10);
/// How soon a daemon that does not answer, or tells no events, is asked again.
const AGAIN: Duration = Duration::from_secs(1);
/// A storm of events is one question so often,
const GAP: Duration = Duration::from_millis(250);
/// and a slow daemon is asked less.
const SHARE: u32 = 5;

pub struct Follower {
    client: Arc<Client>,
    query: &'static [(&'static str, &'static str)],
    events: Option<Events>,
    /// When it may be asked again; `None` before the first time.
    free: Option<Instant>,
}

impl Follower {
    pub fn new(client: Arc<Client>, query: &'static [(&'static str, &'static str)]) -> Self {
        Self { client, query, events: None, free: None }
    }

    /// The first time at once, then when something has happened. An error is one that does not pass.
    pub async fn next(&mut self) -> Result<News, ClientError> {
        if let Some(free) = self.free {
            self.something(free).await;
        }
        // Before the question, so that nothing falls between.
        if self.events.is_none() {
            self.events = self.client.events().await.ok();
        }
        let asked = Instant::now();
        let answer = self.client.get_with("/api/v1/status", self.query).await;
        self.free = Some(Instant::now() + GAP.max(asked.elapsed() * SHARE));
        match answer {
            Ok(status) => Ok(News::Status(status)),
            Err(error) if error.may_pass() => {
                self.events = None;
                Ok(News::Away(error.to_string()))
            }
            Err(error) => Err(error),
        }
    }

    async fn something(&mut self, free: Instant) {
        match &mut self.events {
            Some(events) => {
                tokio::time::sleep_until(free).await;
                if let Ok(None) = timeout(EVERY, events.next()).await {
                    self.events = None;
                }
            }
            None => sleep(AGAIN).await,
        }
    }
}
