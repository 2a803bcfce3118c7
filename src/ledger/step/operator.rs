//! What people ask for: `pause` and `resume` of a pool, `retry` of a job.

use rand::Rng;

use super::Fold;
use crate::ledger::class::Hold;
use crate::ledger::pool::Pool;
use crate::ledger::runner::RunnerState;
use crate::ledger::state::{ForkAnswer, NomadState, Timer};
use crate::ledger::{ClassKey, JobId, Note, PoolName, Record, RunId, RunnerName, ScopeKey, Time};

impl<R: Rng> Fold<'_, R> {
    pub(super) fn pause(&mut self, pool: &PoolName, until: Option<Time>) {
        self.state.pauses.insert(pool.clone(), until);
        self.effects.records.push(Record::Pause { pool: pool.clone(), until: Some(until) });
        if let Some(until) = until {
            self.set_timer(until, Timer::Pause(pool.clone()));
        }
        let message = match until {
            Some(until) => {
                format!("pool {pool} is paused until {until}: nobody new is hired for it")
            }
            None => format!("pool {pool} is paused: nobody new is hired for it"),
        };
        self.note(Note { message, pool: Some(pool.clone()), ..Note::default() });
        self.touch_pool(pool);
    }

    pub(super) fn resume_pool(&mut self, pool: &PoolName) {
        if self.state.pauses.remove(pool).is_none() {
            return;
        }
        self.effects.records.push(Record::Pause { pool: pool.clone(), until: None });
        let message = format!("pool {pool} hires again");
        self.note(Note { message, pool: Some(pool.clone()), ..Note::default() });
        self.touch_pool(pool);
    }

    pub(super) fn pause_is_over(&mut self, pool: &PoolName) {
        // An older timer may be due while a later pause lasts.
        if matches!(self.state.pauses.get(pool), Some(Some(until)) if *until <= self.now) {
            self.resume_pool(pool);
        }
    }

    pub(super) fn is_paused(&self, pool: &PoolName) -> bool {
        self.state.pauses.contains_key(pool)
    }

    /// Everything that makes this job wait for a time is over now: one try at once.
    pub(super) fn retry(&mut self, id: JobId) {
        let Some(job) = self.state.jobs.get(&id) else { return };
        let (run, key) = (job.report.run, self.state.class_of(job));
        self.note(Note {
            message: "job is looked at again, as asked".to_owned(),
            job: Some(id),
            run: Some(run),
            repository: Some(job.repository_name.clone()),
            ..Note::default()
        });
        self.ask_job(id);
        if matches!(self.state.forks.get(&run), Some(ForkAnswer::Failed { .. })) {
            self.ask_fork_again(run);
        }
        let Some(key) = key else { return };
        let now = self.now;
        let gates = [
            self.state.refusals.get_mut(&key.pool),
            self.state.breakers.get_mut(&key.pool).and_then(|b| b.gate.as_mut()),
            self.state.credentials.get_mut(&key.scope).and_then(|c| c.failed.as_mut()),
            match &mut self.state.nomad {
                NomadState::Away(gate) => Some(gate),
                _ => None,
            },
        ];
        for gate in gates.into_iter().flatten() {
            gate.until = gate.until.min(now);
        }
        if let Some(class) = self.state.classes.get(&key) {
            match class.hold {
                Some(Hold::Until(_)) => self.set_hold(&key, None),
                Some(Hold::Asking { sent: false }) => {
                    self.asks.insert(key.clone());
                }
                _ => {}
            }
        }
        self.look_up_again(&key);
        self.touch(&key);
    }

    /// Dispatches in doubt, whose next look waits for its time.
    fn look_up_again(&mut self, key: &ClassKey) {
        let Some(class) = self.state.classes.get(key) else { return };
        let runners = class.runners.iter().filter_map(|name| self.state.runners.get(name));
        let doubtful = runners.filter(|r| matches!(r.state, RunnerState::Dispatching(_)));
        for name in doubtful.map(|runner| runner.name.clone()).collect::<Vec<_>>() {
            self.drive(&name);
        }
    }

    /// Whether people wait whose scope's token is on its way: in a moment they can use the room
    /// that robots would have now.
    pub(super) fn people_wait_for_a_token(&self) -> bool {
        let comes = |scope| self.state.credentials.get(scope).is_some_and(|c| c.minting);
        self.state.classes.iter().any(|(key, class)| {
            class.hold.is_none()
                && class.waiting.len() > class.robots.len()
                && comes(&key.scope)
                && self.state.sent_supply(class) < class.waiting.len()
        })
    }

    /// Whether a class has as many runners for its people as it needs, and its repository's
    /// robots the few that they get while people wait elsewhere.
    pub(super) fn robots_have_theirs(&self, key: &ClassKey, pool: &Pool) -> bool {
        let (Some(cap), ScopeKey::Repository(_)) = (pool.robots_per_repository, &key.scope) else {
            return false;
        };
        let Some(class) = self.state.classes.get(key) else { return false };
        let people = class.waiting.len() - class.robots.len();
        let supply = self.state.sent_supply(class);
        if supply < people {
            return false;
        }
        // In all of the repository's classes: with `{run_id}` each run is one.
        let first = ClassKey { run: None, ..key.clone() };
        let last = ClassKey { run: Some(RunId(u64::MAX)), ..key.clone() };
        let theirs = self.state.classes.range(first..=last).map(|(_, class)| {
            let at_work = class.runners.iter().filter(|name| self.works_for_a_robot(name)).count();
            let people = class.waiting.len() - class.robots.len();
            at_work + self.state.sent_supply(class).saturating_sub(people)
        });
        supply >= class.waiting.len() || theirs.sum::<usize>() >= cap as usize
    }

    fn works_for_a_robot(&self, name: &RunnerName) -> bool {
        let took = self.state.runners.get(name).and_then(|runner| runner.took);
        let job = took.filter(|took| !took.done).and_then(|took| self.state.jobs.get(&took.job?));
        job.is_some_and(|job| job.robot)
    }
}
