//! When something holds: on some days of the week, from one time of day to another, by the clocks
//! of a time zone. A window that ends at or before the hour at which it begins ends on the next day.
//!
//! Where clocks are set, a time that is skipped counts as the one that they show instead, and a time
//! that comes twice as its first coming. So a window is as long as the clocks on the wall say it is.

use std::fmt;
use std::time::Duration;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::Time;

const MINUTES_A_DAY: u16 = 24 * 60;

/// As they are written.
pub const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Monday first: whether a window begins on that day.
    days: [bool; 7],
    /// Minutes since midnight.
    from: u16,
    until: u16,
    zone: TimeZone,
}

impl Schedule {
    /// `None`: there is no such hour, or no day. Minutes since midnight; the end of the day is 1440.
    pub fn new(days: [bool; 7], from: u16, until: u16, zone: TimeZone) -> Option<Self> {
        let hours = from < MINUTES_A_DAY && until <= MINUTES_A_DAY && from != until;
        (hours && days.contains(&true)).then_some(Self { days, from, until, zone })
    }

    pub fn holds(&self, at: Time) -> bool {
        self.windows(at).any(|(begins, ends)| begins <= at && at < ends)
    }

    /// When it begins or ends next.
    pub fn changes_after(&self, at: Time) -> Option<Time> {
        self.windows(at).flat_map(|(begins, ends)| [begins, ends]).filter(|it| *it > at).min()
    }

    /// The windows around a moment: the one of the day before, and all of two weeks that follow, for the only one
    /// of a week may fall into the hour that clocks skip.
    fn windows(&self, at: Time) -> impl Iterator<Item = (Time, Time)> + '_ {
        let today = Timestamp::from_millisecond(at.0).ok().map(|at| self.zone.to_datetime(at));
        let days =
            (-2..=15).filter_map(move |ahead: i64| today?.date().checked_add(ahead.days()).ok());
        days.filter(|day| self.begins_on(day.weekday())).filter_map(|day| {
            let overnight = u16::from(self.until <= self.from) * MINUTES_A_DAY;
            let (begins, ends) =
                (self.moment(day, self.from)?, self.moment(day, self.until + overnight)?);
            // Clocks that skip all of it leave nothing.
            (begins < ends).then_some((begins, ends))
        })
    }

    fn begins_on(&self, day: Weekday) -> bool {
        usize::try_from(day.to_monday_zero_offset()).is_ok_and(|day| self.days[day])
    }

    fn moment(&self, day: Date, minutes: u16) -> Option<Time> {
        let wall = day.to_datetime(jiff::civil::Time::midnight());
        let wall = wall.checked_add(Duration::from_secs(60 * u64::from(minutes))).ok()?;
        Some(self.zone.to_ambiguous_timestamp(wall).compatible().ok()?.into())
    }
}

/// As the config has it.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = DAYS.iter().zip(self.days).filter(|(_, on)| *on).map(|(day, _)| *day);
        let days: Vec<&str> = days.collect();
        let time = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        let zone = self.zone.iana_name().unwrap_or("UTC");
        write!(f, "{} {}-{} {zone}", days.join(","), time(self.from), time(self.until))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WEEKDAYS: [bool; 7] = [true, true, true, true, true, false, false];
    const ALWAYS: [bool; 7] = [true; 7];

    /// As Rome has it: one hour ahead in winter, two from the last Sunday of March to that of October.
    fn rome() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    fn at(text: &str) -> Time {
        text.parse::<Timestamp>().unwrap().into()
    }

    fn schedule(days: [bool; 7], from: u16, until: u16) -> Schedule {
        Schedule::new(days, from, until, rome()).unwrap()
    }

    #[test]
    fn a_window_that_clocks_skip_is_not_the_last() {
        let mut sunday = [false; 7];
        sunday[6] = true;
        let night = schedule(sunday, 2 * 60, 3 * 60);
        let next = night.changes_after(at("2027-03-21T02:30:00Z"));
        assert_eq!(
            next,
            Some(at("2027-04-04T00:00:00Z")),
            "not on the 28th, which has no such hour"
        );
    }

    #[test]
    fn office_hours_follow_the_clocks_of_the_place() {
        let office = schedule(WEEKDAYS, 8 * 60, 18 * 60);
        // A Monday in winter, and one in summer: an hour apart.
        assert!(
            !office.holds(at("2026-11-30T06:59:59Z")) && office.holds(at("2026-11-30T07:00:00Z"))
        );
        assert!(
            office.holds(at("2026-11-30T16:59:59Z")) && !office.holds(at("2026-11-30T17:00:00Z"))
        );
        assert!(
            office.holds(at("2026-07-06T06:00:00Z")) && !office.holds(at("2026-07-06T16:00:00Z"))
        );
        // Sunday.
        assert!(!office.holds(at("2026-11-29T10:00:00Z")));
        let saturday = at("2026-11-28T10:00:00Z");
        assert_eq!(office.changes_after(saturday), Some(at("2026-11-30T07:00:00Z")));
        assert_eq!(
            office.changes_after(at("2026-11-30T07:00:00Z")),
            Some(at("2026-11-30T17:00:00Z"))
        );
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_on_which_it_begins() {
        let mut friday = [false; 7];
        friday[4] = true;
        let night = schedule(friday, 22 * 60, 6 * 60);
        assert!(night.holds(at("2026-11-27T21:00:00Z")) && night.holds(at("2026-11-28T04:59:00Z")));
        assert!(
            !night.holds(at("2026-11-28T05:00:00Z")) && !night.holds(at("2026-11-28T21:30:00Z"))
        );
    }

    #[test]
    fn clocks_that_are_set_forward_and_back() {
        let night = schedule(ALWAYS, 60, 4 * 60);
        let length = |text: &str| {
            let (begins, ends) =
                night.windows(at(text)).find(|(begins, _)| *begins >= at(text)).unwrap();
            ends.since(begins).as_secs() / 3600
        };
        assert_eq!(length("2027-03-26T12:00:00Z"), 3);
        assert_eq!(length("2027-03-27T12:00:00Z"), 2, "2 o'clock is skipped");
        assert_eq!(length("2027-10-30T12:00:00Z"), 4, "2 o'clock comes twice");
        // It is skipped, and then holds at the hour that the clocks show instead.
        let skipped = schedule(ALWAYS, 2 * 60 + 10, 2 * 60 + 40);
        assert!(
            skipped.holds(at("2027-03-28T01:10:00Z")) && !skipped.holds(at("2027-03-28T01:40:00Z"))
        );
        // It comes twice, and holds the first time.
        assert!(
            skipped.holds(at("2027-10-31T00:10:00Z")) && !skipped.holds(at("2027-10-31T01:10:00Z"))
        );
    }

    #[test]
    fn what_is_no_window_is_none() {
        assert_eq!(Schedule::new([false; 7], 0, 60, rome()), None);
        assert_eq!(Schedule::new(ALWAYS, 60, 60, rome()), None);
        assert_eq!(Schedule::new(ALWAYS, 0, 1441, rome()), None);
        let all_day = schedule(ALWAYS, 0, 1440);
        assert!(
            all_day.holds(at("2026-11-30T23:00:00Z")) && all_day.holds(at("2027-03-28T01:00:00Z"))
        );
        // Where there is no calendar nothing holds.
        assert!(!all_day.holds(Time(i64::MAX)) && all_day.changes_after(Time(i64::MAX)).is_none());
    }

    proptest! {
        /// Between now and the next change it stays as it is.
        #[test]
        fn nothing_changes_before_it_is_due(
            start in 1_750_000_000_000_i64..1_850_000_000_000,
            days in any::<[bool; 7]>(),
            from in 0_u16..1440,
            until in 0_u16..=1440,
            part in 0.0..1.0_f64,
        ) {
            prop_assume!(from != until && days.contains(&true));
            let (schedule, start) = (schedule(days, from, until), Time(start));
            let next = schedule.changes_after(start).unwrap();
            let between = start.moved(((next.0 - start.0 - 1) as f64 * part) as i64);
            prop_assert_eq!(schedule.holds(start), schedule.holds(between));
        }
    }
}
