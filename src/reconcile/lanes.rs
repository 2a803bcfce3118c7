//! Looks at many repositories, each owner's on a lane of its own: slow answers about one owner's
//! delay nobody else's. What a look is, is in `sweep`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tracing::debug;

use super::cache::ByRepository;
use super::{Reconciler, sweep};
use crate::forge::{Error, Kind, Round, owner_of};

/// Repositories of one owner that are looked at at the same time,
const AT_ONCE: usize = 4;
/// and of all owners: under GitHub's limit of 100.
const AT_ONCE_OVER_ALL: usize = 48;
/// A sweep that has time waits for the rate limit at most so long at once, and so often.
const PATIENCE: Duration = Duration::from_secs(300);
const TIMES: usize = 15;
/// Any sweep waits so long: as the limit of a minute asks for. Else those whose names come last would
/// never have their turn.
const SOON: Duration = Duration::from_secs(60);

/// What becomes of a look that has to wait for the rate limit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Haste {
    /// The next sweep looks again, and that is soon. A minute it waits too.
    Skips,
    Waits,
}

/// What came of looks and listings; of several the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answered {
    /// All, be it by a refusal.
    All,
    /// A credential is not accepted: the forge has told nothing of its repositories. Asking again
    /// changes nothing.
    NotAuthorized,
    NotAll,
}

impl Answered {
    pub fn by_refusal(error: &Error) -> Self {
        match error.kind {
            Kind::Unauthorized => Answered::NotAuthorized,
            _ if error.refuses() => Answered::All,
            _ => Answered::NotAll,
        }
    }
}

/// Lanes under way. Dropping them ends them.
pub(super) struct Lanes {
    haste: Haste,
    looks: ByRepository,
    places: Arc<Semaphore>,
    /// Each tells whose it was, and what was answered.
    tasks: JoinSet<(String, Answered)>,
    /// Owners whose lane has not come to its end.
    busy: BTreeSet<String>,
}

impl Lanes {
    pub fn new(haste: Haste, looks: ByRepository) -> Self {
        let places = Arc::new(Semaphore::new(AT_ONCE_OVER_ALL));
        Self { haste, looks, places, tasks: JoinSet::new(), busy: BTreeSet::new() }
    }

    /// Begins to look at these, but for owners whose lane still goes on from before.
    pub fn start(&mut self, reconciler: &Arc<Reconciler>, mut names: Vec<String>) {
        while let Some(done) = self.tasks.try_join_next() {
            self.ended(done);
        }
        names.sort_by_key(|name| name.to_lowercase());
        names.dedup_by_key(|name| name.to_lowercase());
        let mut owners: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for name in names {
            owners.entry(owner_of(&name).to_lowercase()).or_default().push(name);
        }
        let round = Arc::new(Round::default());
        for (owner, names) in owners {
            if self.busy.insert(owner.clone()) {
                let (reconciler, round) = (reconciler.clone(), round.clone());
                let (haste, looks, places) = (self.haste, self.looks.clone(), self.places.clone());
                self.tasks.spawn(async move {
                    (owner, lane(reconciler, names, looks, places, round, haste).await)
                });
            } else {
                debug!(owner, "the previous sweep of its repositories is still running");
            }
        }
    }

    /// Waits until all have ended.
    pub async fn end(&mut self) -> Answered {
        let mut answered = Answered::All;
        while let Some(done) = self.tasks.join_next().await {
            answered = answered.max(self.ended(done));
        }
        self.busy.clear();
        answered
    }

    fn ended(&mut self, done: Result<(String, Answered), JoinError>) -> Answered {
        // A lane that panicked says nothing; the next sweep looks again.
        let Ok((owner, answered)) = done else {
            self.busy.clear();
            return Answered::NotAll;
        };
        self.busy.remove(&owner);
        answered
    }
}

async fn lane(
    reconciler: Arc<Reconciler>,
    names: Vec<String>,
    looks: ByRepository,
    places: Arc<Semaphore>,
    round: Arc<Round>,
    haste: Haste,
) -> Answered {
    let mut tasks: JoinSet<Answered> = JoinSet::new();
    let mut all = Answered::All;
    let mut names = names.into_iter();
    loop {
        while tasks.len() < AT_ONCE
            && let Some(name) = names.next()
        {
            let (reconciler, cached) = (reconciler.clone(), looks.of(&name));
            let (places, round) = (places.clone(), round.clone());
            tasks.spawn(async move {
                for _ in 0..TIMES {
                    // Never closed, so there is always a permit to come.
                    let place = places.acquire().await;
                    let result = sweep::look(&reconciler.forges, &name, &cached, &round).await;
                    drop(place);
                    let error = match result {
                        Ok((observation, answered)) => {
                            reconciler.tell(observation);
                            return answered;
                        }
                        Err(error) => error,
                    };
                    debug!(repository = name, reason = %error, "sweep not answered");
                    let waits = |wait: &Duration| haste == Haste::Waits || *wait <= SOON;
                    match error.retry_after.filter(waits) {
                        Some(wait) => tokio::time::sleep(wait.min(PATIENCE)).await,
                        None => break,
                    }
                }
                Answered::NotAll
            });
        }
        match tasks.join_next().await {
            None => return all,
            Some(answered) => all = all.max(answered.unwrap_or(Answered::NotAll)),
        }
    }
}
