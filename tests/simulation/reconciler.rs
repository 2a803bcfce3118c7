//! Compares what the daemon knows with GitHub and Nomad, as `reconcile` does: the repositories,
//! then children, runners and failed deliveries; everything at the start and each ten minutes,
//! what is or lately was open each minute. Beside it, after a start, the children until they are
//! listed.
//!
//! One call, or one repository, at a time; what it saw is told some time after it was seen.

pub mod looks;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use roustabout::ledger::observation::Observation;
use roustabout::ledger::{Event, Repository, ScopeKey, State};
use serde_json::Value;
use simulated::github::model::{MINUTE, Millis, SECOND};

use crate::agenda::Act;
use crate::world::World;

/// The config's defaults.
const SWEEP_INTERVAL: Millis = MINUTE;
const FULL_SWEEP_INTERVAL: Millis = 10 * MINUTE;

/// What it remembers of one life.
#[derive(Default)]
pub struct Reconciler {
    /// Unchanged answers cost nothing at GitHub.
    pub answers: BTreeMap<String, (String, Value)>,
    /// What is believed of repositories, and how often they were looked at.
    pub repositories: BTreeMap<String, (Repository, u32)>,
    /// Repositories that were open at any time.
    recent: BTreeSet<String>,
    next_full: Millis,
    /// The first whole sweep is done.
    swept: bool,
    round: Round,
}

/// What is being looked at.
#[derive(Default)]
struct Round {
    everything: bool,
    whole: bool,
    /// Repositories that are still to be looked at.
    names: VecDeque<String>,
    served: Vec<String>,
}

/// What comes next.
#[derive(Clone, Debug)]
pub enum Look {
    /// Until then nobody may be hired, be it for a job whose runner is there already.
    FirstChildren,
    /// The children are listed: what becomes of them is told from here on.
    Follow,
    Begin,
    Repository,
    Children,
    Runners,
    Deliveries,
    End,
    Tell(Box<Observation>, Box<Look>),
}

/// How far a listing of children came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listed {
    Whole,
    /// GitHub does not say yet where one belongs.
    Unplaced,
    No,
}

impl World {
    pub fn reconcile(&mut self, life: u32, look: Look) {
        if life != self.life || self.daemon.is_none() {
            return;
        }
        let next = match look {
            Look::Tell(observation, next) => {
                self.tell_observation(*observation);
                return self.reconcile(life, *next);
            }
            Look::FirstChildren => match self.list_children() {
                (Listed::No, _) => (2 * SECOND, Look::FirstChildren),
                (Listed::Unplaced, seen) => {
                    let (latency, look) = self.told(seen, Look::FirstChildren);
                    (latency.max(2 * SECOND), look)
                }
                (Listed::Whole, seen) => self.told(seen, Look::Follow),
            },
            Look::Follow => {
                if let Some(daemon) = &mut self.daemon {
                    daemon.follower.begins = true;
                }
                return self.wake_follower();
            }
            Look::Begin => {
                self.begin_round();
                (0, Look::Repository)
            }
            Look::Repository => self.look_at_next(),
            Look::Children => {
                let (listed, seen) = self.list_children();
                let whole = listed == Listed::Whole;
                let next = if whole { Look::Runners } else { Look::Deliveries };
                self.told(seen, next)
            }
            Look::Runners => {
                for seen in self.list_runners() {
                    self.tell_observation(seen);
                }
                (0, Look::Deliveries)
            }
            Look::Deliveries => {
                self.fetch_failed_deliveries();
                (0, Look::End)
            }
            Look::End => self.end_round(),
        };
        self.agenda.enter(self.now + next.0, Act::Reconcile { life, look: next.1 });
    }

    fn round(&mut self) -> Option<&mut Round> {
        self.daemon.as_mut().map(|daemon| &mut daemon.reconciler.round)
    }

    fn tell_observation(&mut self, observation: Observation) {
        if let Some(daemon) = &mut self.daemon {
            daemon.incoming.push_back(Event::Observed(Box::new(observation)));
        }
    }

    /// What was seen is told some time later.
    fn told(&mut self, seen: Option<Observation>, next: Look) -> (Millis, Look) {
        match seen {
            Some(seen) => (self.latency(), Look::Tell(Box::new(seen), Box::new(next))),
            None => (0, next),
        }
    }

    fn begin_round(&mut self) {
        let now = self.now;
        let everything = self.daemon.as_ref().is_some_and(|one| now >= one.reconciler.next_full);
        let served = if everything { self.served() } else { Vec::new() };
        let Some(daemon) = &mut self.daemon else { return };
        daemon.gitea.open = None;
        let known = repositories_of(&daemon.state);
        let reconciler = &mut daemon.reconciler;
        reconciler.recent.extend(known);
        let mut names = reconciler.recent.clone();
        if everything {
            names.extend(served.iter().cloned());
        }
        let names = names.into_iter().collect();
        reconciler.round = Round { everything, whole: true, names, served };
    }

    fn look_at_next(&mut self) -> (Millis, Look) {
        let Some(round) = self.round() else { return (0, Look::End) };
        let everything = round.everything;
        let Some(name) = round.names.pop_front() else {
            return (0, if everything { Look::Children } else { Look::End });
        };
        match self.look_at_repository(&name) {
            Some(seen) => self.told(Some(seen), Look::Repository),
            None => {
                if let Some(round) = self.round() {
                    round.whole = false;
                }
                (self.latency(), Look::Repository)
            }
        }
    }

    fn end_round(&mut self) -> (Millis, Look) {
        let now = self.now;
        let Some(daemon) = &mut self.daemon else { return (0, Look::Begin) };
        let reconciler = &mut daemon.reconciler;
        if reconciler.round.everything {
            reconciler.next_full = now + FULL_SWEEP_INTERVAL;
            if !reconciler.swept && reconciler.round.whole {
                reconciler.swept = true;
                daemon.incoming.push_back(Event::Observed(Box::new(Observation::SweptAll)));
            } else if !reconciler.swept {
                reconciler.next_full = now + SWEEP_INTERVAL;
            }
        }
        (SWEEP_INTERVAL, Look::Begin)
    }
}

/// Repositories with open jobs or runners.
fn repositories_of(state: &State) -> Vec<String> {
    let runners = state.runners.values().filter_map(|runner| match runner.class.scope {
        ScopeKey::Repository(id) => Some(id),
        ScopeKey::Organization(_) => None,
    });
    let ids = state.by_repository.keys().copied().chain(runners);
    ids.filter_map(|id| Some(state.repositories.get(&id)?.full_name.clone())).collect()
}
