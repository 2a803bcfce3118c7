//! What runs beside the loop by the setup of today: the follower of children, the sweeps, the
//! probes and the pruning. None of them decides anything or holds what nobody else has, so
//! a reload ends them and starts others; what the sweeps have seen is kept.

use std::collections::BTreeSet;
use std::pin::Pin;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::children::{self, Living};
use super::{Asking, Health, Setup, probes, pruning};
use crate::config::{Delivery, Pool};
use crate::ledger::Event;
use crate::nomad::Place;
use crate::store::Store;
use crate::webhook;

/// Whoever compares the ledger with what the forge and Nomad show. Called again at each reload; what
/// was seen before is for it to keep.
pub type Sweeps = Box<dyn Fn(Beside) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// What the sweeps work with.
pub struct Beside {
    pub setup: Setup,
    pub hand: webhook::Hand,
    pub events: mpsc::UnboundedSender<Event>,
    pub asking: Asking,
    pub health: Health,
    /// Everywhere where children of ours can be.
    pub places: BTreeSet<Place>,
    /// Where they have been listed since the start: hiring begins there.
    pub listed: watch::Sender<BTreeSet<Place>>,
}

pub struct Helpers {
    pub store: Store,
    pub hand: webhook::Hand,
    pub events: mpsc::UnboundedSender<Event>,
    pub living: watch::Receiver<Living>,
    /// Where Nomad's children that nobody follows have been listed since the start.
    pub listed: watch::Sender<BTreeSet<Place>>,
    pub asking: Asking,
    pub sweeps: Sweeps,
    /// Dropped, they end.
    pub tasks: JoinSet<()>,
}

impl Helpers {
    /// Ends those that run, if any do, and starts others. What lives has been told before.
    pub fn start(&mut self, setup: &Setup, places: BTreeSet<Place>, health: Health) {
        self.tasks = JoinSet::new();
        let Setup { settings, forges, nomad, vault, clock } = setup.clone();
        let lies_there = |pool: &Pool| pool.delivery == Delivery::Vault;
        let vault = vault.filter(|_| settings.pools.iter().any(lies_there));
        self.tasks.spawn((self.sweeps)(Beside {
            setup: setup.clone(),
            hand: self.hand.clone(),
            events: self.events.clone(),
            asking: self.asking.clone(),
            health: health.clone(),
            places: places.clone(),
            listed: self.listed.clone(),
        }));
        self.tasks.spawn(children::follow(
            nomad.clone(),
            places.clone(),
            self.listed.subscribe(),
            self.living.clone(),
            self.events.clone(),
            health.clone(),
        ));
        self.tasks.spawn(probes::run(forges, nomad, places, vault, health, self.events.clone()));
        self.tasks.spawn(pruning::run(self.store.clone(), settings.store.retention, clock));
    }
}
