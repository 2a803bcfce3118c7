//! The time that the ledger is told: the machine's clock as it stood once, and what has passed since
//! by a clock that nobody sets. Where the two have come apart the machine's clock was set: the ledger
//! is told by how much (`ledger::step::clock`), and what passes is counted from there.
//!
//! A device without a battery for its clock starts in 1970, and is right once it has asked for the
//! time. A machine that slept looks the same, and then nothing has become late in its sleep.

use std::time::Duration;

use clock::Clock;
use tokio::time::Instant;

use crate::ledger::Time;

/// Less is how long the two take to be read, on a busy machine.
const APART: Duration = Duration::from_secs(1);

pub struct Steady {
    clock: Clock,
    /// What the machine's clock said.
    wall: Time,
    /// At this moment.
    read: Instant,
}

impl Steady {
    pub fn over(clock: Clock) -> Self {
        Self { wall: clock.now().into(), read: Instant::now(), clock }
    }

    pub fn now(&self) -> Time {
        self.at(Instant::now())
    }

    fn at(&self, moment: Instant) -> Time {
        self.wall + moment.saturating_duration_since(self.read)
    }

    /// By how many milliseconds the machine's clock was set since the last look.
    pub fn jump(&mut self) -> Option<i64> {
        let before = Instant::now();
        let wall = Time::from(self.clock.now());
        let after = Instant::now();
        // Between the two this thread may have had to wait; then the next look tells.
        match after.saturating_duration_since(before) < APART / 4 {
            true => self.jump_to(wall, after),
            false => None,
        }
    }

    fn jump_to(&mut self, wall: Time, moment: Instant) -> Option<i64> {
        let by = wall.0.saturating_sub(self.at(moment).0);
        if u128::from(by.unsigned_abs()) < APART.as_millis() {
            return None;
        }
        (self.wall, self.read) = (wall, moment);
        Some(by)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const DAY: i64 = 24 * 3_600_000;

    fn at(wall: i64) -> Steady {
        Steady { clock: Clock::system(), wall: Time(wall), read: Instant::now() }
    }

    #[test]
    fn time_passes_whatever_the_machines_clock_says() {
        let steady = at(0);
        assert_eq!(steady.at(steady.read + MINUTE), Time(60_000));
    }

    #[test]
    fn a_clock_that_is_set_is_noticed_once_and_followed() {
        for by in [DAY, -DAY, 56 * 365 * DAY] {
            let mut steady = at(5_000_000_000);
            let later = steady.read + MINUTE;
            let right = steady.at(later).moved(by);
            assert_eq!(steady.jump_to(right, later), Some(by));
            assert_eq!(steady.at(later), right);
            assert_eq!(steady.jump_to(right, later), None);
        }
    }

    #[test]
    fn a_clock_that_runs_a_little_otherwise_is_not_followed() {
        let mut steady = at(0);
        let later = steady.read + MINUTE;
        assert_eq!(steady.jump_to(Time(60_400), later), None);
        assert_eq!(steady.at(later), Time(60_000));
    }

    #[test]
    fn between_two_looks_the_machines_clock_does_not_count() {
        let wall = Arc::new(AtomicI64::new(0));
        let hands = wall.clone();
        let told =
            move || jiff::Timestamp::from_millisecond(hands.load(Ordering::Relaxed)).unwrap();
        let mut steady = Steady::over(Clock::of(told));
        wall.store(DAY, Ordering::Relaxed);
        assert!(steady.now() < Time(DAY), "{}", steady.now());
        // A look that was held up tells nothing, and is repeated.
        let by = loop {
            if let Some(by) = steady.jump() {
                break by;
            }
        };
        assert!(by <= DAY && by > DAY - 60_000, "{by}");
        assert!(steady.now() >= Time(DAY));
    }
}
