//! What the simulation remembers to judge by, beside the models: the daemon never sees it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ledger::RunnerName;
use simulated::github::model::Millis;
use simulated::nomad::JobKey;

use crate::claims::Claims;

#[derive(Default)]
pub struct Watching {
    /// Deliveries that were answered with 2xx.
    promised: BTreeSet<String>,
    /// Jobs that need not succeed: cancelled, or their machine was lost.
    excused: BTreeSet<u64>,
    /// When the last look at a runner showed that it has no job.
    looks: BTreeMap<RunnerName, Millis>,
    /// When its registration was deleted.
    deletions: BTreeMap<RunnerName, Millis>,
    /// Children that Nomad has shown as dead.
    dead: BTreeMap<JobKey, Millis>,
    /// Since when the ledger knows a child.
    known: BTreeMap<JobKey, Millis>,
    /// Nomad's index at the last check of the cluster.
    pub index: u64,
    /// How many runners were listed as busy, over all listings.
    pub listings: usize,
    /// When jobs at work were listed last.
    pub jobs_listed_at: Millis,
    /// The job, and since when, of a runner whose registration is being deleted.
    pub given: Option<(u64, Millis)>,
    /// Runners whose dispatch was sent and not answered.
    pub dispatching: BTreeSet<RunnerName>,
    /// When a look at a runner was asked for.
    pub asked: BTreeMap<RunnerName, Millis>,
    /// Children whose dispatch was given up before it arrived.
    pub late: BTreeSet<JobKey>,
    /// The registration tokens that were given out last.
    pub minted: VecDeque<String>,
    pub claims: Claims,
    /// How often was folded at this moment.
    folds: (Millis, u32),
    broken: Option<String>,
}

/// Many more than there are jobs.
const FOLDS_AT_ONCE: u32 = 5_000;
/// How many of the tokens that were given out are looked for.
const TOKENS: usize = 6;

impl Watching {
    pub fn minted(&mut self, token: String) {
        if !self.minted.contains(&token) {
            self.minted.push_back(token);
        }
        if self.minted.len() > TOKENS {
            self.minted.pop_front();
        }
    }

    pub fn promised(&mut self, guid: &str) {
        self.promised.insert(guid.to_owned());
    }

    /// The disk is lost, and with it what was promised.
    pub fn forget_promises(&mut self) {
        self.promised.clear();
    }

    pub fn promises(&self) -> impl Iterator<Item = &String> {
        self.promised.iter()
    }

    pub fn excuse(&mut self, job: u64) {
        self.excused.insert(job);
    }

    /// It is begun anew, and is to succeed.
    pub fn expect(&mut self, job: u64) {
        self.excused.remove(&job);
    }

    pub fn is_excused(&self, job: u64) -> bool {
        self.excused.contains(&job)
    }

    pub fn looked(&mut self, runner: &RunnerName, at: Millis) {
        self.looks.insert(runner.clone(), at);
    }

    pub fn look_at(&self, runner: &RunnerName) -> Option<Millis> {
        self.looks.get(runner).copied()
    }

    pub fn deleted(&mut self, runner: &RunnerName, at: Millis) {
        self.deletions.entry(runner.clone()).or_insert(at);
    }

    pub fn deletion_of(&self, runner: &RunnerName) -> Option<Millis> {
        self.deletions.get(runner).copied()
    }

    pub fn died(&mut self, child: &JobKey, at: Millis) {
        if !self.dead.contains_key(child) {
            self.dead.insert(child.clone(), at);
        }
    }

    pub fn death_of(&self, child: &JobKey) -> Option<Millis> {
        self.dead.get(child).copied()
    }

    pub fn known_since(&mut self, child: &JobKey, now: Millis) -> Millis {
        *self.known.entry(child.clone()).or_insert(now)
    }

    pub fn was_dead(&self, child: &JobKey) -> bool {
        self.dead.contains_key(child)
    }

    /// Time goes on: nothing is asked for and answered at one moment for ever.
    pub fn folds(&mut self, now: Millis) {
        self.folds = if self.folds.0 == now { (now, self.folds.1 + 1) } else { (now, 1) };
        if self.folds.1 > FOLDS_AT_ONCE {
            self.broken(|| format!("{FOLDS_AT_ONCE} folds, and no time passes"));
        }
    }

    /// A promise is broken; the first counts.
    pub fn broken(&mut self, how: impl FnOnce() -> String) {
        if self.broken.is_none() {
            self.broken = Some(how());
        }
    }

    pub fn verdict(&self) -> Result<(), String> {
        self.broken.clone().map_or(Ok(()), Err)
    }
}
