//! Whether a task that has ended, or could not start, is started again, and when: the jobspec's
//! `restart` block.
//!
//! Pure: the time is an argument, the jitter is drawn by the caller. Who asks: `tasks/life.rs`.
//! (Nomad `client/allocrunner/taskrunner/restarts/restarts.go`.)

use serde::Deserialize;

use super::durations::go_text;

pub(crate) const WITHIN_POLICY: &str = "Restart within policy";
const NONE_ALLOWED: &str = "Policy allows no restarts";
const WITH_A_DELAY: &str = "Exceeded allowed attempts, applying a delay";
const UNRECOVERABLE: &str = "Error was unrecoverable";

const SECOND: i64 = 1_000_000_000;

/// As it stands in a jobspec; lengths of time in nanoseconds.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RestartPolicy {
    #[serde(default)]
    attempts: Option<u64>,
    #[serde(default)]
    interval: Option<i64>,
    #[serde(default)]
    delay: Option<i64>,
    #[serde(default)]
    mode: Option<String>,
}

/// How a start went wrong, or how a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Success,
    Failure,
    /// It could not be started, and might be at another time.
    NotStarted,
    /// It could not be started, and never will.
    Unrecoverable,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It ended well.
    Over,
    NotAgain(String),
    /// After so many nanoseconds.
    Again(i64, &'static str),
}

#[derive(Clone, Debug)]
pub(crate) struct Restarts {
    policy: RestartPolicy,
    /// Also after it ended well, as sidecars are.
    on_success: bool,
    count: u64,
    /// Of the current interval, in nanoseconds.
    since: i64,
}

impl Restarts {
    pub fn new(policy: RestartPolicy, on_success: bool, now: i64) -> Self {
        Self { policy, on_success, count: 0, since: now }
    }

    /// `jitter` is between 0 and 1.
    pub fn decide(&mut self, ending: Ending, now: i64, jitter: f64) -> Decision {
        // Nomad's defaults for batch jobs.
        let attempts = self.policy.attempts.unwrap_or(3);
        let interval = self.policy.interval.unwrap_or(24 * 3_600 * SECOND);
        let delay = self.policy.delay.unwrap_or(15 * SECOND);
        if ending == Ending::Success && !self.on_success {
            return Decision::Over;
        }
        if attempts == 0 {
            return Decision::NotAgain(NONE_ALLOWED.to_owned());
        }
        if now > self.since + interval {
            (self.count, self.since) = (0, now);
        }
        self.count += 1;
        if ending == Ending::Unrecoverable {
            return Decision::NotAgain(UNRECOVERABLE.to_owned());
        }
        if self.count <= attempts {
            #[expect(clippy::cast_possible_truncation, reason = "a length of time, far smaller")]
            #[expect(clippy::cast_precision_loss, reason = "it is only a jitter")]
            let more = (delay as f64 * 0.25 * jitter) as i64;
            return Decision::Again(delay + more, WITHIN_POLICY);
        }
        if self.policy.mode.as_deref() == Some("delay") {
            return Decision::Again((self.since + interval - now).max(0), WITH_A_DELAY);
        }
        Decision::NotAgain(format!(
            "Exceeded allowed attempts {attempts} in interval {} and mode is \"fail\"",
            go_text(interval)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restarts(attempts: u64, mode: &str) -> Restarts {
        let policy = RestartPolicy {
            attempts: Some(attempts),
            interval: Some(60 * SECOND),
            delay: Some(SECOND),
            mode: Some(mode.to_owned()),
        };
        Restarts::new(policy, false, 0)
    }

    #[test]
    fn a_policy_without_attempts_allows_none() {
        let mut none = restarts(0, "fail");
        assert_eq!(none.decide(Ending::Success, 1, 0.0), Decision::Over);
        let never = Decision::NotAgain(NONE_ALLOWED.to_owned());
        assert_eq!(none.decide(Ending::Failure, 1, 0.0), never);
    }

    #[test]
    fn attempts_count_within_their_interval() {
        let mut one = restarts(1, "fail");
        let again = Decision::Again(SECOND, WITHIN_POLICY);
        assert_eq!(one.decide(Ending::Failure, 1, 0.0), again);
        let Decision::NotAgain(why) = one.decide(Ending::Failure, 2, 0.0) else { panic!() };
        assert_eq!(why, "Exceeded allowed attempts 1 in interval 1m0s and mode is \"fail\"");
        assert_eq!(one.decide(Ending::Failure, 61 * SECOND, 0.0), again);
        let mut one = restarts(1, "delay");
        assert_eq!(
            one.decide(Ending::NotStarted, 1, 1.0),
            Decision::Again(SECOND + SECOND / 4, WITHIN_POLICY)
        );
        assert_eq!(
            one.decide(Ending::Failure, 2 * SECOND, 0.0),
            Decision::Again(58 * SECOND, WITH_A_DELAY)
        );
        let Decision::NotAgain(why) = one.decide(Ending::Unrecoverable, 3 * SECOND, 0.0) else {
            panic!()
        };
        assert_eq!(why, UNRECOVERABLE);
    }
}
