//! One life of the daemon: the real engine and door on a runtime of their own, whose time stands still
//! until everybody waits. When it dies the runtime is dropped, wherever its tasks were; the world and
//! the database go on.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use clock::Clock;
use ledger::observation::Observation;
use ledger::{Effects, Event, Job, JobId, Request, Rules, Runner, RunnerName, State};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng};
use roustabout::engine::{self, Asking, Engine, Operation, Setup, Witness};
use roustabout::forge::Forges;
use roustabout::reconcile;
use roustabout::store::Store;
use roustabout::webhook::signature::Secrets;
use roustabout::webhook::{self, Bodies, Door, InFlight, Quota, Tally};
use secrecy::SecretString;
use simulated::github::hooks::Delivery;
use simulated::github::model::Millis;
use tokio::time::Instant;
use transport::Transport;

use crate::app;
use crate::claims::{self, Asked};
use crate::disk::Disk;
use crate::door::{self, SECRET};
use crate::settings;
use crate::troubles::Trouble;
use crate::wires::{Side, Wire};
use crate::world::World;

/// What the world has done in the daemon's own runtime.
pub enum Errand {
    Knock(Box<Delivery>),
    /// A task asks for the credential of its runner.
    Claim(Box<Asked>),
    Operate(Operation),
    /// The config is read anew.
    Reload,
    /// It is told to end, and finishes what is in flight.
    Stop,
}

/// What is known of the life that is being lived.
pub struct Daemon {
    pub since: Millis,
    pub seen: Seen,
    /// How it dies, once it is to.
    pub dying: Option<String>,
}

/// What its memory came to at the last fold.
#[derive(Default)]
pub struct Seen {
    pub jobs: Vec<JobId>,
    pub runners: Vec<(RunnerName, Option<String>, bool)>,
    pub is_quiet: bool,
    /// How often was folded, and how often it had been when rows were handed to the disk last.
    pub folds: u64,
    pub written: u64,
    /// Now and then: all that has rows.
    pub memory: Option<Memory>,
    /// What is still remembered, by kind.
    pub left: Vec<(&'static str, usize)>,
    /// In words, where it is asked for.
    pub unrest: Vec<String>,
}

/// What is to be in the rows.
pub struct Memory {
    pub jobs: Vec<Job>,
    pub runners: Vec<Runner>,
}

/// The world, as the daemon's tasks share it; they are all of one thread.
#[derive(Clone)]
pub struct Shared {
    world: Arc<Mutex<World>>,
    /// When this life began, on both clocks.
    began: Option<(Millis, Instant)>,
    /// Wakes whoever lets the world go on.
    stirred: Arc<tokio::sync::Notify>,
}

impl Shared {
    pub fn new(world: World) -> Self {
        Self {
            world: Arc::new(Mutex::new(world)),
            began: None,
            stirred: Arc::new(tokio::sync::Notify::new()),
        }
    }

    /// Looks at the world at this moment, or changes it.
    pub fn with<R>(&self, act: impl FnOnce(&mut World) -> R) -> R {
        let result = self.of_a_dead(|world| {
            if let Some(now) = self.now() {
                world.pass(now);
            }
            act(world)
        });
        self.stirred.notify_one();
        result
    }

    /// The same where there may be no runtime any more, so that no time passes.
    pub fn of_a_dead<R>(&self, act: impl FnOnce(&mut World) -> R) -> R {
        act(&mut self.world.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn now(&self) -> Option<Millis> {
        let (millis, began) = self.began?;
        Some(millis + Millis::try_from(began.elapsed().as_millis()).unwrap_or(Millis::MAX))
    }

    /// A moment in which the daemon dies now and then: then this never ends.
    pub async fn may_die(&self, how: &str, chance: f64) {
        let dies = self.with(|world| {
            let dies = world.strikes(Trouble::Crashes, chance);
            if dies {
                world.dies(how);
            }
            dies
        });
        if dies {
            std::future::pending::<()>().await;
        }
    }
}

/// Lives one life, which the world has begun, until it is over.
pub fn live(shared: &Shared) {
    let (seed, base) = shared.of_a_dead(|world| (world.rng.random::<u64>(), world.now));
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true);
    let runtime = builder.build().unwrap();
    runtime.block_on(async {
        let shared = Shared { began: Some((base, Instant::now())), ..shared.clone() };
        go_on(&shared, seed).await;
    });
    drop(runtime);
    shared.of_a_dead(World::is_dead);
}

async fn go_on(shared: &Shared, seed: u64) {
    let (rules, gitea, path) =
        shared.with(|world| (world.rules_of_this_start(), world.is_gitea(), world.database()));
    let setup = setup(shared, &rules, gitea);
    let store = Store::in_step(&path, Arc::new(Disk(shared.clone()))).unwrap();
    let witness = Box::new(Watch(shared.clone()));
    let rng = StdRng::seed_from_u64(seed);
    let engine =
        Engine::start_watched(setup.clone(), store, reconcile::sweeps(), rng, Some(witness))
            .unwrap();
    let entrance = Entrance {
        events: engine.events(),
        hand: engine.hand.clone(),
        claims: engine.claims(),
        in_flight: InFlight::in_folder(path.parent().unwrap()),
        tally: Tally::new(setup.clock.now().into(), None),
        metrics: engine.metrics.clone(),
    };
    let doors = Arc::new(Mutex::new(entrance.doors(&setup)));
    shared.with(World::after_start);
    loop {
        let (next, errands, over) = shared.of_a_dead(|world| {
            world.go_on();
            let errands = std::mem::take(&mut world.errands);
            (world.next(), errands, world.is_over() || world.is_dying())
        });
        if over {
            return;
        }
        for errand in errands {
            match errand {
                Errand::Knock(delivery) => {
                    let door = doors.lock().unwrap().webhooks.clone();
                    tokio::spawn(door::knock(shared.clone(), door, delivery));
                }
                Errand::Claim(asked) => {
                    let door = doors.lock().unwrap().claims.clone();
                    tokio::spawn(claims::ask(shared.clone(), door, *asked));
                }
                Errand::Operate(operation) => {
                    tokio::spawn(operate(engine.asking(), operation));
                }
                Errand::Reload => {
                    let (asking, doors) = (engine.asking(), doors.clone());
                    let (world, entrance) = (shared.clone(), entrance.clone());
                    tokio::spawn(async move { reload(&world, &asking, &entrance, &doors).await });
                }
                Errand::Stop => {
                    let ends = engine.stop();
                    let world = shared.clone();
                    let going_on = async move { while_it_ends(&world).await };
                    tokio::select! {
                        biased;
                        () = ends => shared.with(|world| world.dies("has ended")),
                        () = going_on => {}
                    }
                    return;
                }
            }
        }
        stirs(shared, next).await;
    }
}

/// Until something stirs the world, or its next moment has come.
async fn stirs(shared: &Shared, next: Option<Millis>) {
    let pause = next.map(|next| next - shared.now().unwrap_or(next)).unwrap_or(Millis::MAX / 4);
    tokio::select! {
        biased;
        () = shared.stirred.notified() => {}
        () = tokio::time::sleep(Duration::from_millis(pause.max(0).unsigned_abs())) => {
            shared.with(|_| ());
        }
    }
}

/// What the daemon makes of a config.
fn setup(shared: &Shared, rules: &Rules, gitea: bool) -> Setup {
    let app = shared.of_a_dead(|world| world.setting.app);
    let settings = settings::settings(rules, gitea, app);
    let clock = {
        let shared = shared.clone();
        Clock::of(move || {
            let ahead = shared.of_a_dead(|world| world.skew);
            let wall = shared.now().unwrap_or_default() + ahead;
            jiff::Timestamp::from_millisecond(wall).unwrap()
        })
    };
    let to = |side| Transport::new(Wire { side, world: shared.clone() });
    let address: url::Url = "http://nomad.test:4646".parse().unwrap();
    let connection = nomad::Connection {
        namespace: settings.nomad.namespace.clone(),
        ..nomad::Connection::to(nomad::Address::Http(address.clone()))
    };
    Setup {
        forges: Forges::over(settings.clone(), &to(Side::GitHub), &clock).unwrap(),
        nomad: nomad::Client::over(to(Side::Nomad), address, connection),
        vault: settings.vault.is_some().then(|| {
            let address = "http://vault.test:8200".parse().unwrap();
            let login = vault::Login::Token(vault::Secret::Value(crate::vault::TOKEN.into()));
            vault::Client::over(to(Side::Vault), address, None, login).unwrap()
        }),
        settings,
        clock,
    }
}

/// Who listens, as the config has it.
struct Doors {
    webhooks: Router,
    /// None: nobody.
    claims: Option<Router>,
}

/// What the doors are made of, and stays when the config changes.
#[derive(Clone)]
struct Entrance {
    events: tokio::sync::mpsc::UnboundedSender<ledger::Event>,
    hand: webhook::Hand,
    claims: engine::Claims,
    in_flight: InFlight,
    tally: Tally,
    metrics: roustabout::metrics::Metrics,
}

impl Entrance {
    fn doors(&self, setup: &Setup) -> Doors {
        let claims = roustabout::claims::Door::new(
            &setup.settings,
            setup.nomad.clone(),
            self.claims.clone(),
            setup.clock.clone(),
        );
        Doors { webhooks: self.door(setup), claims: claims.map(roustabout::claims::router) }
    }

    fn door(&self, setup: &Setup) -> Router {
        let door = Door {
            secrets: Secrets::new(SecretString::from(SECRET), None).and(
                Some(0),
                Some(SecretString::from(app::SECRET)),
                None,
            ),
            apps: webhook::Apps::of(&setup.settings, engine::renewing(setup, self.events.clone())),
            rules: Arc::new(engine::rules(&setup.settings)),
            hand: self.hand.clone(),
            // Files are written on other threads, whose turns no seed repeats.
            bodies: Bodies { memory: u64::MAX, ..Bodies::up_to(setup.settings.webhook.max_body) },
            in_flight: self.in_flight.clone(),
            tally: self.tally.clone(),
            metrics: self.metrics.clone(),
            refusals: Quota::default(),
            clock: setup.clock.clone(),
        };
        webhook::router("/webhook", door)
    }
}

/// Whether it could be done is for whoever asked. Who would have a pool go on asks again: the store may have
/// refused.
async fn operate(asking: Asking, operation: Operation) {
    let goes_on = matches!(operation, Operation::Resume(_));
    while asking.operate(operation.clone()).await.is_err() && goes_on {
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

/// As `Daemon::reload`: first the ledger, then the door. Whoever asked for it asks again while the store
/// refuses.
async fn reload(shared: &Shared, asking: &Asking, entrance: &Entrance, doors: &Mutex<Doors>) {
    loop {
        let (rules, gitea) = shared.with(|world| (world.config.clone(), world.is_gitea()));
        let setup = setup(shared, &rules, gitea);
        match asking.reload(setup.clone()).await {
            Ok(()) => {
                *doors.lock().unwrap() = entrance.doors(&setup);
                return shared.with(World::is_reloaded);
            }
            Err(why) => shared.with(|world| world.is_not_reloaded(&why)),
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

/// The world goes on while the daemon finishes; nobody answers at its door any more.
async fn while_it_ends(shared: &Shared) {
    loop {
        let (next, dying) = shared.of_a_dead(|world| {
            world.go_on();
            for errand in std::mem::take(&mut world.errands) {
                world.is_not_answered(errand);
            }
            (world.next(), world.is_dying() || world.is_over())
        });
        if dying {
            return;
        }
        stirs(shared, next).await;
    }
}

/// Sees what the ledger decides.
struct Watch(Shared);

impl Witness for Watch {
    fn folding(&mut self, event: &Event) {
        self.0.with(|world| match event {
            Event::Observed(observation) => {
                if let Observation::Runners { runners, .. } = observation.as_ref() {
                    world.watching.listings += runners.iter().filter(|one| one.busy).count();
                }
            }
            event => world.check_answer(event),
        });
    }

    fn folded(&mut self, state: &State, effects: &Effects) {
        self.0.with(|world| {
            world.watching.folds(world.now);
            for request in &effects.requests {
                let runner = match request {
                    Request::FindAtForge { runner, .. }
                    | Request::LookAtPlacement { runner, .. } => runner,
                    Request::Dispatch(order) => {
                        world.check_once(&order.runner);
                        continue;
                    }
                    _ => continue,
                };
                let now = world.now;
                world.watching.asked.insert(runner.clone(), now);
            }
            for happening in &effects.happenings {
                world.tell_happening(happening);
            }
            world.check_secrets(effects);
            world.check_requests(state, &effects.requests);
            world.check_credentials(state, &effects.requests);
            world.check_ledger(state);
            world.see(state);
        });
    }
}
