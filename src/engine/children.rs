//! Follows our children in Nomad to their end. Its event stream says when to look; each look
//! lists all that live, for the stream drops events in silence. Where the stream is denied, a
//! blocking query a namespace does the same.
//!
//! Each place (a namespace of a region) has a follower of its own, so that one that is away holds
//! back nobody in the others. Its first look comes after the listing of those that nobody follows
//! (`reconcile::children`), and with it hiring begins there; who is missing from an answer is asked
//! for by id, for absence proves nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Setup;
use super::dispatching::{forbidden, place};
use super::health::Health;
use crate::ledger::event::{ChildPhase, Children, NomadTrouble};
use crate::ledger::{Event, NomadPlace, RunnerName, RunnerState, State};
use crate::nomad::{
    Allocation, ChildStatus, Client, ClientStatus, Error, EventStream, JobStatus, Place,
    StreamEvent,
};

/// How long one blocking query waits for a change.
const WAIT: Duration = Duration::from_secs(30);
/// Changes that come close together are asked about together.
const GATHER: Duration = Duration::from_millis(100);
/// While the stream is silent about us, everything is listed all the same after this long.
const LOOK_ANYWAY: Duration = Duration::from_secs(30);
/// How soon a stream that could not be opened is tried again.
const STREAM_AGAIN: Duration = Duration::from_secs(60);
/// Between tries while Nomad is away.
const AWAY: Duration = Duration::from_secs(2);
/// How often it is asked whether it is there while no child of ours lives.
const IDLE: Duration = Duration::from_secs(5);
/// A blocking query that came back without having waited is not repeated at once.
const IN_VAIN: Duration = Duration::from_millis(250);
/// Questions about single children at once.
const AT_ONCE: usize = 8;
/// How often an agent without the statuses call (before 1.8.0) is asked about each child.
const OLD_AGENT: Duration = Duration::from_secs(2);

/// Children that are alive as far as the ledger knows.
pub type Living = BTreeMap<RunnerName, (Place, String)>;

pub fn living(state: &State, nomad: &Client) -> Living {
    let followed = state
        .runners
        .values()
        .filter(|runner| !matches!(runner.state, RunnerState::Clearing | RunnerState::Gone));
    followed
        .filter_map(|runner| {
            let place = place(nomad, runner.namespace.as_ref(), runner.region.as_ref());
            Some((runner.name.clone(), (place, runner.child.clone()?)))
        })
        .collect()
}

/// Everywhere where children of ours can be.
pub fn places(setup: &Setup, state: &State) -> BTreeSet<Place> {
    let pools =
        setup.settings.pools.iter().map(|pool| (pool.namespace.as_ref(), pool.region.as_ref()));
    let runners = state.runners.values().map(|r| (r.namespace.as_ref(), r.region.as_ref()));
    pools.chain(runners).map(|(namespace, region)| place(&setup.nomad, namespace, region)).collect()
}

/// Runs until it is aborted. Of a place nothing is told before `listed` has it.
pub async fn follow(
    nomad: Client,
    places: BTreeSet<Place>,
    listed: watch::Receiver<BTreeSet<Place>>,
    living: watch::Receiver<Living>,
    events: mpsc::UnboundedSender<Event>,
    health: Health,
) {
    let mut tasks = tokio::task::JoinSet::new();
    for place in places {
        let follower = Follower {
            nomad: nomad.clone(),
            place,
            listed: listed.clone(),
            living: living.clone(),
            seen: BTreeMap::new(),
            index: None,
            stream: None,
            opening: None,
            streams_again: Instant::now(),
        };
        tasks.spawn(follower.run(events.clone(), health.clone()));
    }
    tasks.join_all().await;
}

struct Follower {
    nomad: Client,
    place: Place,
    listed: watch::Receiver<BTreeSet<Place>>,
    living: watch::Receiver<Living>,
    /// What was told last, so that only changes are told.
    seen: BTreeMap<RunnerName, ChildPhase>,
    /// For the next blocking query about the same children; without one it asks at once.
    index: Option<u64>,
    stream: Option<EventStream>,
    opening: Option<JoinHandle<Option<EventStream>>>,
    /// When opening the stream is tried again.
    streams_again: Instant,
}

impl Follower {
    async fn run(mut self, events: mpsc::UnboundedSender<Event>, health: Health) {
        let place = self.place.clone();
        if self.listed.wait_for(|listed| listed.contains(&place)).await.is_err() {
            return;
        }
        // The first look is told, whatever it shows.
        let mut away = true;
        loop {
            if !away && !self.wait().await {
                return;
            }
            let looked = self.look().await;
            tell(&health, &self.nomad, &place, looked.as_ref().err());
            let news = match looked {
                Ok(phases) if away || !phases.is_empty() => {
                    Some(Event::ChildrenSeen(Children { place: named(&place), phases }))
                }
                Ok(_) => None,
                Err(error) => {
                    away = true;
                    self.index = None;
                    // Closed: the daemon is ending, and so is this task.
                    let _ = events.send(went_away(&place, &error));
                    tokio::time::sleep(AWAY).await;
                    continue;
                }
            };
            away = false;
            if news.is_some_and(|news| events.send(news).is_err()) {
                return;
            }
        }
    }

    /// Waits for a reason to look: where there is an index, the look itself waits for one.
    /// False: the daemon is ending.
    async fn wait(&mut self) -> bool {
        if self.stream_has_opened().await {
            // Whatever happened before it was open is seen by a listing.
            self.index = None;
            return true;
        }
        if self.stream.is_some() {
            self.index = None;
            return self.wait_for_event().await;
        }
        if self.index.is_some() {
            return true;
        }
        // Not marked as seen: a change that came since the last look must wake this.
        let pause = if self.of_mine(&self.living.borrow()).is_empty() { IDLE } else { OLD_AGENT };
        tokio::select! {
            changed = self.living.changed() => changed.is_ok(),
            () = tokio::time::sleep(pause) => true,
        }
    }

    /// Opens the stream beside what else is done, for that may take its time where it is denied
    /// or held back; true once it is there.
    async fn stream_has_opened(&mut self) -> bool {
        if self.stream.is_some() {
            return false;
        }
        match self.opening.take() {
            Some(opening) if opening.is_finished() => {
                self.stream = opening.await.ok().flatten();
                self.stream.is_some()
            }
            Some(opening) => {
                self.opening = Some(opening);
                false
            }
            None if Instant::now() >= self.streams_again => {
                self.streams_again = Instant::now() + STREAM_AGAIN;
                let (nomad, place) = (self.nomad.clone(), self.place.clone());
                self.opening = Some(tokio::spawn(async move { nomad.events(&place).await.ok() }));
                false
            }
            None => false,
        }
    }

    /// Waits for something to happen to a child of ours, or to the set of them, or for a while.
    async fn wait_for_event(&mut self) -> bool {
        let Some(mut stream) = self.stream.take() else { return true };
        let over = Instant::now() + LOOK_ANYWAY;
        loop {
            let mine = self.of_mine(&self.living.borrow());
            let about_us =
                |events: &[StreamEvent]| events.iter().any(|e| mine.contains_key(&e.job));
            tokio::select! {
                events = stream.next() => match events {
                    Ok(events) if about_us(&events) => break,
                    Ok(_) => {}
                    // It is opened anew before the next look but one.
                    Err(_) => {
                        self.streams_again = Instant::now();
                        return true;
                    }
                },
                changed = self.living.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return false,
                },
                () = tokio::time::sleep_until(over) => break,
            }
        }
        tokio::time::sleep(GATHER).await;
        // What came meanwhile is seen by the same look.
        while let Ok(events) = tokio::time::timeout(Duration::ZERO, stream.next()).await {
            if events.is_err() {
                self.streams_again = Instant::now();
                return true;
            }
        }
        self.stream = Some(stream);
        true
    }

    /// What has changed since the last look. With an index it waits for a change, in Nomad or
    /// in the set of children; only that waiting is ever cut short.
    async fn look(&mut self) -> Result<Vec<(RunnerName, ChildPhase)>, Error> {
        loop {
            let living = self.living.borrow_and_update().clone();
            let mine = self.of_mine(&living);
            self.seen.retain(|name, _| mine.values().any(|living| living == name));
            if mine.is_empty() {
                self.index = None;
                self.nomad.leader_at(&self.place).await?;
                return Ok(Vec::new());
            }
            let ids: Vec<String> = mine.keys().cloned().collect();
            let since = self.index.take();
            let statuses = tokio::select! {
                statuses = self.nomad.statuses(&self.place, &ids, since, WAIT) => statuses,
                changed = self.living.changed(), if since.is_some() => {
                    if changed.is_err() {
                        return Ok(Vec::new());
                    }
                    tokio::time::sleep(GATHER).await;
                    continue;
                }
            };
            let phases = match statuses {
                Ok(statuses) => {
                    if since.is_some_and(|since| statuses.index <= since) {
                        tokio::time::sleep(IN_VAIN).await;
                    }
                    let phases = self.phases(&mine, statuses.jobs).await?;
                    self.index = Some(statuses.index);
                    phases
                }
                Err(Error::Unsupported { .. }) => self.phases(&mine, Vec::new()).await?,
                Err(error) => return Err(error),
            };
            let news =
                phases.into_iter().filter(|(name, phase)| self.seen.get(name) != Some(phase));
            let news: Vec<_> = news.collect();
            self.seen.extend(news.iter().cloned());
            return Ok(news);
        }
    }

    fn of_mine(&self, living: &Living) -> BTreeMap<String, RunnerName> {
        let mine = living.iter().filter(|(_, (place, _))| *place == self.place);
        mine.map(|(name, (_, child))| (child.clone(), name.clone())).collect()
    }

    async fn phases(
        &self,
        mine: &BTreeMap<String, RunnerName>,
        jobs: Vec<ChildStatus>,
    ) -> Result<Vec<(RunnerName, ChildPhase)>, Error> {
        let mut phases = Vec::new();
        let mut missing = mine.clone();
        let mut doubtful = Vec::new();
        for job in jobs {
            let Some(name) = missing.remove(&job.id) else { continue };
            let statuses: Vec<ClientStatus> =
                job.allocations.into_iter().map(|allocation| allocation.client_status).collect();
            match brief_phase(&job.status, &statuses) {
                Brief::Alive(phase) => phases.push((name, phase)),
                Brief::Ended => doubtful.push((job.id, name)),
            }
        }
        doubtful.extend(missing);
        for some in doubtful.chunks(AT_ONCE) {
            let mut asked = tokio::task::JoinSet::new();
            for (child, name) in some.iter().cloned() {
                let (nomad, place) = (self.nomad.clone(), self.place.clone());
                asked.spawn(async move { (name, phase_of(&nomad, &place, &child).await) });
            }
            for (name, phase) in asked.join_all().await {
                phases.push((name, phase?));
            }
        }
        Ok(phases)
    }
}

/// Says of one place that it is away, or (`None`) well.
pub fn tell(health: &Health, nomad: &Client, place: &Place, error: Option<&Error>) {
    let part = format!("{}@{}", place.namespace, place.region.as_deref().unwrap_or_default());
    let unlike = named(place).unlike(&named(nomad.place()));
    let trouble = error.map(|error| match unlike.trim_start() {
        "" => error.to_string(),
        unlike => format!("{unlike}: {error}"),
    });
    health.report("nomad", &part, trouble);
}

/// Nomad does not answer about children there.
pub fn went_away(place: &Place, error: &Error) -> Event {
    let trouble = match error {
        Error::Forbidden { .. } => NomadTrouble::Refuses(forbidden(error, place)),
        _ => NomadTrouble::Unreachable(error.to_string()),
    };
    Event::NomadAway { place: named(place), trouble }
}

/// In the ledger's words.
pub fn named(place: &Place) -> NomadPlace {
    NomadPlace { namespace: place.namespace.clone(), region: place.region.clone() }
}

enum Brief {
    Alive(ChildPhase),
    Ended,
}

/// A stop makes the job dead at once, its task up to `kill_timeout` later: both must be over.
fn brief_phase(status: &JobStatus, allocations: &[ClientStatus]) -> Brief {
    let lives = allocations.iter().any(|allocation| !allocation.is_terminal());
    let lost = allocations.iter().any(|a| matches!(a, ClientStatus::Lost | ClientStatus::Unknown));
    match status {
        _ if lives && lost && allocations.len() > 1 => Brief::Alive(ChildPhase::Replaced),
        _ if lives => Brief::Alive(ChildPhase::Placed),
        JobStatus::Dead => Brief::Ended,
        _ if allocations.is_empty() => Brief::Alive(ChildPhase::NotPlaced),
        _ => Brief::Alive(ChildPhase::Placed),
    }
}

/// Where one child stands, asked by id.
pub async fn phase_of(nomad: &Client, place: &Place, child: &str) -> Result<ChildPhase, Error> {
    let job = match nomad.job(place, child).await {
        Ok(job) => job,
        Err(Error::NotFound { .. }) => {
            let how = "Nomad has forgotten its child".to_owned();
            return Ok(ChildPhase::Ended { how, placed: true });
        }
        Err(error) => return Err(error),
    };
    let allocations = nomad.allocations(place, child).await?;
    let statuses: Vec<ClientStatus> =
        allocations.iter().map(|allocation| allocation.client_status.clone()).collect();
    Ok(match brief_phase(&job.status, &statuses) {
        Brief::Alive(phase) => phase,
        Brief::Ended => {
            ChildPhase::Ended { how: how_it_ended(&allocations), placed: !allocations.is_empty() }
        }
    })
}

/// The exit code of actions/runner that means: too old, gets no jobs (with the variable
/// `ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE`, actions/runner#4203).
const OUTDATED: i64 = 7;

/// In words: which task of the last allocation failed, and with what.
fn how_it_ended(allocations: &[Allocation]) -> String {
    let Some(last) = allocations.last() else {
        return "it was stopped before it was placed".to_owned();
    };
    let failed =
        last.task_states.iter().filter(|(_, state)| state.failed).find_map(|(task, state)| {
            let event =
                state.events.iter().rev().find(|e| e.exit_code.is_some_and(|code| code != 0));
            let event =
                event.or_else(|| state.events.iter().rev().find(|e| e.kind.contains("Failure")));
            event.map(|event| match event.exit_code {
                Some(OUTDATED) => {
                    format!("task {task} exited with 7: its actions/runner is outdated")
                }
                Some(code) if code != 0 => format!("task {task} exited with {code}"),
                _ => format!("task {task}: {}", event.message),
            })
        });
    match failed {
        Some(how) => format!("its allocation on {} failed: {how}", last.node_name),
        None => format!("its allocation on {} is {}", last.node_name, last.client_status),
    }
}
