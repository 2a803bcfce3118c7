//! What people ask for: `pause` and `resume` of a pool, `retry` of a job.

use std::time::Duration;

use rand::Rng;

use super::Fold;
use crate::class::Hold;
use crate::runner::RunnerState;
use crate::state::{Gate, Timer};
use crate::{About, ClassKey, Happened, JobId, PoolName, Record, Release, Time};

/// How old a dispatch is of which we would have heard by now that it is placed.
const SURELY_SEEN: Duration = Duration::from_secs(10);

impl<R: Rng> Fold<'_, R> {
    pub(super) fn pause(&mut self, pool: &PoolName, until: Option<Time>) {
        self.state.pauses.insert(pool.clone(), until);
        self.effects.records.push(Record::Pause {
            pool: pool.clone(),
            until: Some(until),
            at: self.now,
        });
        if let Some(until) = until {
            self.set_timer(until, Timer::Pause(pool.clone()));
        }
        self.happened(Happened::PoolPaused { until }, About::pool(pool));
        self.touch_pool(pool);
    }

    pub(super) fn resume_pool(&mut self, pool: &PoolName) {
        if self.state.pauses.remove(pool).is_none() {
            return;
        }
        self.effects.records.push(Record::Pause { pool: pool.clone(), until: None, at: self.now });
        self.happened(Happened::PoolResumed, About::pool(pool));
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
        let (key, repository) = (self.state.class_of(job), job.repository);
        self.happened(Happened::JobRetried, About { pool: None, ..About::job(job) });
        self.ask_job(id);
        self.state.run_questions.held.remove(&repository);
        self.touch_questions_of(repository);
        let Some(key) = key else { return };
        let now = self.now;
        let try_now = |gate: &mut Gate| gate.until = gate.until.min(now);
        self.state.each_gate_of(&key, try_now);
        self.try_job_again(id, true);
        let credential = self.state.credentials.get_mut(&key.scope);
        credential.and_then(|c| c.failed.as_mut()).into_iter().for_each(try_now);
        let hold = self.state.classes.get(&key).and_then(|class| class.hold.as_ref());
        if hold == Some(&Hold::Asking { sent: false }) {
            self.asks.insert(key.clone());
        }
        self.look_up_again(&key);
        self.launch_again_what_waits(&key);
        // Whoever else waits behind what was closed may be the one that tries.
        self.touch_scope(&key.scope);
        self.touch_pool(&key.pool);
        self.touch(&key);
    }

    /// Dispatches that Nomad has no place for. It keeps what the parameterized job was when it was
    /// dispatched, so one that was mended since is of use to new ones only.
    fn launch_again_what_waits(&mut self, key: &ClassKey) {
        let Some(class) = self.state.classes.get(key) else { return };
        let runners = class.runners.iter().filter_map(|name| self.state.runners.get(name));
        let waits = runners.filter(|runner| {
            let sent = runner.last_sent_at.unwrap_or(runner.hired_at);
            self.is_unplaced(runner) && self.now.since(sent) >= SURELY_SEEN
        });
        for name in waits.map(|runner| runner.name.clone()).collect::<Vec<_>>() {
            self.let_go_for_good(&name, Release::AsRequested);
        }
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
}
