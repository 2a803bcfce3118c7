//! Ends without a job, counted against what they follow from: the data of one job, the runners
//! of one scope, or what the scopes of a pool share.
//!
//! One job that fails again and again says something of that job alone. Where runners of two jobs
//! fail it is their scope's, and where those of three scopes do it is the pool's. How they are
//! counted and what follows is in `step::breaker`; all of it outlives a restart.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::backoff::AT_MOST;
use super::state::Gate;
use super::{Job, JobId, PoolName, RunnerName, ScopeKey, Time};

/// Ends in a row, those together once, after which one runner at a time is launched.
pub const OPENS_AT: u32 = 3;

/// Whose a breaker is: a pool's, or that of one of its scopes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BreakerKey {
    pub pool: PoolName,
    pub scope: Option<ScopeKey>,
}

/// Where an end came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A runner that was launched for this job, which still waits.
    Job(JobId),
    /// One of which no waiting job is the cause.
    Runner(RunnerName),
    Scope(ScopeKey),
}

/// Counts ends without a job since the last runner that got one, those together once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    pub ends: u32,
    /// When the last of them was counted: who had been sent before then ended together with it.
    pub counted_at: Option<Time>,
    /// Where they came from, as many as matter.
    pub from: BTreeSet<Source>,
    /// Closed for a while, for it is not one source's fault alone.
    pub gate: Option<Gate>,
}

impl Breaker {
    /// One runner at a time, because it goes on.
    pub fn is_open(&self) -> bool {
        self.gate.is_some() && self.ends >= OPENS_AT
    }

    /// Takes an end into the count; false where it counts for nothing here: it came together with
    /// the last one, or is the same source's as all before.
    pub(super) fn count(&mut self, from: &BTreeSet<Source>, sent: Option<Time>, now: Time) -> bool {
        if self.counted_at.is_some_and(|counted| sent.is_none_or(|sent| sent <= counted)) {
            self.add(from);
            return false;
        }
        let news = !from.is_subset(&self.from);
        self.add(from);
        if !news && self.from.len() < 2 {
            return false;
        }
        self.ends += 1;
        self.counted_at = Some(now);
        true
    }

    fn add(&mut self, from: &BTreeSet<Source>) {
        for source in from {
            if self.from.len() < OPENS_AT as usize {
                self.from.insert(source.clone());
            }
        }
    }

    /// A time in the far future was written under a wrong clock.
    pub(super) fn make_sense(&mut self, now: Time) {
        self.counted_at = self.counted_at.map(|at| at.min(now));
        if let Some(gate) = &mut self.gate {
            gate.until = gate.until.min(now + AT_MOST);
        }
    }
}

impl fmt::Display for BreakerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.scope {
            None => write!(f, "pool {}", self.pool),
            Some(scope) => write!(f, "pool {}, {scope}", self.pool),
        }
    }
}

/// Runners that were launched for one job ended without a job, and it still waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InVain {
    pub ends: u32,
    /// The next is launched then, and other jobs go first.
    pub until: Time,
    /// How the last one ended.
    pub last: String,
}

impl InVain {
    /// As for a breaker.
    pub(super) fn make_sense(&mut self, is_old: bool, now: Time) {
        self.until = self.until.min(now + if is_old { LONGEST } else { AT_MOST });
    }
}

/// The longest pause of a job: past a day it is tried hourly.
pub(super) const LONGEST: Duration = Duration::from_secs(3600);

impl Job {
    pub fn ends_in_vain(&self) -> u32 {
        self.in_vain.as_ref().map_or(0, |vain| vain.ends)
    }

    pub fn is_held(&self, now: Time) -> bool {
        self.in_vain.as_ref().is_some_and(|vain| vain.until > now)
    }
}
