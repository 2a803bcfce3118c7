//! Listens to the forge and to the engine at once, and puts what it hears in order. Read next: `news.rs`.

use std::time::Duration;

use roustabout::engine::Told;
use tokio::sync::broadcast;

use crate::forge::Feed;
use crate::news::News;

/// What arrives this close together is put in order before it is shown.
const GATHER: Duration = Duration::from_millis(25);

pub struct Listening {
    feed: Feed,
    engine: broadcast::Receiver<Told>,
    /// What was received and is not shown yet.
    heard: Vec<Told>,
}

impl Listening {
    pub fn new(feed: Feed, engine: broadcast::Receiver<Told>) -> Self {
        Self { feed, engine, heard: Vec::new() }
    }

    /// Waits until something happens, and a moment longer, so that both sides of it are told in
    /// their order. Dropped while it waits it loses nothing.
    pub async fn next(&mut self) -> Vec<News> {
        tokio::select! {
            () = self.feed.changed() => {}
            // Closed only when the process ends.
            Ok(told) = self.engine.recv() => self.heard.push(told),
        }
        tokio::time::sleep(GATHER).await;
        self.now()
    }

    /// All that has happened and was not told yet.
    pub fn now(&mut self) -> Vec<News> {
        let heard = std::mem::take(&mut self.heard);
        let mut news: Vec<News> = heard.into_iter().map(News::Told).collect();
        while let Ok(told) = self.engine.try_recv() {
            news.push(News::Told(told));
        }
        news.extend(self.feed.take());
        news.sort_by_key(News::at);
        news
    }
}
