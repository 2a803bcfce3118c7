//! Watches parameterized jobs that refused a dispatch, so that work goes on at once when they
//! are mended. One watch a pool; it ends with the first change.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::ledger::{Event, PoolName};
use crate::nomad::{Client, Error, Job, Place};

/// How often the job is looked at. Backoff tries anyway; this is only to be quicker.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After this long the backoff alone must do; a new refusal begins a new watch.
const LONGEST: Duration = Duration::from_secs(3600);

/// What a parameterized job was at a moment, as far as a change of it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    Absent,
    /// The ACL token may not read it.
    Denied,
    Registered {
        index: u64,
        stop: bool,
    },
}

impl Version {
    pub fn of(job: &Job) -> Self {
        Version::Registered { index: job.job_modify_index, stop: job.stop }
    }

    /// `None`: Nomad could not say.
    pub fn seen(answer: &Result<Job, Error>) -> Option<Self> {
        match answer {
            Ok(job) => Some(Self::of(job)),
            Err(Error::NotFound { .. }) => Some(Version::Absent),
            Err(Error::Forbidden { .. }) => Some(Version::Denied),
            Err(_) => None,
        }
    }
}

#[derive(Clone, Default)]
pub struct Watches(Arc<Mutex<BTreeSet<PoolName>>>);

impl Watches {
    /// `refused`: what the job was when it refused.
    pub fn watch(
        &self,
        nomad: Client,
        place: Place,
        parent: String,
        refused: Option<Version>,
        pool: PoolName,
        events: mpsc::UnboundedSender<Event>,
    ) {
        if !self.lock().insert(pool.clone()) {
            return;
        }
        let watches = self.clone();
        tokio::spawn(async move {
            let change = change(&nomad, &place, &parent, refused);
            let changed = tokio::time::timeout(LONGEST, change).await;
            watches.lock().remove(&pool);
            if changed.is_ok() {
                // Closed: the daemon is shutting down.
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
async fn change(nomad: &Client, place: &Place, parent: &str, mut before: Option<Version>) {
    loop {
        let now = Version::seen(&nomad.job(place, parent).await);
        match (before, now) {
            (Some(before), Some(now)) if before != now => return,
            (None, now) => before = now,
            _ => {}
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
