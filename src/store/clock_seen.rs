//! Since when the machine's clock has run without a gap: its last reading, and the time of the last gap.
//! Two cursors keep that over restarts.
//!
//! Deleting by age depends on it, because a clock can be years off for a moment.

use std::time::Duration;

use rusqlite::Connection;

use super::rows;
use crate::ledger::Time;

/// The longest time between two readings that is no gap: the daemon was stopped, or the machine slept.
const GAP: Duration = Duration::from_secs(24 * 3600);
/// How far the clock may be set back without a gap.
const A_LITTLE: Duration = Duration::from_secs(60);

const SINCE: &str = "clock.since";
const LAST: &str = "clock.last";

/// `now` is the current reading of the clock.
pub(super) fn goes_on(connection: &Connection, now: Time) -> rusqlite::Result<Time> {
    let read = |name| rows::cursor(connection, name);
    let time = |cursor: Option<u64>| cursor.map(|at| Time(at.cast_signed()));
    let since = since(time(read(SINCE)?), time(read(LAST)?), now);
    rows::set_cursor(connection, SINCE, since.0.cast_unsigned())?;
    rows::set_cursor(connection, LAST, now.0.cast_unsigned())?;
    Ok(since)
}

fn since(since: Option<Time>, last: Option<Time>, now: Time) -> Time {
    let goes_on = last.is_some_and(|last| last <= now + A_LITTLE && now <= last + GAP);
    since.filter(|_| goes_on).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000_000;
    const HOUR: i64 = 3_600_000;

    #[test]
    fn a_clock_goes_on_until_there_is_a_gap() {
        let seen = |now| since(Some(Time(7)), Some(Time(NOW)), Time(now));
        for goes_on in [NOW, NOW + 24 * HOUR, NOW - 30_000] {
            assert_eq!(seen(goes_on), Time(7));
        }
        for gap in [NOW + 25 * HOUR, NOW - 90_000, 0] {
            assert_eq!(seen(gap), Time(gap));
        }
        assert_eq!(since(None, None, Time(NOW)), Time(NOW));
    }
}
