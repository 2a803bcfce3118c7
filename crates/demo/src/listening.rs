//! Listens to the forge and to the engine at once, and puts what it hears in order. Read next: `news.rs`.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::forge::Feed;
use crate::news::News;
use crate::notes::Note;

/// What arrives this close together is put in order before it is shown.
const GATHER: Duration = Duration::from_millis(25);

pub struct Listening {
    feed: Feed,
    notes: mpsc::UnboundedReceiver<Note>,
    /// Notes that were received and not told yet.
    heard: Vec<Note>,
}

impl Listening {
    pub fn new(feed: Feed, notes: mpsc::UnboundedReceiver<Note>) -> Self {
        Self { feed, notes, heard: Vec::new() }
    }

    /// Waits until something happens, and a moment longer, so that both sides of it are told in
    /// their order. Dropped while it waits it loses nothing.
    pub async fn next(&mut self) -> Vec<News> {
        tokio::select! {
            () = self.feed.changed() => {}
            // Closed only when the process ends.
            Some(note) = self.notes.recv() => self.heard.push(note),
        }
        tokio::time::sleep(GATHER).await;
        self.now()
    }

    /// All that has happened and was not told yet.
    pub fn now(&mut self) -> Vec<News> {
        let heard = std::mem::take(&mut self.heard);
        let mut news: Vec<News> = heard.into_iter().map(News::Noted).collect();
        while let Ok(note) = self.notes.try_recv() {
            news.push(News::Noted(note));
        }
        news.extend(self.feed.take());
        news.sort_by_key(News::at);
        news
    }
}
