//! How deliveries get into the ledger: each once, folded in the same transaction that makes it
//! durable, and whoever waits is answered after that.
//!
//! While the store refuses, so does this: what came is said not to be kept, and is taken
//! as new when it comes again.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use tokio::sync::oneshot;
use tracing::error;

use super::fold_loop::{Batch, FoldLoop};
use super::incoming::Past;
use crate::ledger::event::Webhook;
use crate::ledger::{DeliveryId, Event, Record};
use crate::store::{Delivery, Kept, StoreError};
use crate::webhook::{self, Handed};

/// Deliveries of one transaction, and who waits for it.
#[derive(Default)]
pub struct Taken {
    ids: BTreeSet<DeliveryId>,
    waiting: Vec<(oneshot::Sender<Result<webhook::Receipt, StoreError>>, webhook::Receipt)>,
}

impl Taken {
    /// The transaction is through. Whoever waited may have gone.
    pub fn kept(self) {
        for (waiting, kept) in self.waiting {
            let _ = waiting.send(Ok(kept));
        }
    }

    /// The transaction has failed. What was folded stays folded, for a signed webhook tells
    /// nothing but the truth, and is written with what is tried again; the deliveries are not,
    /// so that each is new when it comes again.
    pub fn refuse(self, error: &StoreError, records: &mut Vec<Record>) {
        records.retain(|record| match record {
            Record::Folded { delivery, .. } => !self.ids.contains(delivery),
            _ => true,
        });
        for (waiting, _) in self.waiting {
            let _ = waiting.send(Err(error.clone()));
        }
    }
}

impl FoldLoop {
    pub fn take(&mut self, handed: Handed, past: &Past, rng: &mut StdRng, batch: &mut Batch) {
        let Handed { delivery, waiting } = handed;
        if batch.taken.ids.contains(&delivery.id) {
            return batch.taken.waiting.push((waiting, Kept::Duplicate.into()));
        }
        match past.is_kept(&delivery.id) {
            Ok(true) => batch.taken.waiting.push((waiting, Kept::Duplicate.into())),
            Ok(false) => {
                batch.taken.ids.insert(delivery.id.clone());
                let repository = delivery.repository.id;
                self.fold_delivery(delivery, past, rng, batch);
                let known = self.state.repositories.get(&repository);
                let former = known.map(|known| known.former.clone()).unwrap_or_default();
                batch.taken.waiting.push((waiting, webhook::Receipt { kept: Kept::New, former }));
            }
            // Whoever waits may have gone.
            Err(error) => drop(waiting.send(Err(error))),
        }
    }

    pub fn fold_delivery(
        &mut self,
        delivery: Delivery,
        past: &Past,
        rng: &mut StdRng,
        batch: &mut Batch,
    ) {
        let past = match &delivery.report {
            Some(report) if self.state.known_job(report.id).is_none() => past.job(report.id),
            _ => Ok(None),
        };
        let past = past.unwrap_or_else(|error| {
            error!(%error, delivery = %delivery.id, "cannot read a job from the store; the webhook is processed without it");
            None
        });
        let look = delivery.look.then(|| Box::new(delivery.repository.clone()));
        let webhook = Webhook {
            delivery: delivery.id,
            received_at: delivery.received_at,
            repository: delivery.repository,
            report: delivery.report,
            past: past.map(Box::new),
        };
        self.fold(Event::Webhook(Box::new(webhook)), rng, batch);
        if let Some(repository) = look {
            self.fold(Event::LookAt(repository), rng, batch);
        }
    }

    /// What came while a transaction failed is not kept either.
    pub fn refuse_held(&mut self, error: &StoreError) {
        while let Ok(handed) = self.deliveries.try_recv() {
            self.held.push(handed);
        }
        for Handed { waiting, .. } in self.held.drain(..) {
            // Whoever waits may have gone.
            let _ = waiting.send(Err(error.clone()));
        }
    }

    /// Takes no more. What was handed in, and what comes from here on, waits in the inbox for
    /// the next start.
    pub async fn take_no_more(&mut self) {
        self.deliveries.close();
        let mut left = std::mem::take(&mut self.held);
        while let Some(handed) = self.deliveries.recv().await {
            left.push(handed);
        }
        for Handed { delivery, waiting } in left {
            let store = self.store.clone();
            // Whoever waits may have gone.
            tokio::spawn(async move { waiting.send(store.keep(delivery).await.map(Into::into)) });
        }
    }
}
