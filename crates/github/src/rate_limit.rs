//! When GitHub asks to wait, everything on that credential waits: reads an answer's headers and
//! says for how long. After that time one request goes ahead, and the others when it was not refused.
//! It makes no request and looks at no clock of its own.
//!
//! Waiting is measured on a clock that never jumps. The wall clock is asked only where an answer
//! carries no `Date`, and whatever comes of that is bounded. How a limit is shared out before it is
//! used up is in `budget`.
//!
//! Rules: docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api,
//! "Handle rate limit errors appropriately".

use std::time::Duration;

use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use tokio::time::Instant;

/// For a secondary limit that names no time: "wait for at least one minute".
const SECONDARY: Duration = Duration::from_secs(60);
/// Refused again and again without a time: "wait for an exponentially increasing amount of time".
const SECONDARY_LONGEST: Duration = Duration::from_secs(15 * 60);
/// Refused again and again with a time that is too short.
const SHORTEST: Duration = Duration::from_secs(5);
const SHORTEST_AT_MOST: Duration = Duration::from_secs(60);
/// The answer to the one that goes ahead is waited for this long: longer than a request may take.
const AHEAD: Duration = Duration::from_secs(15);
/// No limit of GitHub's is longer than an hour; a nonsense header must not stop us for good.
const LONGEST: Duration = Duration::from_secs(2 * 3600);

/// Whether GitHub may be asked, or until when not.
#[derive(Debug, Default)]
pub(super) struct RateLimit {
    until: Option<Instant>,
    /// In a row. Those that were under way together count once.
    refusals: u32,
    /// When the one that goes ahead after a refusal was sent.
    ahead: Option<Instant>,
}

impl RateLimit {
    /// For how long nothing may be asked.
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        let until = self.until.max(self.ahead.map(|sent| sent + AHEAD));
        let left = until?.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// A request is sent.
    pub fn sends(&mut self, now: Instant) {
        self.ahead = (self.refusals > 0).then_some(now);
    }

    /// It was answered, and not refused.
    pub fn passes(&mut self, now: Instant) {
        // One that was sent before the refusal shows nothing.
        if self.until.is_none_or(|until| until <= now) {
            (self.refusals, self.ahead) = (0, None);
        }
    }

    /// It was refused: until when to wait, if GitHub names a time.
    pub fn refuses(&mut self, wait: Option<Duration>, now: Instant) -> Duration {
        if self.until.is_none_or(|until| until <= now) {
            self.refusals = self.refusals.saturating_add(1);
        }
        self.ahead = None;
        let doubled = 1 << (self.refusals.saturating_sub(1)).min(16);
        let wait = match wait {
            Some(wait) if self.refusals > 1 => wait.max((SHORTEST * doubled).min(SHORTEST_AT_MOST)),
            Some(wait) => wait,
            None => (SECONDARY * doubled).min(SECONDARY_LONGEST),
        };
        self.wait_until(now + wait);
        wait
    }

    /// Never ends earlier than it was to.
    pub fn wait_until(&mut self, until: Instant) {
        self.until = self.until.max(Some(until));
    }
}

/// What one answer says about waiting.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    No,
    /// Wait, but the answer itself stands.
    Later(Duration),
    /// The answer is a refusal for having asked too much, with the time that it names.
    Refused(Option<Duration>, String),
}

/// Judges an answer. `message` is GitHub's own, of a 403 or 429; `now` is the wall clock's.
pub(super) fn waiting(status: u16, headers: &HeaderMap, message: &str, now: Timestamp) -> Waiting {
    let retry_after = retry_after(headers, now);
    let reset = empty_for(headers, now);
    let says_limit = message.to_ascii_lowercase().contains("rate limit");
    let refused = match status {
        429 => true,
        403 => retry_after.is_some() || reset.is_some() || says_limit,
        _ => false,
    };
    let wait = retry_after.or(reset);
    if refused {
        return Waiting::Refused(wait, message.to_owned());
    }
    match wait {
        // A refused credential's limit is that of the address, not its own.
        Some(wait) if status != 401 => Waiting::Later(wait),
        _ => Waiting::No,
    }
}

/// Seconds, or a date by GitHub's clock.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    Some(match value.parse::<u32>() {
        Ok(seconds) => Duration::from_secs(seconds.into()).min(LONGEST),
        Err(_) => bounded(http_date(value)?.duration_since(date(headers).unwrap_or(now))),
    })
}

/// Until the limit is full again, where nothing remains of it.
fn empty_for(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    if number(headers, "x-ratelimit-remaining")? != 0 {
        return None;
    }
    resets_in(headers, now)
}

/// Until the limit is full again.
pub(super) fn resets_in(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let reset = Timestamp::from_second(number(headers, "x-ratelimit-reset")?).ok()?;
    // By GitHub's clock on both sides, so that ours may be wrong. One second more, for `Date`
    // has whole seconds.
    let wait = reset.duration_since(date(headers).unwrap_or(now)) + SignedDuration::from_secs(1);
    Some(bounded(wait))
}

fn bounded(wait: SignedDuration) -> Duration {
    Duration::try_from(wait).unwrap_or_default().min(LONGEST)
}

pub(super) fn number(headers: &HeaderMap, name: &str) -> Option<i64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// The answer's `Date`.
pub(super) fn date(headers: &HeaderMap) -> Option<Timestamp> {
    http_date(headers.get(DATE)?.to_str().ok()?)
}

fn http_date(text: &str) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderName, HeaderValue};
    use rstest::rstest;

    const NOW: i64 = 1_800_000_000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn judge(status: u16, pairs: &[(&'static str, &str)], message: &str) -> Waiting {
        let pairs = pairs.iter().map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        });
        waiting(status, &pairs.collect(), message, at(NOW))
    }

    fn seconds(waiting: &Waiting) -> Option<u64> {
        match waiting {
            Waiting::No => None,
            Waiting::Later(wait) => Some(wait.as_secs()),
            Waiting::Refused(wait, _) => Some(wait.unwrap_or(SECONDARY).as_secs()),
        }
    }

    #[rstest]
    // retry-after goes first, in seconds or as a date by GitHub's clock.
    #[case(403, &[("retry-after", "30"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1800000500")], "", 30)]
    #[case(429, &[("retry-after", "Fri, 15 Jan 2027 08:01:00 GMT"), ("date", "Fri, 15 Jan 2027 08:00:20 GMT")], "", 40)]
    // Then the limit's own reset.
    #[case(403, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1800000500")], "", 501)]
    // Our clock is a day behind GitHub's.
    #[case(403, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1800086500"), ("date", "Sat, 16 Jan 2027 08:00:00 GMT")], "", 101)]
    // Then a minute.
    #[case(403, &[("x-ratelimit-remaining", "4000")], "You have exceeded a secondary rate limit.", 60)]
    #[case(429, &[], "", 60)]
    // Nonsense is bounded.
    #[case(429, &[("retry-after", "4000000000")], "", 7200)]
    #[case(429, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "5")], "", 0)]
    fn refusals_say_until_when(
        #[case] status: u16,
        #[case] headers: &[(&'static str, &str)],
        #[case] message: &str,
        #[case] expected: u64,
    ) {
        let waiting = judge(status, headers, message);
        assert!(matches!(waiting, Waiting::Refused(..)), "{waiting:?}");
        assert_eq!(seconds(&waiting), Some(expected));
    }

    #[test]
    fn want_of_permission_is_no_rate_limit() {
        let headers = [("x-ratelimit-remaining", "4999"), ("x-ratelimit-reset", "1800000500")];
        let message = "Resource not accessible by personal access token";
        assert_eq!(judge(403, &headers, message), Waiting::No);
    }

    #[test]
    fn after_the_last_success_before_the_limit_there_is_a_wait_too() {
        let headers = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1800000500")];
        assert_eq!(judge(200, &headers, ""), Waiting::Later(Duration::from_secs(501)));
        assert_eq!(judge(304, &headers, ""), Waiting::Later(Duration::from_secs(501)));
        assert_eq!(judge(401, &headers, ""), Waiting::No);
        assert_eq!(judge(503, &[("retry-after", "9")], ""), Waiting::Later(Duration::from_secs(9)));
    }

    #[test]
    fn a_wait_ends_at_its_time_and_never_earlier() {
        let (mut limit, now) = (RateLimit::default(), Instant::now());
        let at = |seconds| now + Duration::from_secs(seconds);
        assert_eq!(limit.wait(now), None);
        limit.wait_until(at(20));
        limit.wait_until(at(10));
        assert_eq!(limit.wait(at(19)), Some(Duration::from_secs(1)));
        assert_eq!(limit.wait(at(20)), None);
    }

    #[test]
    fn after_a_refusal_one_goes_ahead_and_the_others_when_it_passed() {
        let (mut limit, began) = (RateLimit::default(), Instant::now());
        let at = |seconds| began + Duration::from_secs(seconds);
        limit.sends(at(0));
        assert_eq!(limit.wait(at(0)), None, "nothing was refused yet");
        assert_eq!(limit.refuses(Some(Duration::from_secs(20)), at(0)), Duration::from_secs(20));
        // Others were under way.
        limit.refuses(Some(Duration::from_secs(20)), at(1));
        limit.passes(at(2));
        assert_eq!(limit.wait(at(21)), None);
        limit.sends(at(21));
        assert!(limit.wait(at(21)).is_some_and(|wait| wait == AHEAD), "one goes ahead");
        limit.passes(at(22));
        assert_eq!(limit.wait(at(22)), None);
        // No word of the one that went ahead: another does.
        limit.refuses(None, at(30));
        limit.sends(at(90));
        assert_eq!(limit.wait(at(104)), Some(Duration::from_secs(1)));
        assert_eq!(limit.wait(at(105)), None);
    }

    #[test]
    fn refusals_in_a_row_are_waited_out_for_longer_and_longer() {
        for (named, expected) in
            [(None, [60, 120, 240, 480, 900, 900, 900]), (Some(1), [1, 10, 20, 40, 60, 60, 60])]
        {
            let (mut limit, mut now) = (RateLimit::default(), Instant::now());
            for expected in expected {
                limit.sends(now);
                let wait = limit.refuses(named.map(Duration::from_secs), now);
                assert_eq!(wait.as_secs(), expected, "{named:?}");
                now += wait;
            }
            limit.passes(now);
            assert!(limit.refuses(named.map(Duration::from_secs), now).as_secs() <= 60);
        }
    }

    #[test]
    fn a_wall_clock_that_is_a_day_ahead_or_behind_moves_no_wait() {
        let headers: HeaderMap = [
            ("retry-after", "20"),
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "1800000500"),
            ("date", "Fri, 15 Jan 2027 08:00:00 GMT"),
        ]
        .into_iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect();
        for wrong in [NOW - 86_400, NOW + 86_400, 0] {
            assert_eq!(
                waiting(429, &headers, "", at(wrong)),
                Waiting::Refused(Some(Duration::from_secs(20)), String::new())
            );
            assert_eq!(resets_in(&headers, at(wrong)), Some(Duration::from_secs(501)));
        }
    }
}
