//! How often the door tells of what senders without a signature cause: a few lines a minute, and
//! then how many there were.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const PERIOD: Duration = Duration::from_secs(60);
const LINES: u32 = 10;

/// Counts lines of one kind.
#[derive(Default)]
pub struct Quota(Mutex<Option<Period>>);

struct Period {
    began: Instant,
    told: u32,
    kept_back: u64,
}

/// What may be told.
#[derive(Debug, PartialEq, Eq)]
pub enum Tell {
    /// This one; before it so many were kept back since something was told last.
    Yes {
        kept_back: u64,
    },
    No,
}

impl Quota {
    /// Takes one line at `now`.
    pub fn take(&self, now: Instant) -> Tell {
        // A count has no state that a panic could leave half done.
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let over = |period: &Period| now.duration_since(period.began) >= PERIOD;
        match guard.as_mut().filter(|period| !over(period)) {
            Some(period) if period.told >= LINES => {
                period.kept_back += 1;
                Tell::No
            }
            Some(period) => {
                period.told += 1;
                Tell::Yes { kept_back: 0 }
            }
            None => {
                let kept_back = guard.as_ref().map_or(0, |period| period.kept_back);
                *guard = Some(Period { began: now, told: 1, kept_back: 0 });
                Tell::Yes { kept_back }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_a_minute_are_told_and_the_rest_is_counted() {
        let quota = Quota::default();
        let start = Instant::now();
        for _ in 0..LINES {
            assert_eq!(quota.take(start), Tell::Yes { kept_back: 0 });
        }
        for _ in 0..1_000 {
            assert_eq!(quota.take(start + PERIOD / 2), Tell::No);
        }
        assert_eq!(quota.take(start + PERIOD), Tell::Yes { kept_back: 1_000 });
        assert_eq!(quota.take(start + PERIOD), Tell::Yes { kept_back: 0 });
    }
}
