//! When GitHub asks to wait, everything on that credential waits: reads an answer's headers and
//! says until when. It makes no request and looks at no clock of its own.
//!
//! Rules: docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api,
//! "Handle rate limit errors appropriately".

use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// For a secondary limit that names no time: "wait for at least one minute".
const SECONDARY: SignedDuration = SignedDuration::from_secs(60);
/// No limit of GitHub's is longer than an hour; a nonsense header must not stop us for good.
const LONGEST: SignedDuration = SignedDuration::from_hours(2);

/// Open, or closed until a time (by our clock).
#[derive(Debug, Default)]
pub(super) struct Gate {
    until: Option<Timestamp>,
}

impl Gate {
    /// Until when nothing may be asked.
    pub fn closed(&self, now: Timestamp) -> Option<Timestamp> {
        self.until.filter(|until| *until > now)
    }

    /// Never opens earlier than it was to.
    pub fn close(&mut self, until: Timestamp) {
        self.until = self.until.max(Some(until));
    }
}

/// What one answer says about waiting.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    No,
    /// Wait, but the answer itself stands.
    Later(Timestamp),
    /// The answer is a refusal for having asked too much.
    Refused(Timestamp, String),
}

/// Judges an answer. `message` is GitHub's own, of a 403 or 429.
pub(super) fn waiting(status: u16, headers: &HeaderMap, message: &str, now: Timestamp) -> Waiting {
    let retry_after = retry_after(headers, now);
    let reset = empty_until(headers, now);
    let says_limit = message.to_ascii_lowercase().contains("rate limit");
    let refused = match status {
        429 => true,
        403 => retry_after.is_some() || reset.is_some() || says_limit,
        _ => false,
    };
    let until = retry_after.or(reset).map(|until| until.min(now + LONGEST));
    if refused {
        return Waiting::Refused(until.unwrap_or(now + SECONDARY), message.to_owned());
    }
    match until {
        // A refused credential's limit is that of the address, not its own.
        Some(until) if status != 401 => Waiting::Later(until),
        _ => Waiting::No,
    }
}

/// Seconds, or a date by GitHub's clock.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Timestamp> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match value.parse::<u32>() {
        Ok(seconds) => SignedDuration::from_secs(i64::from(seconds)),
        Err(_) => http_date(value)?.duration_since(date(headers).unwrap_or(now)),
    };
    Some(now + wait.clamp(SignedDuration::ZERO, LONGEST))
}

/// Until the limit is full again, where nothing remains of it.
fn empty_until(headers: &HeaderMap, now: Timestamp) -> Option<Timestamp> {
    if number(headers, "x-ratelimit-remaining")? != 0 {
        return None;
    }
    let reset = number(headers, "x-ratelimit-reset")?;
    let reset = Timestamp::from_second(reset).ok()?;
    // By GitHub's clock on both sides, so that ours may be wrong. One second more, for `Date`
    // has whole seconds.
    let wait = reset.duration_since(date(headers).unwrap_or(now)) + SignedDuration::from_secs(1);
    Some(now + wait.clamp(SignedDuration::ZERO, LONGEST))
}

fn number(headers: &HeaderMap, name: &str) -> Option<i64> {
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

    fn seconds(waiting: &Waiting) -> Option<i64> {
        match waiting {
            Waiting::No => None,
            Waiting::Later(until) | Waiting::Refused(until, _) => Some(until.as_second() - NOW),
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
        #[case] expected: i64,
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
    fn the_last_success_before_the_limit_closes_too() {
        let headers = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1800000500")];
        assert_eq!(judge(200, &headers, ""), Waiting::Later(at(NOW + 501)));
        assert_eq!(judge(304, &headers, ""), Waiting::Later(at(NOW + 501)));
        assert_eq!(judge(401, &headers, ""), Waiting::No);
        assert_eq!(judge(503, &[("retry-after", "9")], ""), Waiting::Later(at(NOW + 9)));
    }

    #[test]
    fn a_gate_opens_at_its_time_and_never_earlier() {
        let mut gate = Gate::default();
        assert_eq!(gate.closed(at(0)), None);
        gate.close(at(20));
        gate.close(at(10));
        assert_eq!(gate.closed(at(19)), Some(at(20)));
        assert_eq!(gate.closed(at(20)), None);
    }
}
