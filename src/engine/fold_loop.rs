//! The one place where the ledger changes: events in, one transaction for all that has
//! gathered, and only then requests out.
//!
//! A request's row is on disk before the request leaves, so that a restart knows what may
//! have been sent.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::children::{self, Living};
use super::happenings::Happenings;
use super::helpers::Helpers;
use super::incoming::{self, Incoming, Past};
use super::places;
use super::steady::Steady;
use super::taking::Taken;
use super::witness::Witness;
use super::workers::Workers;
use super::{Health, Operation, Query, Setup, overview, rules, views};
use crate::ledger::{
    Effects, Event, Happening, JobStatus, PoolName, Record, Request, State, Time, Verdict, step,
};
use crate::log_lines;
use crate::metrics::Metrics;
use crate::store::{AsyncReader, Delivery, Reader, Store};
use crate::webhook::Handed;

/// Events that go into one transaction at most.
const BATCH: usize = 256;
/// Between tries to write while the store refuses.
const WRITE_AGAIN: Duration = Duration::from_millis(500);

pub struct FoldLoop {
    pub state: State,
    pub store: Store,
    pub reader: AsyncReader,
    /// What the life before kept and did not fold.
    pub inbox: Vec<Delivery>,
    pub deliveries: mpsc::UnboundedReceiver<Handed>,
    /// Handed in and not taken yet: just now, or while the store refused.
    pub held: Vec<Handed>,
    pub incoming: mpsc::UnboundedReceiver<Event>,
    pub asked: mpsc::Receiver<Query>,
    pub live: watch::Sender<Living>,
    pub workers: Workers,
    pub helpers: Helpers,
    /// Repositories that an earlier life has served lately.
    pub served_before: Vec<String>,
    /// The setup of a reload, until what follows from it is on disk.
    pub renewed: Option<Box<Setup>>,
    pub health: Health,
    pub happenings: Happenings,
    pub metrics: Metrics,
    pub clock: Steady,
    pub stop: CancellationToken,
    pub grace: Duration,
    /// Once it is to end: until when it may take.
    pub over: Option<tokio::time::Instant>,
    pub rng: StdRng,
    pub witness: Option<Box<dyn Witness>>,
}

/// What one turn of the loop has gathered.
#[derive(Default)]
pub(super) struct Batch {
    records: Vec<Record>,
    requests: Vec<Request>,
    happenings: Vec<Happening>,
    pub(super) taken: Taken,
    /// Whoever waits until this is on disk.
    replies: Vec<oneshot::Sender<Result<(), String>>>,
}

impl FoldLoop {
    pub async fn run(mut self) {
        let mut rng = self.rng.clone();
        let mut batch = Batch::default();
        let now = self.now();
        let effects = step::resume(&mut self.state, now, &mut rng);
        self.watched(effects, &mut batch);
        self.finish(&mut batch, true).await;
        let inbox = std::mem::take(&mut self.inbox);
        for deliveries in inbox.chunks(BATCH) {
            let past = self.past_of_inbox(deliveries).await;
            for delivery in deliveries {
                self.fold_delivery(delivery.clone(), &past, &mut rng, &mut batch);
            }
            self.finish(&mut batch, true).await;
        }
        loop {
            let due = self.state.next_timer().map(|due| due.since(self.now()));
            let mut first = None;
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                () = std::future::ready(()), if !self.held.is_empty() => {}
                Some(event) = self.incoming.recv() => first = Some(Incoming::Event(event)),
                Some(handed) = self.deliveries.recv() => first = Some(Incoming::Handed(handed)),
                Some(query) = self.asked.recv() => self.ask(query, &mut rng, &mut batch).await,
                () = until(due) => first = Some(Incoming::Event(Event::Tick)),
            }
            self.gather(first, &mut rng, &mut batch).await;
            self.finish(&mut batch, true).await;
        }
        self.wind_up(&mut rng).await;
    }

    fn now(&self) -> Time {
        self.clock.now()
    }

    /// Takes whatever else is there already, so that one commit serves it all.
    async fn gather(&mut self, first: Option<Incoming>, rng: &mut StdRng, batch: &mut Batch) {
        let mut incoming = Vec::from_iter(first);
        incoming.extend(std::mem::take(&mut self.held).into_iter().map(Incoming::Handed));
        for _ in 0..BATCH {
            if let Ok(event) = self.incoming.try_recv() {
                incoming.push(Incoming::Event(event));
            } else if let Ok(handed) = self.deliveries.try_recv() {
                incoming.push(Incoming::Handed(handed));
            } else {
                break;
            }
        }
        self.fold_all(incoming, rng, batch).await;
        // However much comes in, timers and questions have their turn.
        if self.state.next_timer().is_some_and(|due| due <= self.now()) {
            self.fold(Event::Tick, rng, batch);
        }
        while let Ok(query) = self.asked.try_recv() {
            self.ask(query, rng, batch).await;
        }
    }

    async fn fold_all(&mut self, mut incoming: Vec<Incoming>, rng: &mut StdRng, batch: &mut Batch) {
        let past = self.past(&mut incoming).await;
        for one in incoming {
            match one {
                Incoming::Event(event) => self.fold_told(event, &past, rng, batch),
                Incoming::Handed(handed) => self.take(handed, &past, rng, batch),
            }
        }
    }

    fn fold_told(&mut self, mut event: Event, past: &Past, rng: &mut StdRng, batch: &mut Batch) {
        let again = self.drop_what_is_over(&mut event, past);
        self.fold(event, rng, batch);
        again.into_iter().for_each(|event| self.fold(event, rng, batch));
    }

    pub(super) fn fold(&mut self, event: Event, rng: &mut StdRng, batch: &mut Batch) {
        self.follow_the_clock(rng, batch);
        let now = self.now();
        self.step(event, now, rng, batch);
    }

    /// Before anything is judged by how long it has lasted.
    fn follow_the_clock(&mut self, rng: &mut StdRng, batch: &mut Batch) {
        if let Some(by) = self.clock.jump() {
            let (jump, now) = (Event::ClockJumped { by }, self.now());
            self.step(jump, now, rng, batch);
        }
    }

    fn step(&mut self, event: Event, now: Time, rng: &mut StdRng, batch: &mut Batch) {
        if let Some(witness) = &mut self.witness {
            witness.folding(&event);
        }
        let effects = step::step(&mut self.state, event, now, rng);
        self.watched(effects, batch);
    }

    fn watched(&mut self, effects: Effects, batch: &mut Batch) {
        if let Some(witness) = &mut self.witness {
            witness.folded(&self.state, &effects);
        }
        batch.take(effects);
    }

    /// Listings lag: what they say of jobs that the store knows to have ended is too late. Where
    /// an end is not final it may be a rerun, and is told as that.
    fn drop_what_is_over(&self, event: &mut Event, past: &Past) -> Vec<Event> {
        let Some(reports) = incoming::reports(event) else { return Vec::new() };
        let mut again = Vec::new();
        reports.retain(|report| {
            let open = self.state.jobs.contains_key(&report.id);
            if open || report.status == JobStatus::Completed {
                return true;
            }
            let known = match self.state.known_job(report.id) {
                Some(job) => Ok(Some(job.clone())),
                None => past.job(report.id),
            };
            match known {
                Ok(Some(past)) if past.ended_at.is_some() => {
                    if self.state.may_open_again(&past) {
                        let (past, report) = (Box::new(past), Box::new(report.clone()));
                        again.push(Event::SeenAgain { past, report });
                    }
                    false
                }
                Ok(_) => true,
                Err(error) => {
                    let job = report.id.0;
                    error!(%error, job, "cannot read a job from the store; it is left as it is");
                    false
                }
            }
        });
        again
    }

    async fn ask(&mut self, query: Query, rng: &mut StdRng, batch: &mut Batch) {
        self.follow_the_clock(rng, batch);
        let (operation, reply) = match query {
            Query::Operate(operation, reply) => (operation, reply),
            Query::Reload(setup, reply) => {
                self.renew(&setup);
                let rules = Box::new(rules(&setup.settings));
                let unserved = self.reader.read(Reader::unserved).await.flatten();
                let unserved = unserved.unwrap_or_else(|error| {
                    error!(%error, "cannot read the unserved jobs from the store; they are matched again at the next start");
                    Vec::new()
                });
                self.fold(Event::Rules(rules), rng, batch);
                self.fold(Event::Unserved(unserved), rng, batch);
                self.renewed = Some(setup);
                return batch.replies.push(reply);
            }
            query => return self.answer(query),
        };
        match self.event_of(operation) {
            Ok(event) => {
                self.fold(event, rng, batch);
                batch.replies.push(reply);
            }
            // Whoever asked may have gone.
            Err(why) => drop(reply.send(Err(why))),
        }
    }

    /// What follows from the new rules is carried out by the new setup already.
    fn renew(&mut self, setup: &Setup) {
        self.health = self.health.start_anew();
        self.workers.renew(setup, self.health.clone());
        self.grace = setup.settings.shutdown_grace;
    }

    fn event_of(&self, operation: Operation) -> Result<Event, String> {
        let known = |pool: PoolName| match self.state.rules.pool(&pool) {
            Some(_) => Ok(pool),
            None => Err(format!("there is no pool {pool}")),
        };
        Ok(match operation {
            Operation::Pause(pool, time) => {
                Event::Pause { pool: known(pool)?, until: time.map(|time| self.now() + time) }
            }
            Operation::Resume(pool) => Event::Resume { pool: known(pool)? },
            Operation::Retry(job) if self.state.jobs.contains_key(&job) => Event::Retry { job },
            Operation::Retry(job) => {
                let known = self.state.known_job(job);
                return Err(match known.map(|job| &job.verdict) {
                    Some(Verdict::Unserved(why)) => format!("no pool serves job {job}: {why}"),
                    Some(_) => format!("job {job} is done"),
                    None => format!("no open job {job} is known; see roustabout explain {job}"),
                });
            }
        })
    }

    /// Writes, then answers, then (if `act`) sends, then logs.
    async fn finish(&mut self, batch: &mut Batch, act: bool) {
        let Batch { mut records, requests, happenings, taken, replies } = std::mem::take(batch);
        let at = self.now();
        let kept = happenings.iter().filter(|happening| happening.about.is_of_a_story());
        records.extend(
            kept.map(|happening| Record::Happened { at, happening: Box::new(happening.clone()) }),
        );
        let runners = records.iter().any(|record| matches!(record, Record::Runner(_)));
        if !self.write(records, taken).await {
            return;
        }
        self.state.recorded();
        if let Some(setup) = self.renewed.take() {
            self.tell_living();
            let places = places::places(&setup, &self.state);
            self.helpers.start(&setup, places, self.health.clone());
        }
        for reply in replies {
            // Whoever asked may have gone.
            let _ = reply.send(Ok(()));
        }
        if act {
            for request in requests {
                self.workers.carry_out(request);
            }
        }
        // What was sent goes first, for nobody waits for the log.
        tokio::task::yield_now().await;
        if runners {
            self.tell_living();
        }
        if !happenings.is_empty() {
            for happening in &happenings {
                let job = happening.about.job.and_then(|id| self.state.known_job(id));
                self.metrics.happened(happening, job, self.now());
            }
            log_lines::together(|| {
                happenings.into_iter().for_each(|happening| self.happenings.tell(happening));
            });
        }
    }

    fn tell_living(&self) {
        let living = children::living(&self.state);
        self.live.send_if_modified(|before| {
            let changed = *before != living;
            *before = living;
            changed
        });
    }

    /// Does not return before the rows are on disk, for nothing may be sent that is not owed;
    /// false: they are not, and the daemon has to end.
    async fn write(&mut self, records: Vec<Record>, mut taken: Taken) -> bool {
        if records.is_empty() {
            taken.kept();
            return true;
        }
        let mut records = Arc::new(records);
        let mut failed = false;
        while let Err(error) = self.store.commit(records.clone()).await {
            if !failed {
                warn!(%error, "cannot write to the store; retrying, no action is taken until it succeeds");
            }
            failed = true;
            self.health.report("store", "", Some(error.to_string()));
            std::mem::take(&mut taken).refuse(&error, Arc::make_mut(&mut records));
            self.refuse_held(&error);
            let again = tokio::time::Instant::now() + WRITE_AGAIN;
            while tokio::select! {
                biased;
                // However much is asked.
                () = tokio::time::sleep_until(again) => false,
                // Somebody waits for the answer: it is found out now.
                Some(handed) = self.deliveries.recv() => { self.held.push(handed); false }
                Some(query) = self.asked.recv() => { self.answer(query); true }
            } {}
            if self.stop.is_cancelled() && tokio::time::Instant::now() >= self.ends_at() {
                error!(
                    "stopped without writing the last answers to the store; the next start asks for them again"
                );
                return false;
            }
        }
        if failed {
            self.health.report("store", "", None);
        }
        taken.kept();
        true
    }

    fn ends_at(&mut self) -> tokio::time::Instant {
        *self.over.get_or_insert_with(|| tokio::time::Instant::now() + self.grace)
    }

    fn answer(&mut self, query: Query) {
        // Whoever asked may have gone.
        match query {
            Query::Status(to) => {
                let _ = to.send(views::status(&self.state, self.now(), self.health.degraded()));
            }
            Query::Overview(limit, to) => {
                let degraded = self.health.degraded();
                let _ = to.send(overview::overview(&self.state, self.now(), degraded, limit));
            }
            Query::Reasons(jobs, to) => {
                let _ = to.send(views::reasons(&self.state, &jobs, self.now()));
            }
            Query::Turn(job, to) => {
                let _ = to.send(views::turn(&self.state, job, self.now()));
            }
            Query::Known(to) => {
                let mut known = views::known(&self.state, self.now());
                // Said once: the sweeps remember it for as long.
                known.repositories.extend(std::mem::take(&mut self.served_before));
                let _ = to.send(known);
            }
            // While the store refuses, nothing can be promised.
            Query::Operate(_, to) | Query::Reload(_, to) => {
                let _ = to.send(Err("cannot write to the store".to_owned()));
            }
        }
    }

    /// Folds the answers of what is in flight, and begins nothing new. Deliveries go into the
    /// inbox, for the next start.
    async fn wind_up(mut self, rng: &mut StdRng) {
        self.take_no_more().await;
        let over = self.ends_at();
        while self.workers.are_busy() {
            let event = tokio::select! {
                biased;
                () = tokio::time::sleep_until(over) => break,
                event = self.incoming.recv() => event,
                () = tokio::time::sleep(Duration::from_millis(20)) => continue,
            };
            let Some(event) = event else { break };
            let mut batch = Batch::default();
            self.fold_all(vec![Incoming::Event(event)], rng, &mut batch).await;
            self.finish(&mut batch, false).await;
        }
        while let Ok(event) = self.incoming.try_recv() {
            let mut batch = Batch::default();
            self.fold_all(vec![Incoming::Event(event)], rng, &mut batch).await;
            self.finish(&mut batch, false).await;
        }
    }
}

impl Batch {
    fn take(&mut self, effects: Effects) {
        self.records.extend(effects.records);
        self.requests.extend(effects.requests);
        self.happenings.extend(effects.happenings);
    }
}

/// Sleeps until that is over; for ever where there is nothing.
async fn until(due: Option<Duration>) {
    match due {
        Some(due) => tokio::time::sleep(due).await,
        None => std::future::pending().await,
    }
}
