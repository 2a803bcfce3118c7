//! Everything that the demo hears, as one stream in the order in which it happened: what the
//! simulated GitHub records, how its webhooks were answered, and what the engine says.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{broadcast, mpsc};

use super::notes::Note;
use crate::simulated::github::hooks::Logged;
use crate::simulated::github::{Happening, Millis, Server};

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
}

impl News {
    fn at(&self) -> Millis {
        match self {
            News::Happened(happening) => happening.at,
            News::Noted(note) => note.at,
            News::Answered { at, .. } => *at,
        }
    }
}

pub struct Listening {
    github: Server,
    hooks: Vec<u64>,
    /// Wakes; what happened is read from the model itself, so that none is missed.
    changes: broadcast::Receiver<Happening>,
    notes: mpsc::UnboundedReceiver<Note>,
    /// Notes that were received and not told yet.
    heard: Vec<Note>,
    told: usize,
    answered: BTreeSet<u64>,
}

impl Listening {
    pub fn new(github: Server, hooks: Vec<u64>, notes: mpsc::UnboundedReceiver<Note>) -> Self {
        let changes = github.subscribe();
        Self {
            github,
            hooks,
            changes,
            notes,
            heard: Vec::new(),
            told: 0,
            answered: BTreeSet::new(),
        }
    }

    /// Waits until something happens, and a moment longer, so that both sides of it are told in
    /// their order. Dropped while it waits it loses nothing.
    pub async fn next(&mut self) -> Vec<News> {
        tokio::select! {
            _ = self.changes.recv() => {}
            // Closed only when the process ends.
            Some(note) = self.notes.recv() => self.heard.push(note),
        }
        tokio::time::sleep(GATHER).await;
        self.now()
    }

    /// All that has happened and was not told yet.
    pub fn now(&mut self) -> Vec<News> {
        while !matches!(
            self.changes.try_recv(),
            Err(broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed)
        ) {}
        let heard = std::mem::take(&mut self.heard);
        let mut news: Vec<News> = heard.into_iter().map(News::Noted).collect();
        while let Ok(note) = self.notes.try_recv() {
            news.push(News::Noted(note));
        }
        let (told, hooks, answered) = (self.told, &self.hooks, &mut self.answered);
        let (now_told, happened) = self.github.with(|github, _| {
            let events = github.events();
            let mut news: Vec<News> = events[told..].iter().cloned().map(News::Happened).collect();
            let logged = hooks.iter().flat_map(|hook| github.deliveries(*hook));
            let mut fresh: Vec<_> =
                logged.filter(|logged| answered.insert(logged.delivery.id)).collect();
            fresh.sort_by_key(|logged| logged.delivery.id);
            news.extend(fresh.into_iter().filter_map(answer_of));
            (events.len(), news)
        });
        self.told = now_told;
        news.extend(happened);
        news.sort_by_key(News::at);
        news
    }
}

/// None for a `ping`.
fn answer_of(logged: &Logged) -> Option<News> {
    let payload: Value = serde_json::from_str(&logged.delivery.payload).ok()?;
    let job = payload["workflow_job"]["id"].as_u64()?;
    let body: Value = serde_json::from_str(&logged.outcome.body).unwrap_or_default();
    let answer = match logged.outcome.status_code {
        Some(code) => format!("{code} {}", body["outcome"].as_str().unwrap_or_default()),
        None => logged.status(),
    };
    let action = logged.delivery.action.clone().unwrap_or_default();
    Some(News::Answered { at: logged.delivered_at, job, action, answer })
}
