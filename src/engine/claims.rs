//! Between the tasks that claim a credential and the ledger that decides: who waits for which answer.
//! The credential itself goes from memory to whoever waits, past the ledger.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use secrecy::SecretString;
use tokio::sync::{mpsc, oneshot};

use crate::ledger::pool::CredentialKind;
use crate::ledger::{Claim, Event, NoCredential, RunnerName, Ticket, Time};

/// What a runner registers with, for the task that claimed it.
#[derive(Debug, Clone)]
pub struct Handed {
    pub runner: RunnerName,
    pub kind: CredentialKind,
    pub secret: SecretString,
    /// `None`: it has no end that is known.
    pub ends: Option<Time>,
}

type Answer = Result<Handed, NoCredential>;

/// Whoever waits, by ticket.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    drawn: AtomicU64,
    answers: Mutex<BTreeMap<Ticket, oneshot::Sender<Answer>>>,
}

impl Waiting {
    /// Whether somebody waits still.
    pub fn waits(&self, ticket: Ticket) -> bool {
        self.lock().contains_key(&ticket)
    }

    pub fn answer(&self, ticket: Ticket, answer: Answer) {
        if let Some(waiting) = self.lock().remove(&ticket) {
            // Whoever asked may have gone.
            let _ = waiting.send(answer);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Ticket, oneshot::Sender<Answer>>> {
        // A map of senders is whole after every single operation, whatever panicked beside it.
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a claim whose identity is proven is handed in.
#[derive(Clone)]
pub struct Claims {
    pub(super) waiting: Arc<Waiting>,
    pub(super) events: mpsc::UnboundedSender<Event>,
}

/// Takes a ticket back when whoever held it has gone.
struct Held<'a> {
    waiting: &'a Waiting,
    ticket: Ticket,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.waiting.lock().remove(&self.ticket);
    }
}

impl Claims {
    /// `None` while the engine is ending.
    pub async fn claim(&self, claim: Claim) -> Option<Answer> {
        let ticket = Ticket(self.waiting.drawn.fetch_add(1, Ordering::Relaxed));
        let (answer, answered) = oneshot::channel();
        self.waiting.lock().insert(ticket, answer);
        let _held = Held { waiting: &self.waiting, ticket };
        self.events.send(Event::Claimed { ticket, claim: Box::new(claim) }).ok()?;
        answered.await.ok()
    }
}
