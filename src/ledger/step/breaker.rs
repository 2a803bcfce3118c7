//! A pool whose runners keep ending unused opens a circuit breaker: nobody is hired for it but
//! one now and then, until one of them gets a job.

use rand::Rng;

use super::Fold;
use crate::ledger::state::{Gate, Timer};
use crate::ledger::{Note, PoolName, RunnerName, backoff};

/// Ends without a job in a row, those together once, that open it.
const OPENS_AT: u32 = 3;

impl<R: Rng> Fold<'_, R> {
    /// Runners of the pool ended without a job; `why` is what was told of the last one's end.
    pub(super) fn pool_failed(
        &mut self,
        pool: &PoolName,
        ended: &[RunnerName],
        why: Option<String>,
    ) {
        let breaker = self.state.breakers.entry(pool.clone()).or_default();
        breaker.ends += 1;
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
