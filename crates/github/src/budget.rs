//! How a credential's hourly limit is shared out: part of it is kept for what cannot wait, and of
//! the rest nobody uses up what others may need before the limit is full again.
//!
//! It reads the limit from each answer's headers and counts who spent what. It makes no request and
//! looks at no clock. What follows when nothing is left at all is in `rate_limit`. Source of the headers:
//! docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::HeaderMap;
use tokio::time::Instant;

use super::rate_limit;

/// One in so many requests of an hour is kept for [`Purpose::Essential`] and [`Purpose::Important`].
const RESERVE: u64 = 5;
/// One in so many is what everybody may spend while others have spent more than their share.
const SMALL: u64 = 100;
/// Two answers speak of one window if their ends are no further apart.
const SAME_WINDOW: Duration = Duration::from_secs(60);

/// What a request is for, which says how much of the limit it may touch. Less urgent ones leave
/// more to the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    /// Held back only when nothing is left.
    #[default]
    Essential,
    /// Leaves half of the reserve to what is essential.
    Important,
    /// Leaves the reserve alone, and keeps to the share of whom it is for.
    For(Arc<str>),
    /// Likewise, and waits first when the rest gets scarce.
    Background(Arc<str>),
}

impl Purpose {
    fn whose(&self) -> Option<&Arc<str>> {
        match self {
            Purpose::Essential | Purpose::Important => None,
            Purpose::For(whose) | Purpose::Background(whose) => Some(whose),
        }
    }
}

/// Why a request is not made now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OverShare {
    pub wait: Duration,
    /// Requests that whom it is for has spent since the limit was full.
    pub spent: u64,
    pub limit: u64,
}

/// Without an answer that tells of a limit everything passes.
#[derive(Debug, Default)]
pub(super) struct Budget {
    window: Option<Window>,
}

#[derive(Debug)]
struct Window {
    limit: u64,
    remaining: u64,
    resets: Instant,
    /// How long it lasts from where it was first seen.
    length: Duration,
    spent: BTreeMap<Arc<str>, u64>,
}

impl Budget {
    /// Whether a request for that may be made now.
    pub fn admits(&self, purpose: &Purpose, now: Instant) -> Result<(), OverShare> {
        match self.window.as_ref().filter(|window| window.resets > now) {
            Some(window) => window.admits(purpose, now),
            None => Ok(()),
        }
    }

    /// Whether GitHub has told of a limit. An Enterprise Server may have none.
    pub fn is_limited(&self) -> bool {
        self.window.is_some()
    }

    /// What the last answers said is left.
    pub fn remaining(&self, now: Instant) -> Option<u64> {
        let window = self.window.as_ref()?;
        Some(if window.resets > now { window.remaining } else { window.limit })
    }

    /// Takes in what an answer says; `counted`: it was not a free one.
    pub fn learn(
        &mut self,
        headers: &HeaderMap,
        purpose: &Purpose,
        counted: bool,
        wall: Timestamp,
        now: Instant,
    ) {
        let resource = headers.get("x-ratelimit-resource").and_then(|value| value.to_str().ok());
        if resource.is_some_and(|resource| resource != "core") {
            return;
        }
        let number = |name| rate_limit::number(headers, name).and_then(|n| u64::try_from(n).ok());
        if let (Some(limit), Some(remaining), Some(wait)) = (
            number("x-ratelimit-limit"),
            number("x-ratelimit-remaining"),
            rate_limit::resets_in(headers, wall),
        ) {
            self.stands(limit, remaining, now + wait, now);
        }
        if let (Some(window), Some(whose), true) = (&mut self.window, purpose.whose(), counted) {
            *window.spent.entry(whose.clone()).or_default() += 1;
        }
    }

    fn stands(&mut self, limit: u64, remaining: u64, resets: Instant, now: Instant) {
        let known = self.window.as_mut().filter(|window| window.resets > now);
        match known {
            Some(window) if resets <= window.resets + SAME_WINDOW => {
                // Answers overtake each other, and within a window there is never more again.
                window.remaining = window.remaining.min(remaining);
                window.limit = limit;
            }
            _ => {
                let length = resets.saturating_duration_since(now);
                let spent = BTreeMap::new();
                self.window = Some(Window { limit, remaining, resets, length, spent });
            }
        }
    }
}

impl Window {
    fn admits(&self, purpose: &Purpose, now: Instant) -> Result<(), OverShare> {
        let reserve = self.limit / RESERVE;
        let until_reset = self.resets.saturating_duration_since(now);
        let over = |spent, wait| Err(OverShare { wait, spent, limit: self.limit });
        let whose = match purpose {
            Purpose::Essential => return Ok(()),
            Purpose::Important if self.remaining > reserve / 2 => return Ok(()),
            Purpose::Important => return over(0, until_reset),
            Purpose::For(whose) | Purpose::Background(whose) => whose,
        };
        let spent = self.spent.get(whose).copied().unwrap_or_default();
        let left = self.remaining.saturating_sub(reserve);
        if left == 0 {
            return over(spent, until_reset);
        }
        let small = (self.limit / SMALL).max(1);
        if spent < small {
            return Ok(());
        }
        // Half of what is shared (three quarters, for what can wait) is kept for others while the
        // window is young, and less of it as it ages: what is left at its end is of no use.
        let shared = self.limit - reserve;
        let at_first = match purpose {
            Purpose::Background(_) => shared / 4 * 3,
            _ => shared / 2,
        };
        let kept = share_of(at_first, until_reset, self.length);
        let many = self.spent.values().filter(|spent| **spent >= small).count().max(1) as u64;
        if left > kept && spent < (shared - kept) / many {
            return Ok(());
        }
        // When so much less is kept that one more of each fits.
        let room = left.saturating_sub(1).min(shared.saturating_sub((spent + 1) * many));
        let then = match at_first {
            0 => Duration::ZERO,
            _ => self.length.mul_f64((room as f64 / at_first as f64).min(1.0)),
        };
        over(spent, until_reset.saturating_sub(then).max(Duration::from_secs(1)))
    }
}

/// So much of `all` as `part` is of `whole`.
fn share_of(all: u64, part: Duration, whole: Duration) -> u64 {
    if whole.is_zero() {
        return 0;
    }
    (all as f64 * (part.as_secs_f64() / whole.as_secs_f64()).min(1.0)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 5_000;
    const HOUR: Duration = Duration::from_secs(3600);

    /// A GitHub that counts, and a budget that learns from it.
    struct Hour {
        budget: Budget,
        began: Instant,
        used: u64,
    }

    impl Hour {
        fn new() -> Self {
            let began = Instant::now();
            let mut budget = Budget::default();
            budget.stands(LIMIT, LIMIT, began + HOUR, began);
            Self { budget, began, used: 0 }
        }

        fn at(&self, minutes: u64) -> Instant {
            self.began + Duration::from_secs(60 * minutes)
        }

        /// How many of so many requests are made at that minute.
        fn spend(&mut self, purpose: &Purpose, many: u64, minute: u64) -> u64 {
            let now = self.at(minute);
            let mut made = 0;
            while made < many && self.used < LIMIT && self.budget.admits(purpose, now).is_ok() {
                self.used += 1;
                made += 1;
                self.budget.stands(LIMIT, LIMIT - self.used, self.began + HOUR, now);
                if let (Some(window), Some(whose)) = (&mut self.budget.window, purpose.whose()) {
                    *window.spent.entry(whose.clone()).or_default() += 1;
                }
            }
            made
        }
    }

    fn of(name: &str) -> Purpose {
        Purpose::For(name.into())
    }

    #[test]
    fn one_that_wants_everything_leaves_the_others_theirs() {
        let mut hour = Hour::new();
        assert_eq!(hour.spend(&of("busy"), 10_000, 0), 2_000);
        for n in 0..30 {
            assert_eq!(hour.spend(&of(&format!("other-{n}")), 50, 0), 50);
        }
        assert_eq!(hour.spend(&Purpose::Essential, 1_500, 0), 1_500, "and all of the reserve");
    }

    #[test]
    fn what_is_kept_shrinks_to_nothing_as_the_hour_passes() {
        let mut hour = Hour::new();
        let mut made = 0;
        for minute in 0..60 {
            made += hour.spend(&of("busy"), 10_000, minute);
        }
        assert!(made > 3_900, "{made} of 4000 were used");
        assert_eq!(hour.spend(&Purpose::Essential, 5_000, 59), LIMIT - made);
    }

    #[test]
    fn two_that_want_everything_get_alike() {
        let mut hour = Hour::new();
        let (mut one, mut other) = (0, 0);
        for minute in 0..60 {
            if minute > 0 {
                one += hour.spend(&of("one"), 10_000, minute);
            }
            other += hour.spend(&of("other"), 10_000, minute);
        }
        assert!(one.abs_diff(other) < 200, "{one} and {other}");
        assert!(one + other > 3_800, "{one} and {other}");
    }

    #[test]
    fn what_can_wait_waits_first_and_the_reserve_is_last() {
        let mut hour = Hour::new();
        let background = Purpose::Background("busy".into());
        assert_eq!(hour.spend(&background, 10_000, 0), 1_000);
        assert_eq!(hour.spend(&of("busy"), 10_000, 0), 1_000, "the same one's urgent ones go on");
        let over = hour.budget.admits(&background, hour.at(0)).unwrap_err();
        assert!(over.wait > Duration::from_secs(600) && over.wait <= HOUR, "{over:?}");
        let then = hour.at(0) + over.wait;
        assert_eq!(
            hour.budget.admits(&background, then),
            Ok(()),
            "the time that was told is right"
        );
        hour.spend(&Purpose::Essential, LIMIT - hour.used - 500, 0);
        assert!(hour.budget.admits(&Purpose::Important, hour.at(0)).is_err());
        assert!(hour.budget.admits(&of("new"), hour.at(0)).is_err());
        assert!(hour.budget.admits(&Purpose::Essential, hour.at(0)).is_ok());
    }

    #[test]
    fn a_new_hour_is_a_new_start_and_answers_may_overtake_each_other() {
        let mut hour = Hour::new();
        hour.spend(&of("busy"), 10_000, 0);
        hour.budget.stands(LIMIT, LIMIT, hour.began + HOUR, hour.at(0));
        assert!(
            hour.budget.admits(&of("busy"), hour.at(0)).is_err(),
            "an old answer gives nothing"
        );
        assert!(hour.budget.admits(&of("busy"), hour.at(60)).is_ok());
        hour.budget.stands(LIMIT, LIMIT, hour.at(120), hour.at(60));
        assert!(hour.budget.admits(&of("busy"), hour.at(61)).is_ok());
    }

    #[test]
    fn without_a_limit_everything_passes() {
        let budget = Budget::default();
        assert!(budget.admits(&Purpose::Background("o/r".into()), Instant::now()).is_ok());
    }
}
