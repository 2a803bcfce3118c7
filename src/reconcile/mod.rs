//! Compares the ledger with what GitHub and Nomad say, so that nothing hangs on a webhook that
//! never came: queued jobs are found by sweeps, failed deliveries in an organization hook's
//! log, runners and children that are ours and unknown by listing both.
//!
//! It speaks only in observations and deliveries, and decides nothing. `sweep` looks at one
//! repository, `served` knows which there are.

mod children;
mod deliveries;
mod memory;
mod runners;
mod served;
mod sweep;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use clock::Clock;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{debug, warn};

pub use self::memory::Memory;
use crate::config::Settings;
use crate::engine::{Asking, Health};
use crate::forge::{Forges, Round};
use crate::ledger::Event;
use crate::ledger::observation::Observation;
use crate::store::Store;
use crate::{nomad, webhook};

/// Repositories that are looked at at the same time.
const AT_ONCE: usize = 4;
/// A repository is looked at often for so long after it last had open demand.
const RECENT: Duration = Duration::from_secs(24 * 3600);

pub struct Reconciler {
    pub settings: Arc<Settings>,
    pub forges: Forges,
    pub nomad: nomad::Client,
    pub store: Store,
    pub hand: webhook::Hand,
    pub events: mpsc::UnboundedSender<Event>,
    pub asking: Asking,
    pub health: Health,
    /// Everywhere where children of ours can be.
    pub places: BTreeSet<nomad::Place>,
    /// Where they have been listed since the start: hiring begins there.
    pub listed: watch::Sender<BTreeSet<nomad::Place>>,
    /// One that runs holds it; another waits until that one has ended.
    pub memory: Arc<Mutex<Memory>>,
    pub clock: Clock,
}

impl Reconciler {
    /// Runs until it is aborted.
    pub async fn run(self) {
        let this = Arc::new(self);
        tokio::join!(this.list_what_is_not(), this.sweep_for_ever());
    }

    /// Everything at the start and each `full_sweep_interval`, what is or lately was open each
    /// `sweep_interval`.
    async fn sweep_for_ever(self: &Arc<Self>) {
        let github = &self.settings.github;
        // Without webhooks the sweeps are all there is.
        let full = match self.settings.webhook.enabled {
            true => github.full_sweep_interval,
            false => github.sweep_interval,
        };
        let mut served = served::Served::new(self.settings.clone(), self.forges.clone());
        let mut memory = self.memory.lock().await;
        memory.go_on_by(&self.settings);
        let Memory { recent, looks, listings, runners, hooks, .. } = &mut *memory;
        let mut next_full = Instant::now();
        let mut first = true;
        loop {
            let everything = Instant::now() >= next_full;
            let now = Instant::now();
            let Some(known) = self.asking.known().await else { return };
            recent.extend(known.repositories.into_iter().map(|name| (name, now)));
            recent.retain(|_, seen| seen.elapsed() < RECENT);
            let mut names: Vec<String> = recent.keys().cloned().collect();
            let mut whole = true;
            if everything {
                whole = served.refresh(listings).await;
                names.extend(served.names());
            }
            whole &= self.sweep(names, looks).await;
            if everything {
                next_full = now + full;
                // First the children, so that a runner of one is not taken for a stray.
                let unlisted = self.list_all_children().await;
                self.list_runners(served.targets(), &unlisted, runners).await;
                self.fetch_failed_deliveries(&served.organizations(), hooks).await;
                if first && whole {
                    first = false;
                    self.tell(Observation::SweptAll);
                } else if first {
                    // Something did not answer: nobody is let go until it has.
                    next_full = now + github.sweep_interval.min(full);
                }
            }
            let next = next_full.min(Instant::now() + github.sweep_interval);
            tokio::time::sleep_until(next).await;
        }
    }

    fn tell(&self, observation: Observation) {
        // Closed: the daemon is ending, and so is this task.
        let _ = self.events.send(Event::Observed(Box::new(observation)));
    }

    /// Looks at these repositories; whether all of them were answered, be it by a refusal.
    async fn sweep(&self, mut names: Vec<String>, looks: &mut memory::Looks) -> bool {
        names.sort_by_key(|name| name.to_lowercase());
        names.dedup_by_key(|name| name.to_lowercase());
        let round = Arc::new(Round::default());
        let mut whole = true;
        let mut tasks: JoinSet<(String, Result<Observation, String>)> = JoinSet::new();
        let mut names = names.into_iter();
        loop {
            while tasks.len() < AT_ONCE
                && let Some(name) = names.next()
            {
                let memory = looks.entry(name.clone()).or_default().clone();
                let forges = self.forges.clone();
                tasks.spawn(sweep::look(forges, name, memory, round.clone()));
            }
            let Some(done) = tasks.join_next().await else { return whole };
            // A look that panicked has no result; the next sweep looks again.
            let Ok((name, result)) = done else {
                whole = false;
                continue;
            };
            match result {
                Ok(observation) => self.tell(observation),
                Err(reason) => {
                    whole = false;
                    debug!(repository = name, reason, "sweep not answered");
                }
            }
        }
    }
}

fn warn_once(known: &mut Option<String>, what: &str, reason: String) {
    if known.as_ref() != Some(&reason) {
        warn!(reason, "{what}");
        *known = Some(reason);
    }
}
