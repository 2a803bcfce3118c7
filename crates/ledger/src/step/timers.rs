//! What happens when a timer is due. A timer may be stale: whoever it wakes looks at the
//! state of today and does nothing where there is nothing to do.

use rand::Rng;

use super::Fold;
use crate::state::Timer;

impl<R: Rng> Fold<'_, R> {
    pub(super) fn tick(&mut self) {
        while let Some((at, timer)) = self.state.timers.first().cloned() {
            if at > self.now {
                return;
            }
            self.state.timers.pop_first();
            match timer {
                Timer::Class(key) => self.class_timer(&key),
                Timer::Runner(name) => self.runner_timer(&name),
                Timer::Deadline(name) => self.deadline_is_due(&name),
                Timer::Breaker(of) => self.breaker_timer(&of),
                Timer::Held(job) => self.try_job_again(job, false),
                Timer::Pause(pool) => self.pause_is_over(&pool),
                Timer::Credential(scope) => self.touch_scope(&scope),
                Timer::Refusal(pool) => self.touch_pool(&pool),
                Timer::Deposits(way) => self.remove_deposits(&way),
                Timer::Nomad(place) => self.touch_place(&place),
                Timer::RunQuestions(repository) => self.touch_questions_of(repository),
                Timer::Job(job) => self.ask_job(job),
                Timer::Superseded(run) => self.superseded_timer(run),
                // They are read at the end of each step.
                Timer::Floors => {}
                Timer::Look(id, full_name) => self.look_timer(id, &full_name),
            }
        }
    }
}
