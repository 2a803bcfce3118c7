//! Questions about runs, whose answers policies depend on: is their head a fork, which event and who
//! caused them? Which are answered, which are under way, and which are asked as soon as a runner could
//! be launched for them. What is asked when is in `step::run_questions`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::event::RunFacts;
use super::state::Gate;
use super::{ClassKey, PoolName, RepositoryId, RunId};

/// Turns go round these, so that no repository's runs go before all of another's.
pub type Turn = (ClassKey, RepositoryId);

#[derive(Debug, Default)]
pub struct RunQuestions {
    known: BTreeMap<RunId, RunFacts>,
    /// Under way.
    asking: BTreeMap<RunId, Turn>,
    /// Not asked yet.
    open: BTreeMap<Turn, BTreeSet<RunId>>,
    turn_of: BTreeMap<RunId, Turn>,
    /// Repositories of which a question failed: none is asked before the time.
    pub held: BTreeMap<RepositoryId, Gate>,
    last: Option<Turn>,
}

impl RunQuestions {
    pub fn known(&self, run: RunId) -> Option<&RunFacts> {
        self.known.get(&run)
    }

    pub fn is_asking(&self, run: RunId) -> bool {
        self.asking.contains_key(&run)
    }

    /// How many questions are under way.
    pub fn asking_over_all(&self) -> usize {
        self.asking.len()
    }

    pub fn asking_of(&self, pool: &PoolName) -> usize {
        self.asking.values().filter(|(key, _)| key.pool == *pool).count()
    }

    /// How many runs something is known of, or asked about.
    pub fn len(&self) -> usize {
        self.known.len() + self.asking.len() + self.turn_of.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The run's jobs wait for the answer.
    pub(super) fn want(&mut self, run: RunId, turn: Turn) {
        if self.known.contains_key(&run) || self.is_asking(run) {
            return;
        }
        self.close(run);
        self.open.entry(turn.clone()).or_default().insert(run);
        self.turn_of.insert(run, turn);
    }

    /// It is asked now.
    pub(super) fn ask(&mut self, run: RunId) {
        if let Some(turn) = self.close(run) {
            self.last = Some(turn.clone());
            self.asking.insert(run, turn);
        }
    }

    pub(super) fn answered(&mut self, run: RunId) {
        self.asking.remove(&run);
    }

    pub(super) fn learn(&mut self, run: RunId, facts: RunFacts) {
        self.forget(run);
        self.known.insert(run, facts);
    }

    /// Nobody waits for the answer any more. One that is under way comes all the same.
    pub(super) fn forget(&mut self, run: RunId) {
        self.close(run);
        self.known.remove(&run);
    }

    fn close(&mut self, run: RunId) -> Option<Turn> {
        let turn = self.turn_of.remove(&run)?;
        if let Some(runs) = self.open.get_mut(&turn) {
            runs.remove(&run);
            if runs.is_empty() {
                self.open.remove(&turn);
            }
        }
        Some(turn)
    }

    /// Who has questions that are not asked yet, in order.
    pub(super) fn open(&self) -> impl Iterator<Item = &Turn> {
        self.open.keys()
    }

    /// The next after that one with a question, and its oldest run.
    pub(super) fn next(&self, after: Bound<Turn>) -> Option<(&Turn, RunId)> {
        let (turn, runs) = self.open.range((after, Bound::Unbounded)).next()?;
        Some((turn, *runs.first()?))
    }

    /// Where turns go on: behind whoever was asked about last. Where each run is a class they go
    /// round scopes.
    pub(super) fn after_last(&self) -> Bound<Turn> {
        match &self.last {
            None => Bound::Unbounded,
            Some((key, _)) if key.run.is_some() => Self::behind(key.runs_of_scope().into_inner().1),
            Some(turn) => Bound::Excluded(turn.clone()),
        }
    }

    pub(super) fn behind(key: ClassKey) -> Bound<Turn> {
        Bound::Excluded((key, RepositoryId(u64::MAX)))
    }
}
