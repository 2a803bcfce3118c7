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

use super::health::Health;
use super::held_up::{HeldUp, Idle, SOON};
use super::places::{at, named, tell, went_away};
use crate::ledger::event::{ChildPhase, Children};
use crate::ledger::{Event, RunnerName, RunnerState, State};
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

pub fn living(state: &State) -> Living {
    let followed = state
        .runners
        .values()
        .filter(|runner| !matches!(runner.state, RunnerState::Clearing | RunnerState::Gone));
    followed
        .filter_map(|runner| {
            let place = at(&state.rules.place_of_runner(runner));
            Some((runner.name.clone(), (place, runner.child.clone()?)))
        })
        .collect()
}

/// Runs until it is aborted. Of a place nothing is told before `listed` has it.
pub async fn follow(
    nomad: Client,
    places: BTreeSet<Place>,
    mut listed: watch::Receiver<BTreeSet<Place>>,
    mut living: watch::Receiver<Living>,
    events: mpsc::UnboundedSender<Event>,
    health: Health,
) {
    let mut tasks = tokio::task::JoinSet::new();
    let mut followed = Vec::new();
    for place in places {
        let (tell, mine) = watch::channel(living_at(&living.borrow_and_update(), &place));
        let (begin, may_begin) = watch::channel(false);
        followed.push((place.clone(), tell, begin));
        let follower = Follower {
            nomad: nomad.clone(),
            place,
            may_begin,
            living: mine,
            seen: BTreeMap::new(),
            index: None,
            stream: None,
            opening: None,
            streams_again: Instant::now(),
            held_up: HeldUp::default(),
        };
        tasks.spawn(follower.run(events.clone(), health.clone()));
    }
    // Each hears of its own alone, in this order: several receivers of one channel would be woken in
    // an order that nobody can repeat.
    loop {
        let all = living.borrow_and_update().clone();
        let begun = listed.borrow_and_update().clone();
        for (place, tell, begin) in &followed {
            let now = begun.contains(place);
            begin.send_if_modified(|before| std::mem::replace(before, now) != now);
            let mine = living_at(&all, place);
            tell.send_if_modified(|before| {
                let changed = *before != mine;
                *before = mine;
                changed
            });
        }
        tokio::select! {
            biased;
            changed = living.changed() => if changed.is_err() { break },
            Ok(()) = listed.changed() => {}
        }
    }
    // The daemon is ending.
    drop(followed);
    tasks.join_all().await;
}

fn living_at(all: &Living, place: &Place) -> Living {
    let mine = all.iter().filter(|(_, (at, _))| at == place);
    mine.map(|(name, living)| (name.clone(), living.clone())).collect()
}

struct Follower {
    nomad: Client,
    place: Place,
    /// Whether its place has been listed.
    may_begin: watch::Receiver<bool>,
    /// Those of its place.
    living: watch::Receiver<Living>,
    /// What was told last, so that only changes are told.
    seen: BTreeMap<RunnerName, ChildPhase>,
    /// For the next blocking query about the same children; without one it asks at once.
    index: Option<u64>,
    stream: Option<EventStream>,
    opening: Option<JoinHandle<Option<EventStream>>>,
    /// When opening the stream is tried again.
    streams_again: Instant,
    held_up: HeldUp,
}

/// What a look has shown.
#[derive(Default)]
struct Look {
    /// What has changed since the last one.
    news: Vec<(RunnerName, ChildPhase)>,
    /// Who does not work yet.
    idle: Vec<Idle>,
    /// Why some of them could not be asked about; the next look comes soon.
    incomplete: Option<Error>,
}

impl Follower {
    async fn run(mut self, events: mpsc::UnboundedSender<Event>, health: Health) {
        let place = self.place.clone();
        if self.may_begin.wait_for(|may| *may).await.is_err() {
            return;
        }
        // The first look is told, whatever it shows.
        let mut away = true;
        let mut again = true;
        loop {
            if !std::mem::take(&mut again) && !self.wait().await {
                return;
            }
            let looked = self.look().await;
            let trouble = looked.as_ref().map_or_else(Some, |look| look.incomplete.as_ref());
            tell(&health, &self.nomad, &place, trouble);
            let Look { news, idle, incomplete } = match looked {
                Ok(look) => look,
                Err(error) => {
                    (away, again) = (true, true);
                    self.index = None;
                    // Closed: the daemon is shutting down, and so is this task.
                    let _ = events.send(went_away(&place, &error));
                    tokio::time::sleep(AWAY).await;
                    continue;
                }
            };
            if away || !news.is_empty() {
                let seen = Children { place: named(&place), phases: news };
                if events.send(Event::ChildrenSeen(seen)).is_err() {
                    return;
                }
            }
            away = false;
            // After the news, for this takes more questions.
            let held_up = self.held_up.ask(&self.nomad, &place, &idle).await;
            if !held_up.is_empty() && events.send(Event::ChildrenHeldUp(held_up)).is_err() {
                return;
            }
            if incomplete.is_some() {
                again = true;
                self.index = None;
                tokio::time::sleep(AWAY).await;
            }
        }
    }

    /// Waits for a reason to look: where there is an index, the look itself waits for one.
    /// False: the daemon is shutting down.
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
        let pause = if by_child(&self.living.borrow()).is_empty() { IDLE } else { OLD_AGENT };
        let over = self.or_a_question(Instant::now() + pause);
        tokio::select! {
            biased;
            changed = self.living.changed() => changed.is_ok(),
            () = tokio::time::sleep_until(over) => true,
        }
    }

    /// That moment, or an earlier one where somebody is to be asked about by then.
    fn or_a_question(&self, over: Instant) -> Instant {
        let soon = Instant::now() + SOON;
        self.held_up.next().map_or(over, |next| next.max(soon).min(over))
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
        let over = self.or_a_question(Instant::now() + LOOK_ANYWAY);
        loop {
            let mine = by_child(&self.living.borrow());
            let about_us =
                |events: &[StreamEvent]| events.iter().any(|e| mine.contains_key(&e.job));
            tokio::select! {
                biased;
                changed = self.living.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return false,
                },
                // However much the stream tells of others.
                () = tokio::time::sleep_until(over) => break,
                events = stream.next() => match events {
                    Ok(events) if about_us(&events) => break,
                    Ok(_) => {}
                    // It is opened anew before the next look but one.
                    Err(_) => {
                        self.streams_again = Instant::now();
                        return true;
                    }
                },
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
    async fn look(&mut self) -> Result<Look, Error> {
        let over = self.or_a_question(Instant::now() + 2 * WAIT);
        loop {
            let living = self.living.borrow_and_update().clone();
            let mine = by_child(&living);
            self.seen.retain(|name, _| mine.values().any(|living| living == name));
            if mine.is_empty() {
                self.index = None;
                self.nomad.may_read(&self.place).await?;
                return Ok(Look::default());
            }
            let ids: Vec<String> = mine.keys().cloned().collect();
            let since = self.index.take();
            let statuses = tokio::select! {
                biased;
                statuses = self.nomad.statuses(&self.place, &ids, since, WAIT) => statuses,
                changed = self.living.changed(), if since.is_some() => {
                    if changed.is_err() {
                        return Ok(Look::default());
                    }
                    tokio::time::sleep(GATHER).await;
                    continue;
                }
                () = tokio::time::sleep_until(over), if since.is_some() => continue,
            };
            let Phases { known, idle, unknown } = match statuses {
                Ok(statuses) => {
                    if since.is_some_and(|since| statuses.index <= since) {
                        tokio::time::sleep(IN_VAIN).await;
                    }
                    let phases = self.phases(&mine, statuses.jobs).await;
                    self.index = Some(statuses.index);
                    phases
                }
                Err(Error::Unsupported { .. }) => self.phases(&mine, Vec::new()).await,
                Err(error) => return Err(error),
            };
            if known.is_empty()
                && let Some(error) = unknown
            {
                return Err(error);
            }
            let news = known.into_iter().filter(|(name, phase)| self.seen.get(name) != Some(phase));
            let news: Vec<_> = news.collect();
            self.seen.extend(news.iter().cloned());
            return Ok(Look { news, idle, incomplete: unknown });
        }
    }

    async fn phases(&self, mine: &BTreeMap<String, RunnerName>, jobs: Vec<ChildStatus>) -> Phases {
        let mut phases = Phases::default();
        let mut missing = mine.clone();
        let mut doubtful = Vec::new();
        for job in jobs {
            let Some(name) = missing.remove(&job.id) else { continue };
            let statuses: Vec<ClientStatus> =
                job.allocations.into_iter().map(|allocation| allocation.client_status).collect();
            let not_started =
                statuses.iter().all(|it| it.is_terminal() || *it == ClientStatus::Pending);
            match brief_phase(&job.status, job.stop, &statuses) {
                Brief::Alive(phase) => {
                    if not_started {
                        let placed = phase != ChildPhase::NotPlaced;
                        phases.idle.push(Idle { child: job.id, runner: name.clone(), placed });
                    }
                    phases.known.push((name, phase));
                }
                Brief::Ended => doubtful.push((job.id, name)),
            }
        }
        doubtful.extend(missing);
        for some in doubtful.chunks(AT_ONCE) {
            let mut asked = tokio::task::JoinSet::new();
            for (child, name) in some.iter().cloned() {
                let (nomad, place) = (self.nomad.clone(), self.place.clone());
                asked.spawn(async move {
                    let phase = phase_of(&nomad, &place, &child).await;
                    (child, name, phase)
                });
            }
            for (child, runner, phase) in asked.join_all().await {
                match phase {
                    Err(error) => phases.unknown = Some(error),
                    Ok(phase) => {
                        if phase == ChildPhase::NotPlaced {
                            let idle = Idle { child, runner: runner.clone(), placed: false };
                            phases.idle.push(idle);
                        }
                        phases.known.push((runner, phase));
                    }
                }
            }
        }
        phases
    }
}

/// Where children stand. One that cannot be asked about hides no other: the more children there are,
/// the likelier it is that one answer of them all is lost.
#[derive(Default)]
struct Phases {
    known: Vec<(RunnerName, ChildPhase)>,
    idle: Vec<Idle>,
    /// Why some are not known.
    unknown: Option<Error>,
}

fn by_child(living: &Living) -> BTreeMap<String, RunnerName> {
    living.iter().map(|(name, (_, child))| (child.clone(), name.clone())).collect()
}

enum Brief {
    Alive(ChildPhase),
    Ended,
}

/// A stop makes the job dead at once, its task up to `kill_timeout` later: both must be over. A job
/// that is stopped while its node is away stays `pending`, even after its allocation has ended, until
/// the `lost_after` of its `disconnect` block (seen on 1.11.3), so there its allocations alone count.
/// One on a node that is away is over as far as anybody can tell: Nomad ends it when the node is back.
fn brief_phase(status: &JobStatus, stopped: bool, allocations: &[ClientStatus]) -> Brief {
    let over = |it: &ClientStatus| it.is_terminal() || (stopped && *it == ClientStatus::Unknown);
    let lives = !allocations.iter().all(over);
    let lost = allocations.iter().any(|a| matches!(a, ClientStatus::Lost | ClientStatus::Unknown));
    match (allocations, status) {
        (all, _) if lives && lost && all.len() > 1 => Brief::Alive(ChildPhase::Replaced),
        _ if lives => Brief::Alive(ChildPhase::Placed),
        (_, JobStatus::Dead) => Brief::Ended,
        ([], _) => Brief::Alive(ChildPhase::NotPlaced),
        _ if stopped => Brief::Ended,
        _ => Brief::Alive(ChildPhase::Placed),
    }
}

/// Where one child stands, asked by id.
pub async fn phase_of(nomad: &Client, place: &Place, child: &str) -> Result<ChildPhase, Error> {
    let job = match nomad.job(place, child).await {
        Ok(job) => job,
        Err(Error::NotFound { .. }) => {
            let how = "Nomad no longer has its child".to_owned();
            return Ok(ChildPhase::Ended { how, placed: true });
        }
        Err(error) => return Err(error),
    };
    let allocations = nomad.allocations(place, child).await?;
    let statuses: Vec<ClientStatus> =
        allocations.iter().map(|allocation| allocation.client_status.clone()).collect();
    Ok(match brief_phase(&job.status, job.stop, &statuses) {
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
    let failed = last.trouble().map(|trouble| match trouble.exit_code {
        Some(OUTDATED) => format!("{trouble}: its actions/runner is outdated"),
        _ => trouble.to_string(),
    });
    match failed {
        Some(how) => format!("its allocation on {} failed: {how}", last.node_name),
        None => format!("its allocation on {} is {}", last.node_name, last.client_status),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wiremock::matchers::path;
    use wiremock::{Mock, ResponseTemplate};

    use super::*;
    use crate::nomad::Address;
    use ClientStatus::{Complete, Lost, Pending, Running, Unknown};

    fn phase(status: JobStatus, stopped: bool, allocations: &[ClientStatus]) -> Option<ChildPhase> {
        match brief_phase(&status, stopped, allocations) {
            Brief::Alive(phase) => Some(phase),
            Brief::Ended => None,
        }
    }

    #[test]
    fn a_child_ends_with_its_allocations() {
        assert_eq!(phase(JobStatus::Pending, false, &[]), Some(ChildPhase::NotPlaced));
        assert_eq!(phase(JobStatus::Running, false, &[Pending]), Some(ChildPhase::Placed));
        assert_eq!(phase(JobStatus::Dead, true, &[Running]), Some(ChildPhase::Placed));
        assert_eq!(phase(JobStatus::Dead, true, &[Complete]), None);
        assert_eq!(phase(JobStatus::Dead, true, &[]), None, "it was never placed");
        let replaced = phase(JobStatus::Running, false, &[Lost, Running]);
        assert_eq!(replaced, Some(ChildPhase::Replaced));
        // Between two allocations.
        assert_eq!(phase(JobStatus::Pending, false, &[Lost]), Some(ChildPhase::Placed));
    }

    /// Two children that have ended; Nomad says of one of them how.
    #[tokio::test]
    async fn one_answer_that_is_lost_hides_no_other() {
        let nomad = wiremock::MockServer::start().await;
        let answer = async |at: &str, answer: ResponseTemplate| {
            Mock::given(path(at)).respond_with(answer).mount(&nomad).await;
        };
        let ok = |body| ResponseTemplate::new(200).set_body_json(body);
        let child = |id: &str| json!({"ID": id, "Name": id, "Status": "dead", "Stop": false});
        answer("/v1/jobs/statuses", ok(json!([child("one"), child("two")]))).await;
        answer("/v1/job/one", ResponseTemplate::new(502)).await;
        answer("/v1/job/two", ok(child("two"))).await;
        answer("/v1/job/two/allocations", ok(json!([]))).await;
        let connection = crate::nomad::Connection::to(Address::Http(nomad.uri().parse().unwrap()));
        let client = Client::new(connection).unwrap();
        let place = client.place().clone();
        let living = [("a", "one"), ("b", "two")]
            .map(|(name, child)| (RunnerName(name.to_owned()), (place.clone(), child.to_owned())));
        let (events, mut told) = mpsc::unbounded_channel();
        let health = Health::new(super::super::Happenings::new(clock::Clock::system()));
        let (_listed, listed) = watch::channel(BTreeSet::from([place.clone()]));
        let (_living, living) = watch::channel(Living::from(living));
        let places = BTreeSet::from([place]);
        let following = follow(client, places, listed, living, events, health.clone());
        let Some(Event::ChildrenSeen(seen)) = (tokio::select! {
            () = following => None,
            event = told.recv() => event,
        }) else {
            panic!("nothing was seen");
        };
        assert!(matches!(&seen.phases[..], [(name, ChildPhase::Ended { .. })] if name.0 == "b"));
        assert!(health.degraded()[0].contains("/v1/job/one"), "{:?}", health.degraded());
    }

    /// As in the scenario `node-lost-and-child-stopped` of the record.
    #[test]
    fn a_child_that_was_stopped_while_its_node_was_away_holds_no_place() {
        assert_eq!(phase(JobStatus::Running, false, &[Unknown]), Some(ChildPhase::Placed));
        assert_eq!(phase(JobStatus::Pending, true, &[Unknown]), None, "its node is away");
        assert_eq!(phase(JobStatus::Pending, true, &[Complete]), None, "and back");
        assert_eq!(phase(JobStatus::Pending, true, &[Running]), Some(ChildPhase::Placed));
        assert_eq!(phase(JobStatus::Pending, true, &[]), Some(ChildPhase::NotPlaced));
    }
}
