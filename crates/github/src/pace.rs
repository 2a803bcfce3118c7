//! GitHub's secondary limits: what a minute allows, whatever is left of the hour. No header tells of
//! them, so requests are counted here, and one that would be too many is not made.
//!
//! Source: docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api, "About secondary
//! rate limits": 900 points a minute (a GET is one, anything that changes something five), 80
//! requests a minute that create content, 100 requests at once.

use std::collections::VecDeque;
use std::time::Duration;

use reqwest::Method;
use tokio::time::Instant;

use super::budget::Purpose;

const MINUTE: Duration = Duration::from_secs(60);
/// Of the 900; the rest is for requests that GitHub counts in another minute than we do.
const POINTS: u32 = 850;
/// Of the 80.
const CREATIONS: usize = 75;
/// Of the 100.
pub(super) const AT_ONCE: usize = 90;

/// What a request counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cost {
    points: u32,
    creates: bool,
}

impl Cost {
    /// Tokens and configurations for runners are no content: GitHub allows 1500 registrations in five
    /// minutes ("Actions limits").
    pub fn of(method: &Method, path: &str) -> Cost {
        let reads = matches!(*method, Method::GET | Method::HEAD);
        let runners = path.contains("/actions/runners/") || path.ends_with("/access_tokens");
        Cost {
            points: if reads { 1 } else { 5 },
            creates: !reads && *method != Method::DELETE && !runners,
        }
    }
}

/// What was sent within the last minute.
#[derive(Debug, Default)]
pub(super) struct Pace {
    sent: VecDeque<(Instant, Cost)>,
}

impl Pace {
    /// Whether one more may be sent, or how long not. The less urgent, the more it leaves to others.
    pub fn admits(&mut self, cost: Cost, purpose: &Purpose, now: Instant) -> Result<(), Duration> {
        while self.sent.front().is_some_and(|(at, _)| *at + MINUTE <= now) {
            self.sent.pop_front();
        }
        let most = match purpose {
            Purpose::Essential => POINTS,
            Purpose::Important => POINTS / 8 * 7,
            Purpose::For(_) => POINTS / 4 * 3,
            Purpose::Background(_) => POINTS / 2,
        };
        let mut points: u32 = self.sent.iter().map(|(_, cost)| cost.points).sum();
        let mut creations = self.sent.iter().filter(|(_, cost)| cost.creates).count();
        let over = |points, creations| {
            points + cost.points > most || (cost.creates && creations >= CREATIONS)
        };
        let mut free_at = now;
        for (at, gone) in &self.sent {
            if !over(points, creations) {
                break;
            }
            points -= gone.points;
            creations -= usize::from(gone.creates);
            free_at = *at + MINUTE;
        }
        match free_at.saturating_duration_since(now) {
            Duration::ZERO => Ok(()),
            wait => Err(wait),
        }
    }

    pub fn sends(&mut self, cost: Cost, now: Instant) {
        self.sent.push_back((now, cost));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: Cost = Cost { points: 1, creates: false };
    const POST: Cost = Cost { points: 5, creates: false };

    /// How many go through within a minute.
    fn burst(cost: Cost, purpose: &Purpose) -> usize {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let mut sent = 0;
        while pace.admits(cost, purpose, now).is_ok() {
            pace.sends(cost, now);
            sent += 1;
            assert!(sent <= 900, "no end");
        }
        sent
    }

    #[test]
    fn a_minute_has_so_many_points_and_some_are_kept_for_what_is_urgent() {
        assert_eq!(burst(GET, &Purpose::Essential), 850);
        assert_eq!(burst(POST, &Purpose::Essential), 170);
        assert_eq!(burst(GET, &Purpose::For("o/r".into())), 636);
        assert_eq!(burst(GET, &Purpose::Background("o/r".into())), 425);
        let hook = Cost::of(&Method::POST, "/repos/o/r/hooks");
        assert_eq!(burst(hook, &Purpose::Essential), 75);
    }

    #[test]
    fn the_time_that_is_told_is_right() {
        let (mut pace, began) = (Pace::default(), Instant::now());
        let at = |seconds| began + Duration::from_secs(seconds);
        for second in 0..50 {
            for _ in 0..17 {
                pace.sends(GET, at(second));
            }
        }
        assert_eq!(pace.admits(GET, &Purpose::Essential, at(50)), Err(Duration::from_secs(10)));
        assert_eq!(pace.admits(GET, &Purpose::Essential, at(60)), Ok(()));
        // It waits for three quarters.
        let whose = Purpose::For("o/r".into());
        let wait = pace.admits(GET, &whose, at(50)).unwrap_err();
        assert!(pace.admits(GET, &whose, at(50) + wait - Duration::from_millis(1)).is_err());
        assert_eq!(pace.admits(GET, &whose, at(50) + wait), Ok(()));
    }

    #[test]
    fn what_a_request_counts() {
        let of = |method, path| Cost::of(&method, path);
        assert_eq!(of(Method::GET, "/repos/o/r/hooks"), GET);
        assert_eq!(of(Method::DELETE, "/repos/o/r/actions/runners/7"), POST);
        assert_eq!(of(Method::POST, "/repos/o/r/actions/runners/registration-token"), POST);
        assert_eq!(of(Method::POST, "/app/installations/1/access_tokens"), POST);
        assert!(of(Method::PATCH, "/repos/o/r/hooks/1").creates);
    }
}
