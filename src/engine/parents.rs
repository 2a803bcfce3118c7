//! Watches parameterized jobs that refused a dispatch, so that work goes on at once when they
//! are mended. One watch a pool; it ends with the first change.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::ledger::{Event, PoolName};
use crate::nomad::{Client, Place};

/// How often the job is looked at. Backoff tries anyway; this is only to be quicker.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// After this long the backoff alone must do; a new refusal begins a new watch.
const LONGEST: Duration = Duration::from_secs(3600);

#[derive(Clone, Default)]
pub struct Watches(Arc<Mutex<BTreeSet<PoolName>>>);

impl Watches {
    pub fn watch(
        &self,
        nomad: Client,
        place: Place,
        parent: String,
        pool: PoolName,
        events: mpsc::UnboundedSender<Event>,
    ) {
        if !self.lock().insert(pool.clone()) {
            return;
        }
        let watches = self.clone();
        tokio::spawn(async move {
            let changed = tokio::time::timeout(LONGEST, change(&nomad, &place, &parent)).await;
            watches.lock().remove(&pool);
            if changed.is_ok() {
                // Closed: the daemon is ending.
                let _ = events.send(Event::ParentChanged { pool });
            }
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<PoolName>> {
        // A set of names is whole whatever panicked beside it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns when the job is another than it was.
async fn change(nomad: &Client, place: &Place, parent: &str) {
    let version = async || match nomad.job(place, parent).await {
        Ok(job) => Ok(Some((job.job_modify_index, job.stop))),
        Err(crate::nomad::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    };
    let mut before = version().await.ok();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Ok(now) = version().await else { continue };
        match before {
            Some(before) if before != now => return,
            Some(_) => {}
            None => before = Some(now),
        }
    }
}
