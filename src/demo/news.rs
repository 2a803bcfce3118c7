//! Everything that the demo hears, as one stream in the order in which it happened: what the
//! forge records, how its webhooks were answered, and what the engine says.

use std::time::Duration;

use tokio::sync::mpsc;

use super::forge::Feed;
use super::notes::Note;
use crate::simulated::github::{Happening, Millis};

/// What arrives this close together is put in order before it is shown.
const GATHER: Duration = Duration::from_millis(25);

#[derive(Debug, Clone)]
pub enum News {
    Happened(Happening),
    Noted(Note),
    /// A webhook about a job was answered.
    Answered {
        at: Millis,
        job: u64,
        action: String,
        answer: String,
    },
    /// A line that a job's own step wrote.
    Logged {
        at: Millis,
        job: u64,
        line: String,
    },
}

impl News {
    fn at(&self) -> Millis {
        match self {
            News::Happened(happening) => happening.at,
            News::Noted(note) => note.at,
            News::Answered { at, .. } | News::Logged { at, .. } => *at,
        }
    }
}

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
