//! A pool whose runners keep ending unused opens a circuit breaker: nobody is hired for it but
//! one now and then, until one of them gets a job.

use rand::Rng;

use super::Fold;
use crate::state::{Gate, Timer};
use crate::{ClassKey, Note, PoolName, RunnerName, backoff};

/// Ends without a job in a row, those together once, that open it.
const OPENS_AT: u32 = 3;

impl<R: Rng> Fold<'_, R> {
    /// These runners of a class ended without a job. Those of another class that had been sent
    /// before the last were counted ended together with them: a machine that died, say.
    pub(super) fn pool_failed(&mut self, class: &ClassKey, ended: &[RunnerName]) {
        let pool = &class.pool;
        let why = self.state.classes.get(class).and_then(|class| class.last_end.clone());
        let sent = self.last_sent(ended);
        let breaker = self.state.breakers.entry(pool.clone()).or_default();
        if breaker.counted_at.is_some_and(|counted| sent.is_none_or(|sent| sent <= counted)) {
            return;
        }
        breaker.ends += 1;
        breaker.counted_at = Some(self.now);
        let reason = why.unwrap_or_else(|| "they ended without having taken a job".to_owned());
        let tries = match &breaker.gate {
            None if breaker.ends < OPENS_AT => return,
            None => 0,
            // Only the one that tried says whether it is time to try again.
            Some(gate) if gate.probe.as_ref().is_some_and(|probe| ended.contains(probe)) => {
                gate.tries
            }
            Some(_) => return,
        };
        let news = breaker.gate.is_none();
        let until = self.now + backoff(tries + 1, self.rng);
        breaker.gate = Some(Gate { reason: reason.clone(), tries: tries + 1, until, probe: None });
        if news {
            self.note(Note {
                warn: true,
                message: format!(
                    "pool {pool} hires one runner at a time: {} ended in a row without a job, the last: {reason}",
                    OPENS_AT
                ),
                pool: Some(pool.clone()),
                ..Note::default()
            });
        }
        self.set_timer(until, Timer::Breaker(pool.clone()));
        self.touch_pool(pool);
    }

    /// A runner of the pool got a job.
    pub(super) fn pool_works(&mut self, pool: &PoolName) {
        let Some(breaker) = self.state.breakers.remove(pool) else { return };
        if breaker.gate.is_some() {
            self.note(Note {
                message: format!("pool {pool} works again: a runner of it got a job"),
                pool: Some(pool.clone()),
                ..Note::default()
            });
            self.touch_pool(pool);
        }
    }
}
