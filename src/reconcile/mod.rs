//! Compares the ledger with what GitHub and Nomad say, so that nothing hangs on a webhook that
//! never came: queued jobs are found by sweeps, failed deliveries in an organization hook's
//! log, runners and children that are ours and unknown by listing both.
//!
//! It speaks only in observations and deliveries, and decides nothing. `lanes` looks at
//! many repositories, `sweep` at one, `served` knows which there are.

mod cache;
mod children;
mod deliveries;
mod deposits;
mod lanes;
mod runners;
mod served;
mod sweep;

pub use served::{Served, ServedRepository};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use clock::Clock;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::Instant;
use tracing::warn;

use self::cache::{ByRepository, Cache};
use self::lanes::{Answered, Haste, Lanes};
use crate::config::Settings;
use crate::engine::{Asking, Beside, Health, LATELY, Setup, Sweeps};
use crate::forge::{Forges, ListMemory, Listed};
use crate::ledger::Event;
use crate::ledger::observation::Observation;
use crate::{nomad, vault, webhook};

struct Reconciler {
    settings: Arc<Settings>,
    forges: Forges,
    nomad: nomad::Client,
    vault: Option<vault::Client>,
    hand: webhook::Hand,
    events: mpsc::UnboundedSender<Event>,
    asking: Asking,
    health: Health,
    /// Everywhere where children of ours can be.
    places: BTreeSet<nomad::Place>,
    /// Where they have been listed since the start: hiring begins there.
    listed: watch::Sender<BTreeSet<nomad::Place>>,
    /// One that runs holds it; another waits until that one has ended.
    cache: Arc<Mutex<Cache>>,
    clock: Clock,
}

/// The sweeps for an engine: what one setup's have seen, the next one's know.
pub fn sweeps() -> Sweeps {
    let cache = Arc::<Mutex<Cache>>::default();
    Box::new(move |beside| {
        let Beside { setup, hand, events, asking, health, places, listed } = beside;
        let Setup { settings, forges, nomad, vault, clock } = setup;
        let cache = cache.clone();
        let reconciler = Reconciler {
            settings,
            forges,
            nomad,
            vault,
            hand,
            events,
            asking,
            health,
            places,
            listed,
            cache,
            clock,
        };
        Box::pin(reconciler.run())
    })
}

impl Reconciler {
    /// Runs until it is aborted.
    async fn run(self) {
        let this = Arc::new(self);
        tokio::join!(this.list_what_is_not(), this.sweep_for_ever());
    }

    /// Everything at the start and each `full_sweep_interval`, what is or lately was open each
    /// `sweep_interval`: side by side, for the one can take long.
    async fn sweep_for_ever(self: &Arc<Self>) {
        let mut cache = self.cache.lock().await;
        cache.go_on_by(&self.settings);
        let looks = cache.looks.clone();
        let Cache { recent, listings, runners, hooks, .. } = &mut *cache;
        let often = async {
            // Without webhooks every sweep is one of everything.
            match self.settings.webhook.enabled {
                true => self.sweep_what_is_open(recent, looks.clone()).await,
                false => std::future::pending().await,
            }
        };
        let seen = FullSweep { listings, runners, hooks };
        tokio::join!(often, self.sweep_everything(seen, looks.clone()));
    }

    async fn sweep_what_is_open(
        self: &Arc<Self>,
        recent: &mut BTreeMap<String, Instant>,
        looks: ByRepository,
    ) {
        let mut lanes = Lanes::new(Haste::Skips, looks);
        loop {
            tokio::time::sleep(self.settings.github.sweep_interval).await;
            let Some(known) = self.asking.known().await else { return };
            let now = Instant::now();
            recent.extend(known.repositories.into_iter().map(|name| (name, now)));
            recent.retain(|_, seen| seen.elapsed() < LATELY);
            self.health.sweeps_recent(self.clock.now().into());
            lanes.start(self, recent.keys().cloned().collect());
        }
    }

    async fn sweep_everything(self: &Arc<Self>, seen: FullSweep<'_>, looks: ByRepository) {
        let github = &self.settings.github;
        // Without webhooks the sweeps are all there is.
        let (full, haste) = match self.settings.webhook.enabled {
            true => (github.full_sweep_interval, Haste::Waits),
            false => (github.sweep_interval, Haste::Skips),
        };
        let mut served = served::Served::new(self.settings.clone(), self.forges.clone());
        let mut lanes = Lanes::new(haste, looks);
        let mut first = true;
        loop {
            let began = Instant::now();
            let Some(known) = self.asking.known().await else { return };
            let mut answered = served.refresh(seen.listings).await;
            let mut names: Vec<String> = known.repositories.into_iter().collect();
            names.extend(served.names());
            lanes.start(self, names);
            answered = answered.max(lanes.end().await);
            // First the children, so that a runner of one is not taken for a stray.
            let unlisted = self.list_all_children().await;
            self.list_runners(served.targets(), &unlisted, seen.runners).await;
            self.fetch_failed_deliveries(&served.organizations(), seen.hooks).await;
            self.health.swept_all(self.clock.now().into(), answered == Answered::All);
            let mut next = began + full;
            if first && answered != Answered::NotAll {
                first = false;
                self.tell(Observation::SweptAll);
            } else if first {
                // Something did not answer: nobody is let go until it has.
                next = began + github.sweep_interval.min(full);
            }
            self.list_deposits().await;
            tokio::time::sleep_until(next).await;
        }
    }

    fn tell(&self, observation: Observation) {
        // Closed: the daemon is shutting down, and so is this task.
        let _ = self.events.send(Event::Observed(Box::new(observation)));
    }
}

/// What the last sweep of everything saw, beside repositories.
struct FullSweep<'a> {
    listings: &'a mut BTreeMap<usize, ListMemory<Listed>>,
    runners: &'a mut runners::Listings,
    hooks: &'a mut deliveries::Logs,
}

fn warn_once(known: &mut Option<String>, what: &str, reason: String) {
    if known.as_ref() != Some(&reason) {
        warn!(reason, "{what}");
        *known = Some(reason);
    }
}
