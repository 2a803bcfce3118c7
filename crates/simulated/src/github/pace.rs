//! The secondary rate limit: so many points a minute for each user or installation, whatever is left
//! of the hour (docs, "Rate limits for the REST API", "About secondary rate limits": 900 points a
//! minute, a GET is one, anything that changes something five). No header tells of it.

use std::collections::VecDeque;

use super::model::{GitHub, MINUTE, Millis};

/// What was asked within the last minute: when, and how many points.
#[derive(Clone, Debug, Default)]
pub struct LastMinute(VecDeque<(Millis, u64)>);

impl LastMinute {
    fn points(&mut self, now: Millis) -> u64 {
        while self.0.front().is_some_and(|(at, _)| at + MINUTE <= now) {
            self.0.pop_front();
        }
        self.0.iter().map(|(_, points)| points).sum()
    }
}

impl GitHub {
    /// Whether one more request would be too many; else it counts.
    pub(super) fn is_too_fast(&mut self, user: u64, method: &str, now: Millis) -> bool {
        let points = if matches!(method, "GET" | "HEAD") { 1 } else { 5 };
        let limit = self.knobs.points_a_minute;
        let minute = self.minutes.entry(user).or_default();
        let too_many = minute.points(now) + points > limit;
        if !too_many {
            minute.0.push_back((now, points));
        }
        too_many
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::SECOND;
    use super::super::model::tests::World;
    use super::super::rest::Call;

    #[test]
    fn who_asks_too_much_within_a_minute_is_told_to_wait() {
        let mut world = World::new();
        let mut ask = |method: &str, at| {
            let path = "/repos/octocat/app/actions/runners/registration-token";
            let path = if method == "GET" { "/user" } else { path };
            world.gh.rest(&Call::new(method, path, "secret"), at)
        };
        for _ in 0..160 {
            assert_eq!(ask("POST", 0).status, 201);
        }
        for _ in 0..100 {
            assert_eq!(ask("GET", SECOND).status, 200);
        }
        let refused = ask("GET", 2 * SECOND);
        assert_eq!(refused.status, 403);
        assert!(refused.headers.contains(&("retry-after", "60".to_owned())));
        assert_eq!(ask("GET", 60 * SECOND).status, 200, "the minute of the first is over");
    }
}
