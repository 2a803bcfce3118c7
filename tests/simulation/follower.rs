//! Follows our children in Nomad, as `engine::children`: all that live are looked at whenever
//! something changes there, changes are told, and who is missing has been forgotten.

use std::collections::BTreeMap;

use roustabout::ledger::event::{ChildPhase, Children, NomadTrouble};
use roustabout::ledger::{Event, NomadPlace, RunnerName, RunnerState, State};
use simulated::github::model::SECOND;
use simulated::nomad::{Allocation, ClientStatus, JobKey, JobStatus, Nomad};

use crate::agenda::Act;
use crate::calls::{Luck, Side};
use crate::world::World;

pub const NAMESPACE: &str = "ci";

/// All of it is in one.
pub fn place() -> NomadPlace {
    NomadPlace { namespace: NAMESPACE.to_owned(), region: None }
}

#[derive(Default)]
pub struct Follower {
    /// Those that nobody followed have been told of.
    pub begins: bool,
    /// What was told last, so that only changes are told.
    seen: BTreeMap<RunnerName, ChildPhase>,
    /// What the last look was about; none before the first.
    looked: Option<(u64, Vec<RunnerName>)>,
    under_way: bool,
    away: bool,
}

impl World {
    /// A look is due: at the start, and when Nomad or the set of children has changed.
    pub fn wake_follower(&mut self) {
        let Some(daemon) = &mut self.daemon else { return };
        let follower = &mut daemon.follower;
        if follower.under_way || !follower.begins {
            return;
        }
        let changed = follower.looked.as_ref().is_none_or(|(index, names)| {
            *index != self.nomad.index() || living(&daemon.state).map(|(name, _)| name).ne(names)
        });
        if changed || self.setting.nomad_is_away {
            follower.under_way = true;
            let at = self.now + self.draw(20, 1_500);
            self.agenda.enter(at, Act::Follow { life: self.life });
        }
    }

    pub fn follow(&mut self, life: u32) {
        if life != self.life {
            return;
        }
        let luck = self.luck(Side::Nomad);
        let Some(daemon) = &mut self.daemon else { return };
        let follower = &mut daemon.follower;
        if luck != Luck::Fine {
            follower.away = true;
            let trouble = NomadTrouble::Unreachable("connection refused".to_owned());
            daemon.incoming.push_back(Event::NomadAway { place: place(), trouble });
            self.agenda.enter(self.now + 2 * SECOND, Act::Follow { life });
            return;
        }
        let first = follower.looked.is_none();
        let names = living(&daemon.state).map(|(name, _)| name.clone()).collect();
        follower.looked = Some((self.nomad.index(), names));
        follower.under_way = false;
        let phases = living(&daemon.state).map(|(name, child)| {
            (name.clone(), phase_of(&self.nomad, &JobKey::new(NAMESPACE, child)))
        });
        let phases: BTreeMap<_, _> = phases.collect();
        follower.seen.retain(|name, _| phases.contains_key(name));
        let news: Vec<_> = phases
            .into_iter()
            .filter(|(name, phase)| follower.seen.get(name) != Some(phase))
            .collect();
        follower.seen.extend(news.iter().cloned());
        if first || follower.away || !news.is_empty() {
            let seen = Children { place: place(), phases: news };
            daemon.incoming.push_back(Event::ChildrenSeen(seen));
        }
        follower.away = false;
    }
}

fn living(state: &State) -> impl Iterator<Item = (&RunnerName, &String)> {
    let followed = state
        .runners
        .values()
        .filter(|runner| !matches!(runner.state, RunnerState::Clearing | RunnerState::Gone));
    followed.filter_map(|runner| Some((&runner.name, runner.child.as_ref()?)))
}

/// Where a child stands, as `engine::children::phase_of` reads it.
pub fn phase_of(nomad: &Nomad, child: &JobKey) -> ChildPhase {
    let Some(status) = nomad.status(child) else {
        let how = "Nomad has forgotten its child".to_owned();
        return ChildPhase::Ended { how, placed: true };
    };
    let allocations: Vec<&Allocation> = nomad.allocations_of(child).collect();
    let stopped = nomad.child(child).is_some_and(|it| it.stop);
    phase(status, stopped, &allocations)
}

fn phase(status: JobStatus, stopped: bool, allocations: &[&Allocation]) -> ChildPhase {
    let statuses = || allocations.iter().map(|one| one.client_status);
    let over = |one: ClientStatus| one.is_terminal() || (stopped && one == ClientStatus::Unknown);
    let lives = !statuses().all(over);
    let lost = statuses().any(|one| matches!(one, ClientStatus::Lost | ClientStatus::Unknown));
    let ended = || {
        let how =
            allocations.last().map_or("it was stopped before it was placed".to_owned(), |it| {
                format!("its allocation is {}", it.client_status.as_str())
            });
        ChildPhase::Ended { how, placed: !allocations.is_empty() }
    };
    match status {
        _ if lives && lost && allocations.len() > 1 => ChildPhase::Replaced,
        _ if lives => ChildPhase::Placed,
        JobStatus::Dead => ended(),
        _ if allocations.is_empty() => ChildPhase::NotPlaced,
        _ if stopped => ended(),
        _ => ChildPhase::Placed,
    }
}
