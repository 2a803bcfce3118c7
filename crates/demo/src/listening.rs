//! Listens to the forge and to the engine at once, and puts what it hears in order. Read next: `news.rs`.

use std::time::Duration;

use roustabout::engine::{self, Told, Watcher};

use crate::forge::Feed;
use crate::news::News;

/// What arrives this close together is put in order before it is shown.
const GATHER: Duration = Duration::from_millis(25);

pub struct Listening {
    feed: Feed,
    engine: Watcher,
    /// What was received and is not shown yet.
    heard: Vec<Told>,
}

impl Listening {
    pub fn new(feed: Feed, engine: Watcher) -> Self {
        Self { feed, engine, heard: Vec::new() }
    }

    /// Waits until something happens, and a moment longer, so that both sides of it are told in
    /// their order. Dropped while it waits it loses nothing.
    pub async fn next(&mut self) -> Vec<News> {
        tokio::select! {
            () = self.feed.changed() => {}
            // Over only when the process ends.
            Some(news) = self.engine.next() => self.heard.extend(told(news)),
        }
        tokio::time::sleep(GATHER).await;
        self.now()
    }

    /// All that has happened and was not told yet.
    pub fn now(&mut self) -> Vec<News> {
        let heard = std::mem::take(&mut self.heard);
        let mut news: Vec<News> = heard.into_iter().map(News::Told).collect();
        let told = std::iter::from_fn(|| self.engine.try_next()).filter_map(told);
        news.extend(told.map(News::Told));
        news.extend(self.feed.take());
        news.sort_by_key(News::at);
        news
    }
}

/// `None` where the screen is too far behind to show all.
fn told(news: engine::News) -> Option<Told> {
    match news {
        engine::News::Told(_, told) => Some(Told::clone(&told)),
        engine::News::Missed(_) => None,
    }
}
