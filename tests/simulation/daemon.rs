//! The daemon's one loop: events in, the real `step`, one transaction, and only then requests.
//!
//! As `engine::fold_loop`, with the moments in which it can die made visible. Read next: `carrier`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use roustabout::ledger::event::Webhook;
use roustabout::ledger::observation::Observation;
use roustabout::ledger::{
    DeliveryId, Effects, Event, Happening, JobStatus, PoolName, Record, Request, Rules, RunnerName,
    ScopeKey, State, step,
};
use roustabout::store::Delivery;
use simulated::github::hooks;
use simulated::github::model::{HOUR, Millis, SECOND};
use simulated::nomad::JobSpec;

use crate::agenda::Act;
use crate::carrier::Flight;
use crate::disk::Disk;
use crate::follower::Follower;
use crate::gitea;
use crate::reconciler::{Look, Reconciler};
use crate::troubles::Trouble;
use crate::world::World;

/// Events that go into one transaction at most, as in the engine.
const BATCH: usize = 256;
/// Between tries to write while the disk is full, as in the engine.
const WRITE_AGAIN: Millis = 500;

/// A delivery on its way into the ledger.
pub struct Handed {
    pub row: Delivery,
    /// GitHub waits for the answer. `None`: it is in the inbox already.
    pub waiting: Option<Box<hooks::Delivery>>,
}

/// One life of the daemon: all of it is lost in a crash.
pub struct Daemon {
    pub state: State,
    pub incoming: VecDeque<Event>,
    pub deliveries: VecDeque<Handed>,
    /// Registration tokens, in memory only.
    pub tokens: BTreeMap<ScopeKey, (String, Millis)>,
    /// What parameterized jobs were believed to take, and since when.
    pub believed: BTreeMap<PoolName, (Millis, JobSpec)>,
    /// What parameterized jobs were when they refused.
    pub refused: BTreeMap<PoolName, Option<u64>>,
    pub watched: Vec<PoolName>,
    pub follower: Follower,
    pub reconciler: Reconciler,
    pub gitea: gitea::Memory,
    /// Runners whose dispatch is under way.
    pub dispatching: BTreeSet<RunnerName>,
    pub since: Millis,
    /// A small step of the clock has moved what is in memory, and no row.
    pub rows_lag: bool,
    /// How far the clock of its machine was ahead when it looked last.
    skew: Millis,
    rng: StdRng,
    /// What is being written, and what leaves once it is.
    writing: Option<Batch>,
}

#[derive(Default)]
pub struct Batch {
    pub records: Vec<Record>,
    pub requests: Vec<Request>,
    pub happenings: Vec<Happening>,
    /// What is made durable by this, and who waits for it.
    taken: BTreeSet<DeliveryId>,
    waiting: Vec<hooks::Delivery>,
}

impl Daemon {
    /// When its loop does something by itself.
    pub fn next(&self) -> Option<Millis> {
        if self.writing.is_some() {
            return None;
        }
        self.state.next_timer().map(|time| time.0 - self.skew)
    }

    /// As `FoldLoop::fold`: what is said of jobs that have ended is dropped, or told as what may be
    /// a rerun.
    fn in_order(&mut self, mut event: Event, disk: &Disk) -> Vec<Event> {
        let reports = match &mut event {
            Event::JobsSeen { answer: Ok(found), .. } => Some(&mut found.reports),
            Event::Observed(observation) => match observation.as_mut() {
                Observation::Swept { reports, .. } => Some(reports),
                _ => None,
            },
            Event::Looked { answer: Ok(Observation::Swept { reports, .. }), .. } => Some(reports),
            _ => None,
        };
        let mut again = Vec::new();
        if let Some(reports) = reports {
            reports.retain(|report| {
                if self.state.jobs.contains_key(&report.id) || report.status == JobStatus::Completed
                {
                    return true;
                }
                let known = self.state.known_job(report.id).cloned();
                let past = known.or_else(|| disk.job(report.id));
                let Some(past) = past.filter(|job| job.ended_at.is_some()) else { return true };
                if self.state.may_open_again(&past) {
                    let (past, report) = (Box::new(past), Box::new(report.clone()));
                    again.push(Event::SeenAgain { past, report });
                }
                false
            });
        }
        std::iter::once(event).chain(again).collect()
    }
}

impl World {
    pub fn start(&mut self) {
        if self.daemon.is_some() {
            return;
        }
        self.life += 1;
        let unfinished = self.disk.unfinished();
        let jobs = self.disk.open_jobs();
        self.story.tell(self.now, "daemon", || {
            let (jobs, runners) = (jobs.len(), unfinished.runners.len());
            format!(
                "starts with {jobs} jobs, {runners} runners, {} in the inbox",
                unfinished.inbox.len()
            )
        });
        let rules = self.rules_of_this_start();
        let mut state = State::load(rules, unfinished.repositories, jobs, unfinished.runners);
        state.breakers = unfinished.breakers;
        let mut daemon = Daemon {
            state,
            incoming: VecDeque::new(),
            deliveries: unfinished
                .inbox
                .into_iter()
                .map(|row| Handed { row, waiting: None })
                .collect(),
            tokens: BTreeMap::new(),
            believed: BTreeMap::new(),
            refused: BTreeMap::new(),
            watched: Vec::new(),
            follower: Follower::default(),
            reconciler: Reconciler::default(),
            gitea: gitea::Memory::default(),
            dispatching: BTreeSet::new(),
            since: self.now,
            rows_lag: false,
            skew: self.skew,
            rng: StdRng::seed_from_u64(self.rng.random()),
            writing: None,
        };
        let mut batch = Batch::default();
        batch.take(step::resume(&mut daemon.state, self.time(), &mut daemon.rng));
        self.daemon = Some(daemon);
        self.write(batch);
        for look in [Look::FirstChildren, Look::Begin] {
            self.agenda.enter(self.now, Act::Reconcile { life: self.life, look });
        }
        self.after_start();
    }

    /// One turn of the loop, where there is something to fold and nothing is being written.
    pub fn turn(&mut self) {
        let now = self.time();
        let Some(daemon) = &mut self.daemon else { return };
        let due = daemon.next().is_some_and(|at| at <= self.now);
        let idle = daemon.incoming.is_empty() && daemon.deliveries.is_empty() && !due;
        if daemon.writing.is_some() || idle {
            return;
        }
        let mut batch = Batch::default();
        // As `engine::steady`.
        let by = self.skew - std::mem::replace(&mut daemon.skew, self.skew);
        if by != 0 {
            // Rows follow from a minute on.
            daemon.rows_lag = by.abs() < 60 * SECOND;
            let jump = Event::ClockJumped { by };
            batch.take(step(&mut daemon.state, jump, now, &mut daemon.rng));
        }
        for _ in 0..BATCH {
            let event = if let Some(event) = daemon.incoming.pop_front() {
                event
            } else if let Some(Handed { row: delivery, waiting }) = daemon.deliveries.pop_front() {
                if let Some(waiting) = waiting {
                    batch.waiting.push(*waiting);
                    if self.disk.deliveries.contains_key(&delivery.id)
                        || !batch.taken.insert(delivery.id.clone())
                    {
                        continue;
                    }
                }
                let known = |id| daemon.state.known_job(id).is_some();
                let unknown = delivery.report.as_ref().map(|report| report.id);
                let past = unknown.filter(|id| !known(*id)).and_then(|id| self.disk.job(id));
                Event::Webhook(Box::new(Webhook {
                    delivery: delivery.id,
                    received_at: delivery.received_at,
                    repository: delivery.repository,
                    report: delivery.report,
                    past: past.map(Box::new),
                }))
            } else {
                break;
            };
            for event in daemon.in_order(event, &self.disk) {
                let effects = step(&mut daemon.state, event, now, &mut daemon.rng);
                Self::check_requests(
                    &self.github,
                    self.setting.public,
                    &daemon.state,
                    &effects.requests,
                    &mut self.watching,
                );
                batch.take(effects);
            }
        }
        if daemon.state.next_timer().is_some_and(|at| at <= now) {
            batch.take(step(&mut daemon.state, Event::Tick, now, &mut daemon.rng));
        }
        if self.strikes(Trouble::Crashes, 0.01) {
            self.unanswered(batch);
            self.crash("dies before its commit");
            return;
        }
        self.write(batch);
    }

    fn write(&mut self, batch: Batch) {
        for note in &batch.happenings {
            self.story.tell(self.now, "daemon", || in_words(note));
        }
        let least = if batch.records.is_empty() { 0 } else { 1 };
        let takes = match self.strikes(Trouble::DiskSlow, 0.2) {
            true => self.draw(100, 5 * SECOND),
            false => self.draw(least, 20 * least),
        };
        self.check_ledger();
        self.check_secrets(&batch);
        if let Some(daemon) = &mut self.daemon {
            daemon.writing = Some(batch);
            self.agenda.enter(self.now + takes, Act::Written { life: self.life });
        }
    }

    /// The transaction is through: the requests may leave.
    pub fn written(&mut self, life: u32) {
        if life != self.life {
            return;
        }
        let Some(mut batch) = self.daemon.as_mut().and_then(|daemon| daemon.writing.take()) else {
            return;
        };
        if !batch.records.is_empty() && self.strikes(Trouble::DiskFull, 0.4) {
            return self.refuse(batch);
        }
        let closed = self.closed_in_rows();
        self.disk.commit(batch.records);
        self.check_pauses(&closed, &batch.requests);
        if let Some(daemon) = &mut self.daemon {
            daemon.state.recorded();
        }
        for delivery in std::mem::take(&mut batch.waiting) {
            self.watching.promised(&delivery.guid);
            self.answered(delivery, Some(202));
        }
        self.check_rows();
        if !batch.requests.is_empty() && self.strikes(Trouble::Crashes, 0.02) {
            self.crash("dies after its commit, before anything is sent");
            return;
        }
        for request in batch.requests {
            self.check_once(&request);
            self.send(Flight::new(life, request));
        }
    }

    /// As `Taken::refuse`: what was folded is written by and by, and who waits is told that
    /// nothing is kept.
    fn refuse(&mut self, mut batch: Batch) {
        let taken = std::mem::take(&mut batch.taken);
        batch.records.retain(|record| match record {
            Record::Folded { delivery, .. } => !taken.contains(delivery),
            _ => true,
        });
        let mut refused = std::mem::take(&mut batch.waiting);
        let Some(daemon) = &mut self.daemon else { return };
        for handed in std::mem::take(&mut daemon.deliveries) {
            match handed.waiting {
                Some(waiting) => refused.push(*waiting),
                None => daemon.deliveries.push_back(handed),
            }
        }
        daemon.writing = Some(batch);
        for delivery in refused {
            self.answered(delivery, Some(503));
        }
        self.agenda.enter(self.now + WRITE_AGAIN, Act::Written { life: self.life });
    }

    fn unanswered(&mut self, batch: Batch) {
        for delivery in batch.waiting {
            self.answered(delivery, None);
        }
    }

    pub fn hear(&mut self, life: u32, event: Event) {
        if life != self.life {
            return;
        }
        if let Some(daemon) = &mut self.daemon {
            if let Event::DispatchAnswered { runner, .. } = &event {
                daemon.dispatching.remove(runner);
            }
            daemon.incoming.push_back(event);
        }
    }

    /// The config as this start finds it: as it was, or with a pool gone or smaller.
    fn rules_of_this_start(&mut self) -> Rules {
        let mut rules = self.rules.clone();
        if self.life > 1 && self.strikes(Trouble::ConfigChanges, 0.5) {
            let which = usize::try_from(self.draw(0, 1)).unwrap_or(0);
            if self.draw(0, 1) == 0 {
                rules.pools.remove(which);
            } else {
                rules.pools[which].max_runners = 1;
            }
        }
        rules
    }

    /// Everything in memory is gone. What was being written may have got to the disk or not; what
    /// is under way may act or not.
    pub fn crash(&mut self, how: &str) {
        let Some(mut daemon) = self.daemon.take() else { return };
        self.story.tell(self.now, "daemon", || how.to_owned());
        self.life += 1;
        if let Some(mut batch) = daemon.writing.take() {
            if self.rng.random_bool(0.5) {
                self.disk.commit(std::mem::take(&mut batch.records));
            }
            self.unanswered(batch);
        }
        for Handed { row, waiting } in daemon.deliveries {
            if let Some(waiting) = waiting {
                self.left_in_inbox(*waiting, row);
            }
        }
        let long = self.weather.has(Trouble::OffForHours) && self.rng.random_bool(0.3);
        // Not for most of the day after which GitHub cancels what waits.
        let off = match long && self.off_in_all < 12 * HOUR {
            true => self.draw(3 * HOUR, 6 * HOUR),
            false => *self.pick(&[100, SECOND, 10 * SECOND, 120 * SECOND]).get_or_insert(0),
        };
        self.off_in_all += off;
        self.starts_at = self.now + off;
        self.agenda.enter(self.starts_at, Act::Start);
    }
}

impl Batch {
    fn take(&mut self, effects: Effects) {
        self.records.extend(effects.records);
        self.requests.extend(effects.requests);
        self.happenings.extend(effects.happenings);
    }
}

fn in_words(happening: &Happening) -> String {
    let about = &happening.about;
    let job = about.job.map(|id| format!(" job={id}")).unwrap_or_default();
    let runner = about.runner.as_ref().map(|name| format!(" runner={name}")).unwrap_or_default();
    let warn = if happening.what.is_warning() { "! " } else { "" };
    format!("{warn}{happening}{job}{runner}")
}
