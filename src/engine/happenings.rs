//! Where everything that happens is told: one log line each, and a value for whoever watches. Told
//! only once the rows that follow from it are on disk. The words are made in `ledger::happening`.

use clock::Clock;
use tokio::sync::broadcast;
use tracing::{info, warn};

use crate::ledger::{Happening, Time};

/// How many a watcher may be behind; one that is further behind is told how many it missed.
const BEHIND: usize = 1024;

/// Clones tell the same watchers.
#[derive(Debug, Clone)]
pub struct Happenings {
    watchers: broadcast::Sender<Told>,
    clock: Clock,
}

/// A happening, and when it was told.
#[derive(Debug, Clone)]
pub struct Told {
    pub at: Time,
    pub happening: Happening,
}

impl Happenings {
    pub fn new(clock: Clock) -> Self {
        Self { watchers: broadcast::Sender::new(BEHIND), clock }
    }

    /// Everything from now on.
    pub fn watch(&self) -> broadcast::Receiver<Told> {
        self.watchers.subscribe()
    }

    pub fn tell(&self, happening: Happening) {
        log(&happening);
        if self.watchers.receiver_count() > 0 {
            let at = Time::from(self.clock.now());
            // Fails where the last watcher has just gone.
            let _ = self.watchers.send(Told { at, happening });
        }
    }
}

fn log(happening: &Happening) {
    let event = happening.what.name();
    let about = &happening.about;
    let job = about.job.map(|id| id.0);
    let run = about.run.map(|id| id.0);
    let repository = about.repository.as_deref();
    let runner = about.runner.as_ref().map(|name| name.as_str());
    let pool = about.pool.as_ref().map(|name| name.as_str());
    let delivery = about.delivery.as_ref().map(|id| id.as_str());
    if happening.what.is_warning() {
        warn!(event, job, run, repository, pool, runner, delivery, "{happening}");
    } else {
        info!(event, job, run, repository, pool, runner, delivery, "{happening}");
    }
}
