//! A delivery's way from the door, or from a sweep, to the loop that folds it, and back the word
//! that it is on disk.
//!
//! Where nobody folds any more (the daemon is shutting down) it goes into the store's inbox, where
//! the next start finds it. Read next: `engine::taking`.

use tokio::sync::{mpsc, oneshot};

use crate::store::{Delivery, Kept, Store, StoreError};

/// A delivery, and whoever waits until it is kept.
pub struct Handed {
    pub delivery: Delivery,
    pub waiting: oneshot::Sender<Result<Receipt, StoreError>>,
}

/// For a delivery that is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    pub kept: Kept,
    /// What its repository was called before, as the ledger knows it.
    pub former: Vec<String>,
}

impl From<Kept> for Receipt {
    fn from(kept: Kept) -> Self {
        Self { kept, former: Vec::new() }
    }
}

/// Hands deliveries in; clones hand them to the same loop.
#[derive(Clone)]
pub struct Hand {
    pub engine: mpsc::UnboundedSender<Handed>,
    pub store: Store,
}

impl Hand {
    /// Makes a delivery durable and has it folded if it is new. Both happen or neither, also
    /// where whoever waits for it is gone in between: a sender that hangs up, a sweep that is
    /// ended.
    pub async fn keep(&self, delivery: Delivery) -> Result<Receipt, StoreError> {
        let (waiting, kept) = oneshot::channel();
        match self.engine.send(Handed { delivery, waiting }) {
            // Whoever takes it answers; a loop that goes without a word is a daemon that died.
            Ok(()) => kept.await.unwrap_or(Err(StoreError::Closed)),
            Err(mpsc::error::SendError(back)) => {
                self.store.keep(back.delivery).await.map(Receipt::from)
            }
        }
    }
}
