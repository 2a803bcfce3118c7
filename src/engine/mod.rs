//! The loop around the ledger: inbox in, transaction out, then requests to GitHub and Nomad,
//! whose answers come back as events.
//!
//! `fold_loop` is the one place where the ledger changes. `workers` carries requests out,
//! `desk` asks the forges, `children` follows Nomad's, `probes` asks now and then who is away;
//! `helpers` runs what runs beside the loop. Nothing here decides who is hired.

mod children;
mod claims;
mod desk;
mod dispatching;
mod fold_loop;
mod happenings;
mod health;
mod held_up;
mod helpers;
mod incoming;
mod meta;
mod overview;
mod parents;
mod places;
mod probes;
mod pruning;
mod renewing;
mod rules;
mod steady;
mod taking;
mod views;
mod witness;
mod workers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use clock::Clock;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

pub use children::phase_of;
pub use claims::{Claims, Handed};
pub use happenings::{Happenings, Mark, News, Told, Watcher};
pub use health::{Health, SweepsView};
pub use helpers::{Beside, Sweeps};
pub use overview::{Few, OpenJob, Overview};
pub use places::{at, named, tell, went_away};
pub use renewing::renewing;
pub use rules::rules;
pub use views::{Capacity, LATELY, Oldest, PoolView, StatusView, UnservedView};
pub use witness::Witness;

use crate::config::Settings;
use crate::forge::Forges;
use crate::ledger::{Event, JobId, PoolName, State};
use crate::metrics::Metrics;
use crate::store::{Store, StoreError};
use crate::{nomad, vault, webhook};

/// What the config comes to. A reload exchanges it as a whole.
#[derive(Clone)]
pub struct Setup {
    pub settings: Arc<Settings>,
    pub forges: Forges,
    pub nomad: nomad::Client,
    /// `None` without `[vault]`.
    pub vault: Option<vault::Client>,
    pub clock: Clock,
}

/// Questions that only the loop can answer.
pub(crate) enum Query {
    Status(oneshot::Sender<StatusView>),
    /// What the status page lists, so many of each.
    Overview(usize, oneshot::Sender<Overview>),
    /// Why these jobs wait, those of them that do.
    Reasons(Vec<JobId>, oneshot::Sender<BTreeMap<JobId, String>>),
    /// Whose turn it is before this job's.
    Turn(JobId, oneshot::Sender<Option<String>>),
    /// What the sweeps need to know.
    Known(oneshot::Sender<Known>),
    /// Something to be done, and whether it could be; answered when it is on disk.
    Operate(Operation, oneshot::Sender<Result<(), String>>),
    /// Go on by this setup; answered as the one before.
    Reload(Box<Setup>, oneshot::Sender<Result<(), String>>),
}

/// What people may ask of a running daemon.
#[derive(Debug, Clone)]
pub enum Operation {
    /// Hire nobody new for the pool, for so long if that is said.
    Pause(PoolName, Option<Duration>),
    Resume(PoolName),
    /// Look at the job again now.
    Retry(JobId),
}

/// What the ledger knows already.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Repositories with open jobs or runners, by name.
    pub repositories: BTreeSet<String>,
    /// Children that are followed.
    pub children: BTreeSet<String>,
}

/// A running engine. Dropping it does not stop it.
pub struct Engine {
    /// Where the door hands in what it has kept.
    pub hand: webhook::Hand,
    pub health: Health,
    pub happenings: Happenings,
    pub metrics: Metrics,
    claims: Claims,
    queries: mpsc::Sender<Query>,
    events: mpsc::UnboundedSender<Event>,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

/// For whoever asks questions from beside the loop.
#[derive(Clone)]
pub struct Asking {
    queries: mpsc::Sender<Query>,
    pub health: Health,
}

impl Engine {
    /// Takes up unfinished work and begins to fold. Events that come meanwhile are kept.
    pub fn start(setup: Setup, store: Store, sweeps: Sweeps) -> Result<Self, StoreError> {
        // Seeded by the system: names must differ between two daemons of one prefix.
        Self::start_watched(setup, store, sweeps, StdRng::from_os_rng(), None)
    }

    /// The same with these draws, and somebody who watches.
    pub fn start_watched(
        setup: Setup,
        store: Store,
        sweeps: Sweeps,
        rng: StdRng,
        witness: Option<Box<dyn Witness>>,
    ) -> Result<Self, StoreError> {
        let reader = store.reader()?;
        let unfinished = reader.unfinished()?;
        let (engine, deliveries) = mpsc::unbounded_channel::<webhook::Handed>();
        let hand = webhook::Hand { engine, store: store.clone() };
        let (rules, runners) = (rules(&setup.settings), unfinished.runners);
        let mut state = State::load(rules, unfinished.repositories, Vec::new(), runners);
        reader.each_open_job(|job| state.take_up(job))?;
        state.breakers = unfinished.breakers;
        let clock = steady::Steady::over(setup.clock.clone());
        let served_before = reader.lately_served(clock.now() - LATELY)?;
        let pauses = unfinished.pauses.into_iter();
        state.pauses = pauses.map(|(pool, pause)| (pool, pause.until_as_of(clock.now()))).collect();
        let (events, incoming) = mpsc::unbounded_channel::<Event>();
        let (queries, asked) = mpsc::channel(16);
        let (live, living) = watch::channel(children::Living::default());
        let happenings = Happenings::new(setup.clock.clone());
        let health = Health::new(happenings.clone());
        let metrics = Metrics::default();
        let stop = CancellationToken::new();
        let claims = Claims { waiting: Arc::default(), events: events.clone() };
        let workers = workers::Workers::new(&setup, claims.clone(), health.clone());
        // What lives is told first, so that the first listing is about all of it.
        live.send_replace(children::living(&state));
        let mut helpers = helpers::Helpers {
            store: store.clone(),
            hand: hand.clone(),
            events: events.clone(),
            living,
            listed: watch::Sender::new(BTreeSet::new()),
            asking: Asking { queries: queries.clone(), health: health.clone() },
            sweeps,
            tasks: JoinSet::new(),
        };
        helpers.start(&setup, places::places(&setup, &state), health.clone());
        let fold_loop = fold_loop::FoldLoop {
            state,
            reader: store.async_reader()?,
            store,
            inbox: unfinished.inbox,
            deliveries,
            held: Vec::new(),
            incoming,
            asked,
            live,
            workers,
            helpers,
            served_before,
            renewed: None,
            health: health.clone(),
            happenings: happenings.clone(),
            metrics: metrics.clone(),
            clock,
            stop: stop.clone(),
            grace: setup.settings.shutdown_grace,
            over: None,
            rng,
            witness,
        };
        let running = tokio::spawn(fold_loop.run());
        Ok(Self { hand, health, happenings, metrics, claims, queries, events, stop, running })
    }

    /// Goes on by another setup: when this returns, its rules hold and what follows from them is
    /// on disk. Or (in words) why not, and all is as before.
    pub async fn reload(&self, setup: Setup) -> Result<(), String> {
        self.asking().reload(setup).await
    }

    /// Takes what happens beside its own questions.
    pub fn events(&self) -> mpsc::UnboundedSender<Event> {
        self.events.clone()
    }

    /// Takes claims whose identity is proven.
    pub fn claims(&self) -> Claims {
        self.claims.clone()
    }

    pub fn asking(&self) -> Asking {
        Asking { queries: self.queries.clone(), health: self.health.clone() }
    }

    /// Lets requests in flight end within the grace and records their answers; whatever is
    /// not sent by then is owed by the rows and sent by the next start.
    pub async fn stop(self) {
        self.stop.cancel();
        // It ends by itself, within its grace.
        let _ = self.running.await;
    }
}

impl Asking {
    /// `None` while the engine is ending.
    pub async fn status(&self) -> Option<StatusView> {
        let (answer, told) = oneshot::channel();
        self.queries.send(Query::Status(answer)).await.ok()?;
        told.await.ok()
    }

    /// `None` while the engine is ending.
    pub async fn overview(&self, limit: usize) -> Option<Overview> {
        let (answer, told) = oneshot::channel();
        self.queries.send(Query::Overview(limit, answer)).await.ok()?;
        told.await.ok()
    }

    /// Whose turn it is before the job's, where it waits for room; nothing while the engine is ending.
    pub async fn turn(&self, job: JobId) -> Option<String> {
        let (answer, told) = oneshot::channel();
        self.queries.send(Query::Turn(job, answer)).await.ok()?;
        told.await.ok()?
    }

    pub async fn known(&self) -> Option<Known> {
        let (answer, told) = oneshot::channel();
        self.queries.send(Query::Known(answer)).await.ok()?;
        told.await.ok()
    }

    /// Done and on disk, or (in words) why not.
    pub async fn operate(&self, operation: Operation) -> Result<(), String> {
        self.done(|answer| Query::Operate(operation, answer)).await
    }

    /// As [`Engine::reload`].
    pub async fn reload(&self, setup: Setup) -> Result<(), String> {
        self.done(|answer| Query::Reload(Box::new(setup), answer)).await
    }

    async fn done(
        &self,
        query: impl FnOnce(oneshot::Sender<Result<(), String>>) -> Query,
    ) -> Result<(), String> {
        let ending = || "the daemon is shutting down".to_owned();
        let (answer, told) = oneshot::channel();
        self.queries.send(query(answer)).await.map_err(|_| ending())?;
        told.await.map_err(|_| ending())?
    }

    pub async fn reasons(&self, jobs: Vec<JobId>) -> Option<BTreeMap<JobId, String>> {
        let (answer, told) = oneshot::channel();
        self.queries.send(Query::Reasons(jobs, answer)).await.ok()?;
        told.await.ok()
    }
}
