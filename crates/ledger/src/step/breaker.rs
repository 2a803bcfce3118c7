//! What follows when runners end without a job: the job whose data they carried is tried later
//! and gives up its place, a scope pauses, a pool launches one now and then.
//!
//! Each is counted for itself, see `crate::breaker`. So a repository whose runners do their work
//! waits for nobody else's. A runner that gets a job ends the count of its scope and its pool.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::Rng;

use super::Fold;
use crate::breaker::{Breaker, BreakerKey, InVain, LONGEST, OPENS_AT, Source};
use crate::state::{Gate, Timer};
use crate::{
    About, ClassKey, Happened, JobId, PoolName, Record, RunnerName, ScopeKey, State, Time, backoff,
};

/// GitHub ends jobs that wait "at least 24 h"; past that nobody is launched for one more often
/// than hourly.
const OLD: Duration = Duration::from_secs(24 * 3600);
/// How long a count that closes nothing is kept of a scope where nothing waits any more.
const KEPT: Duration = Duration::from_secs(600);

impl<R: Rng> Fold<'_, R> {
    /// These runners of a class ended without a job, and jobs of it still wait.
    pub(super) fn ended_in_vain(&mut self, key: &ClassKey, ended: &[RunnerName]) {
        let mut sources = BTreeSet::new();
        let mut last = None;
        for name in ended {
            let Some(runner) = self.state.runners.get(name) else { continue };
            let how = runner.reason.clone();
            let cause = runner.cause.filter(|job| self.state.enlisted.get(job) == Some(key));
            sources.insert(match cause {
                Some(job) => Source::Job(job),
                None => Source::Runner(name.clone()),
            });
            last = how.or(last);
            if let Some(job) = cause {
                self.hold_job(job, last.clone());
            }
        }
        let sent = self.last_sent(ended);
        let reason = last.unwrap_or_else(|| "they ended without a job".to_owned());
        self.scope_failed(key, &sources, sent, &reason);
        self.pool_failed(key, ended, sent, &reason);
    }

    /// It still waits although a runner was launched for it: the next one later, and until then
    /// nobody waits behind it.
    pub(super) fn hold_job(&mut self, id: JobId, how: Option<String>) {
        let Some(job) = self.state.jobs.get(&id) else { return };
        let ends = job.ends_in_vain() + 1;
        let pause = match self.now.since(job.received_at) > OLD {
            true => LONGEST,
            false => backoff(ends - 1, self.rng),
        };
        let until = self.now + pause;
        let last = how.unwrap_or_else(|| "see its allocation".to_owned());
        let job = job.clone();
        let what = Happened::JobHeldBack { ends, last: last.clone(), until };
        self.happened(what, About::job(&job));
        self.change_hold(id, Some(InVain { ends, until, last }));
    }

    /// Changes what stands against launching for a job.
    fn change_hold(&mut self, id: JobId, in_vain: Option<InVain>) {
        let Some(job) = self.state.jobs.get_mut(&id) else { return };
        let key = self.state.enlisted.get(&id);
        let mut class = key.and_then(|key| self.state.classes.get_mut(key));
        if let Some(class) = &mut class {
            class.withdraw(job);
        }
        job.in_vain = in_vain;
        let held = job.is_held(self.now);
        if let Some(class) = &mut class {
            match held {
                true => class.held.insert(id),
                false => class.held.remove(&id),
            };
            class.offer(job);
        }
        if let Some(vain) = job.in_vain.as_ref().filter(|_| held) {
            let until = vain.until;
            self.state.set_timer(until, Timer::Held(id));
        }
        self.jobs.insert(id);
        if let Some(key) = self.state.enlisted.get(&id).cloned() {
            self.touch(&key);
        }
    }

    pub(super) fn clear_hold(&mut self, id: JobId) {
        if self.state.jobs.get(&id).is_some_and(|job| job.in_vain.is_some()) {
            self.change_hold(id, None);
        }
    }

    /// A job's time is over, or somebody says that it is.
    pub(super) fn try_job_again(&mut self, id: JobId, at_once: bool) {
        let Some(job) = self.state.jobs.get(&id) else { return };
        let Some(vain) = &job.in_vain else { return };
        if at_once || vain.until <= self.now {
            let until = vain.until.min(self.now);
            let vain = InVain { until, ..vain.clone() };
            self.change_hold(id, Some(vain));
        }
    }

    fn scope_failed(
        &mut self,
        key: &ClassKey,
        sources: &BTreeSet<Source>,
        sent: Option<Time>,
        reason: &str,
    ) {
        let of = key.breaker();
        let breaker = self.state.breakers.entry(of.clone()).or_default();
        let was_open = breaker.is_open();
        let counts = breaker.count(sources, sent, self.now);
        self.breakers.insert(of.clone());
        if breaker.from.len() < 2 || (!counts && breaker.gate.is_some()) {
            self.set_timer(self.now + KEPT, Timer::Breaker(of));
            return;
        }
        let ends = breaker.ends;
        let until = self.now + backoff(ends.saturating_sub(1), self.rng);
        breaker.gate = Some(Gate { reason: reason.to_owned(), tries: ends, until, probe: None });
        if breaker.is_open() && !was_open {
            self.tell_of_breaker(&of, Happened::BreakerOpened { ends, last: reason.to_owned() });
        }
        self.set_timer(until, Timer::Breaker(of));
        self.touch_breaker(&key.breaker());
    }

    fn pool_failed(
        &mut self,
        key: &ClassKey,
        ended: &[RunnerName],
        sent: Option<Time>,
        reason: &str,
    ) {
        let of = BreakerKey { pool: key.pool.clone(), scope: None };
        let breaker = self.state.breakers.entry(of.clone()).or_default();
        let source = BTreeSet::from([Source::Scope(key.scope.clone())]);
        let counts = breaker.count(&source, sent, self.now);
        self.breakers.insert(of.clone());
        let probes = |gate: &Gate| gate.probe.as_ref().is_some_and(|probe| ended.contains(probe));
        let tries = match &breaker.gate {
            None if !counts || breaker.ends < OPENS_AT => return,
            None if breaker.from.len() < OPENS_AT as usize => return,
            None => 0,
            // Only the one that tried says whether it is time to try again; one of a scope that
            // had not failed yet tried before the time was over, and changes nothing.
            Some(gate) if probes(gate) && gate.until <= self.now => gate.tries,
            Some(_) => return,
        };
        let news = breaker.gate.is_none();
        let until = self.now + backoff(tries + 1, self.rng);
        let gate = Gate { reason: reason.to_owned(), tries: tries + 1, until, probe: None };
        breaker.gate = Some(gate);
        if news {
            let last = reason.to_owned();
            self.tell_of_breaker(&of, Happened::BreakerOpened { ends: OPENS_AT, last });
        }
        self.set_timer(until, Timer::Breaker(of.clone()));
        self.touch_breaker(&of);
    }

    fn tell_of_breaker(&mut self, of: &BreakerKey, what: Happened) {
        let repository = of.scope.as_ref().map(|scope| self.state.name_of(scope));
        self.happened(what, About { repository, ..About::pool(&of.pool) });
    }

    /// A runner of the class got a job: whatever ended before counts no more, neither against its
    /// scope nor against its pool.
    pub(super) fn works(&mut self, key: &ClassKey) {
        self.breaker_is_over(&key.breaker());
        self.breaker_is_over(&BreakerKey { pool: key.pool.clone(), scope: None });
    }

    fn breaker_is_over(&mut self, of: &BreakerKey) {
        let Some(breaker) = self.state.breakers.remove(of) else { return };
        self.breakers.insert(of.clone());
        if breaker.gate.is_none() {
            return;
        }
        if breaker.is_open() {
            self.tell_of_breaker(of, Happened::BreakerClosed);
        }
        // What failed was not theirs alone, so whoever was held with it has one try at once.
        let all = match &of.scope {
            Some(scope) => ClassKey::all_runs(&of.pool, scope),
            None => ClassKey::all_of_pool(&of.pool),
        };
        let held = self.state.classes.range(all).flat_map(|(_, class)| class.held.iter().copied());
        for id in held.collect::<Vec<_>>() {
            self.try_job_again(id, true);
        }
        if of.scope.is_none() {
            let first = BreakerKey { pool: of.pool.clone(), scope: None };
            let theirs = self.state.breakers.range_mut(first..);
            for (key, breaker) in theirs.take_while(|(key, _)| key.pool == of.pool) {
                if let Some(gate) = &mut breaker.gate {
                    gate.until = gate.until.min(self.now);
                    self.breakers.insert(key.clone());
                }
            }
        }
        self.touch_breaker(of);
    }

    /// Its time may be over: then whoever waits behind it has a look. Where nothing waits, it is
    /// forgotten.
    pub(super) fn breaker_timer(&mut self, of: &BreakerKey) {
        self.forget_breaker(of);
        self.touch_breaker(of);
    }

    pub(super) fn forget_breaker(&mut self, of: &BreakerKey) {
        let (Some(scope), Some(breaker)) = (&of.scope, self.state.breakers.get(of)) else { return };
        let mut classes = self.state.classes.range(ClassKey::all_runs(&of.pool, scope));
        let warm = self.state.floors.asked.keys();
        let mut warm = warm.filter(|key| key.pool == of.pool && key.scope == *scope);
        if classes.next().is_some() || warm.next().is_some() {
            return;
        }
        let counted = breaker.counted_at.map(|at| at + KEPT);
        let until = counted.max(breaker.gate.as_ref().map(|gate| gate.until));
        match until {
            Some(until) if until > self.now => {
                self.set_timer(until, Timer::Breaker(of.clone()));
            }
            _ => {
                self.state.breakers.remove(of);
                self.breakers.insert(of.clone());
            }
        }
    }

    /// The pool dispatches something else from now on: nothing that ended says anything of that.
    pub(super) fn forget_ends(&mut self, pool: &PoolName) {
        let of_pool = |key: &&BreakerKey| key.pool == *pool;
        let known: Vec<BreakerKey> = self.state.breakers.keys().filter(of_pool).cloned().collect();
        for of in known {
            self.state.breakers.remove(&of);
            self.breakers.insert(of);
        }
        let classes = self.state.classes.range(ClassKey::all_of_pool(pool));
        let waiting: Vec<JobId> = classes.flat_map(|(_, c)| c.waiting.iter().copied()).collect();
        for id in waiting {
            self.clear_hold(id);
        }
    }

    pub(super) fn touch_breaker(&mut self, of: &BreakerKey) {
        match &of.scope {
            None => self.touch_pool(&of.pool),
            Some(scope) => {
                let all = ClassKey::all_runs(&of.pool, scope);
                let keys = self.state.classes.range(all).map(|(key, _)| key.clone());
                for key in keys.collect::<Vec<_>>() {
                    self.touch(&key);
                }
            }
        }
    }

    /// After a start the same of a job; its timer is set where it is enlisted.
    pub(super) fn resume_job(&mut self, id: JobId) {
        let now = self.now;
        let Some(job) = self.state.jobs.get_mut(&id) else { return };
        let age = now.since(job.received_at);
        if let Some(vain) = &mut job.in_vain {
            vain.make_sense(age > OLD, now);
        }
    }

    /// After a start: what was kept is checked for sense, and its timers are set again.
    pub(super) fn resume_breakers(&mut self) {
        let now = self.now;
        let known: Vec<BreakerKey> = self.state.breakers.keys().cloned().collect();
        for of in known {
            let probe = self.state.untried_runner(&of);
            let Some(breaker) = self.state.breakers.get_mut(&of) else { continue };
            let row = breaker.clone();
            breaker.make_sense(now);
            if *breaker != row {
                self.breakers.insert(of.clone());
            }
            let one_at_a_time = breaker.is_open();
            let mut until = now;
            if let Some(gate) = &mut breaker.gate {
                // Whoever was launched last tries for the others; there is one at most.
                gate.probe = probe.filter(|_| one_at_a_time);
                until = gate.until;
            }
            self.set_timer(until.max(now), Timer::Breaker(of));
        }
    }

    pub(super) fn breaker_records(&self) -> Vec<Record> {
        let kept = self.breakers.iter().map(|of| Record::Breaker {
            key: of.clone(),
            breaker: self.state.breakers.get(of).cloned().map(Box::new),
        });
        kept.collect()
    }
}

impl ClassKey {
    /// Of its scope.
    pub fn breaker(&self) -> BreakerKey {
        BreakerKey { pool: self.pool.clone(), scope: Some(self.scope.clone()) }
    }

    /// Of its pool and of its scope.
    pub fn breakers(&self) -> [BreakerKey; 2] {
        [BreakerKey { pool: self.pool.clone(), scope: None }, self.breaker()]
    }
}

impl State {
    pub fn breaker(&self, pool: &PoolName, scope: Option<&ScopeKey>) -> Option<&Breaker> {
        self.breakers.get(&BreakerKey { pool: pool.clone(), scope: scope.cloned() })
    }

    /// Whether runners of the scope may be launched now, as far as earlier ones show.
    pub(super) fn scope_may_try(&self, key: &ClassKey, now: Time) -> bool {
        let of = key.breaker();
        let Some(breaker) = self.breakers.get(&of) else { return true };
        let passed = |gate: &Gate| gate.until <= now;
        let pool = self.breaker(&key.pool, None).and_then(|breaker| breaker.gate.as_ref());
        // Of a pool in trouble only a scope that has not failed may try before the time.
        breaker.gate.as_ref().is_none_or(passed) && pool.is_none_or(passed)
    }

    /// A runner that may still show whether the others can be launched.
    fn untried_runner(&self, of: &BreakerKey) -> Option<RunnerName> {
        let theirs = self.runners.values().filter(|runner| {
            runner.class.pool == of.pool
                && of.scope.as_ref().is_none_or(|scope| runner.class.scope == *scope)
        });
        let untried = theirs.filter(|runner| runner.is_alive() && runner.took.is_none());
        untried.max_by_key(|runner| runner.hired_at).map(|runner| runner.name.clone())
    }
}
