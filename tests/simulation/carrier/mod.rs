//! Carries requests to the models and their answers back: what `engine::workers` does, each call at
//! a moment of its own, so that the world can change, and the daemon die, between any two.
//!
//! A new request is one arm of [`World::stage`] and one function beside it; see `forge` and
//! `cluster`.

mod cluster;
mod dispatching;
mod forge;

use rand::Rng;
use roustabout::ledger::event::Failure;
use roustabout::ledger::{Event, Request};
use simulated::github::model::Millis;

use crate::agenda::Act;
use crate::gitea::Taking;
use crate::world::World;
use dispatching::Cargo;

/// A request on its way.
#[derive(Clone)]
pub struct Flight {
    /// Whose it is; zero is nobody's.
    pub life: u32,
    pub request: Request,
    stage: Stage,
}

/// Which of a request's calls comes next.
#[derive(Clone, Debug)]
enum Stage {
    First,
    /// The name is not among the runners: the running jobs come next.
    Jobs,
    /// Job or child is known: its details come next.
    Details(String),
    Send(Box<Cargo>),
    Confirm(Box<Cargo>, String),
    /// At Gitea a registration is taken away in steps.
    Taking(Taking),
}

/// What a call came to.
#[expect(clippy::large_enum_variant, reason = "one at a time, and soon gone")]
enum Landing {
    Next(Stage),
    /// The next call, after a pause.
    After(Millis, Stage),
    Answer(Event),
    /// No answer at all.
    Nothing,
}

impl Flight {
    pub fn new(life: u32, request: Request) -> Self {
        Self { life, request, stage: Stage::First }
    }
}

impl World {
    pub fn send(&mut self, flight: Flight) {
        let at = self.now + self.latency();
        self.agenda.enter(at, Act::Fly(Box::new(flight)));
    }

    /// One call reaches the other side. Of a life that is over, half of them do.
    pub fn fly(&mut self, flight: Flight) {
        let orphan = flight.life != self.life;
        if orphan && self.rng.random_bool(0.5) {
            return;
        }
        let landing = self.stage(&flight, orphan);
        if orphan {
            return;
        }
        match landing {
            Landing::Next(stage) => self.send(Flight { stage, ..flight }),
            Landing::After(pause, stage) => {
                let at = self.now + pause + self.latency();
                self.agenda.enter(at, Act::Fly(Box::new(Flight { stage, ..flight })));
            }
            Landing::Answer(event) => {
                let at = self.now + self.latency();
                self.agenda.enter(at, Act::Hear { life: flight.life, event: Box::new(event) });
            }
            Landing::Nothing => {}
        }
    }

    /// The call is given up by us, and arrives later all the same.
    fn act_later(&mut self, request: &Request, stage: Stage) {
        let at = self.now + self.draw(10_000, 120_000);
        let flight = Flight { life: 0, request: request.clone(), stage };
        self.agenda.enter(at, Act::Fly(Box::new(flight)));
    }

    fn stage(&mut self, flight: &Flight, orphan: bool) -> Landing {
        let stage = flight.stage.clone();
        match &flight.request {
            Request::Mint { scope, target, life } => {
                Landing::Answer(self.mint(scope, target, *life, orphan))
            }
            Request::Dispatch(order) => self.dispatch(order, stage, orphan),
            Request::FindChild { runner, token, parent, .. } => {
                self.find_child(runner, token, parent, stage)
            }
            Request::FindAtForge { runner, target, repositories, runs } => {
                self.find_at_forge(runner, target, repositories, runs, stage)
            }
            Request::LookAtPlacement { runner, at } => self.look_at_placement(runner, at, stage),
            Request::StopChild { runner, at } => {
                Landing::Answer(self.stop_child(&flight.request, runner, at))
            }
            Request::DeleteRegistration { runner, target, id } => {
                self.delete_registration(runner, target, *id, stage)
            }
            Request::DeleteStray { runner, target, id } => {
                // Whatever comes of it, the next listing shows.
                match self.delete_registration(runner, target, *id, stage) {
                    Landing::Answer(_) => Landing::Nothing,
                    next => next,
                }
            }
            Request::AskFork { repository, full_name, run } => {
                let answer = self.is_fork(*repository, full_name, *run).map(Into::into);
                Landing::Answer(Event::ForkKnown { run: *run, answer })
            }
            Request::AskJobs { class, runs, names } => {
                let answer = self.jobs_of_runs(runs, names);
                let (class, names) = (class.clone(), names.clone());
                Landing::Answer(Event::JobsSeen { class, names, answer })
            }
            Request::AskJob { full_name, job, .. } => {
                let answer = self.job(full_name, *job);
                Landing::Answer(Event::JobSeen { job: *job, answer })
            }
            Request::Look { repository, full_name } => {
                let answer = self
                    .look_at_repository(full_name)
                    .ok_or(Failure { reason: "it does not answer".to_owned(), retry_after: None });
                let (repository, full_name) = (*repository, full_name.clone());
                Landing::Answer(Event::Looked { repository, full_name, answer })
            }
            Request::WatchParent { pool, .. } => {
                self.watch_parent(pool, orphan);
                Landing::Nothing
            }
        }
    }
}
