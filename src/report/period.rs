//! Which months a report is about: whole ones, or everything since a day. All in UTC.

use std::fmt;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::ledger::Time;

/// The first year that is accepted. Before it there was no GitHub.
const FIRST_YEAR: i16 = 2008;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month {
    year: i16,
    month: i8,
}

impl Month {
    /// `YYYY-MM`.
    fn read(text: &str) -> Option<Self> {
        let (year, month) = text.split_once('-')?;
        let digits = |part: &str, count| {
            part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !digits(year, 4) || !digits(month, 2) {
            return None;
        }
        let (year, month) = (year.parse().ok()?, month.parse().ok()?);
        (year >= FIRST_YEAR && (1..=12).contains(&month)).then_some(Self { year, month })
    }

    fn of(day: Date) -> Self {
        Self { year: day.year(), month: day.month() }
    }

    fn first_day(self) -> Date {
        jiff::civil::date(self.year, self.month, 1)
    }

    fn before(self) -> Self {
        match self.month {
            1 => Self { year: self.year.saturating_sub(1), month: 12 },
            month => Self { year: self.year, month: month - 1 },
        }
    }

    fn next(self) -> Self {
        match self.month {
            12 => Self { year: self.year.saturating_add(1), month: 1 },
            month => Self { year: self.year, month: month + 1 },
        }
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

/// A month, or the part of it from a day on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub month: Month,
    pub from: Time,
    /// Its first moment is no longer in it.
    pub to: Time,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    /// In order, at least one, none overlaps.
    spans: Vec<Span>,
    /// The months were named: each counts, also where nothing ran.
    named: bool,
    first_day: Date,
    last_day: Date,
}

impl Period {
    /// These months, or everything since that day, or else the month that `now` is in. The error says
    /// what is wrong, and how to write it.
    pub fn read(months: &[String], since: Option<&str>, now: Time) -> Result<Self, String> {
        let today = day_of(now);
        let mut named = Vec::new();
        for text in months {
            let month = Month::read(text).ok_or_else(|| {
                format!("{text:?} is not a month; write YYYY-MM, for example {}", Month::of(today))
            })?;
            if month > Month::of(today) {
                return Err(format!("{month} has not begun yet; today is {today} (UTC)"));
            }
            named.push(month);
        }
        match since {
            Some(_) if !named.is_empty() => {
                Err("give either months or a day since when, not both".to_owned())
            }
            Some(text) => Self::since(text, today),
            None => {
                if named.is_empty() {
                    named.push(Month::of(today));
                }
                named.sort_unstable();
                named.dedup();
                Ok(Self::of_months(&named))
            }
        }
    }

    /// That many months, the current one last.
    pub fn last_months(count: usize, now: Time) -> Self {
        let mut months = vec![Month::of(day_of(now))];
        while months.len() < count {
            months.push(months[months.len() - 1].before());
        }
        months.reverse();
        Self::of_months(&months)
    }

    fn of_months(months: &[Month]) -> Self {
        let spans: Vec<Span> = months.iter().map(|month| span(*month, month.first_day())).collect();
        let first_day = months[0].first_day();
        let after = months[months.len() - 1].next().first_day();
        Self { spans, named: true, first_day, last_day: after.yesterday().unwrap_or(after) }
    }

    fn since(text: &str, today: Date) -> Result<Self, String> {
        let is_full = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        let day = text.parse::<Date>().ok().filter(|day| is_full && day.year() >= FIRST_YEAR);
        let Some(day) = day else {
            return Err(format!("{text:?} is not a day; write YYYY-MM-DD, for example {today}"));
        };
        if day > today {
            return Err(format!("{day} is in the future; today is {today} (UTC)"));
        }
        let mut spans = vec![span(Month::of(day), day)];
        while let Some(last) = spans.last()
            && last.month < Month::of(today)
        {
            let month = last.month.next();
            spans.push(span(month, month.first_day()));
        }
        Ok(Self { spans, named: false, first_day: day, last_day: today })
    }

    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Which span that moment is in.
    pub fn index_of(&self, at: Time) -> Option<usize> {
        let after = self.spans.partition_point(|span| span.from <= at);
        let index = after.checked_sub(1)?;
        (at < self.spans[index].to).then_some(index)
    }

    /// Its first moment.
    pub fn from(&self) -> Time {
        self.spans[0].from
    }

    pub fn is_named(&self) -> bool {
        self.named
    }

    pub fn first_day(&self) -> String {
        self.first_day.to_string()
    }

    pub fn last_day(&self) -> String {
        self.last_day.to_string()
    }

    /// The last moment of it.
    pub fn end(&self) -> Time {
        self.spans[self.spans.len() - 1].to.moved(-1)
    }
}

fn span(month: Month, from: Date) -> Span {
    Span { month, from: midnight(from), to: midnight(month.next().first_day()) }
}

fn midnight(day: Date) -> Time {
    // UTC has no gaps, and the years are those of four digits.
    day.to_zoned(TimeZone::UTC).map_or(Time(i64::MAX), |midnight| midnight.timestamp().into())
}

fn day_of(now: Time) -> Date {
    let at = jiff::Timestamp::from_millisecond(now.0).unwrap_or_default();
    at.to_zoned(TimeZone::UTC).date()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Time {
        text.parse::<jiff::Timestamp>().unwrap().into()
    }

    fn now() -> Time {
        time("2026-11-30T23:59:59Z")
    }

    fn months(months: &[&str]) -> Result<Period, String> {
        let months: Vec<String> = months.iter().map(|month| (*month).to_owned()).collect();
        Period::read(&months, None, now())
    }

    #[test]
    fn a_month_begins_and_ends_at_midnight_utc() {
        let february = months(&["2024-02"]).unwrap();
        assert_eq!(
            (february.first_day(), february.last_day()),
            ("2024-02-01".into(), "2024-02-29".into())
        );
        let within = |at: &str| february.index_of(time(at)).is_some();
        assert!(within("2024-02-01T00:00:00Z") && within("2024-02-29T23:59:59.999Z"));
        assert!(!within("2024-01-31T23:59:59.999Z") && !within("2024-03-01T00:00:00Z"));
        // The same moments on other clocks.
        assert!(within("2024-03-01T01:30:00+02:00") && !within("2024-02-29T19:30:00-05:00"));
    }

    #[test]
    fn months_may_be_apart_and_come_in_any_order() {
        let period = months(&["2026-03", "2025-12", "2026-03"]).unwrap();
        let named: Vec<String> = period.spans().iter().map(|span| span.month.to_string()).collect();
        assert_eq!(named, ["2025-12", "2026-03"]);
        let index = |at: &str| period.index_of(time(at));
        assert_eq!(index("2025-12-31T23:59:59Z"), Some(0));
        assert_eq!(index("2026-01-01T00:00:00Z"), None);
        assert_eq!(index("2026-03-31T00:00:00Z"), Some(1));
    }

    #[test]
    fn since_a_day_goes_on_to_today() {
        let period = Period::read(&[], Some("2026-09-15"), now()).unwrap();
        assert_eq!(
            (period.first_day(), period.last_day()),
            ("2026-09-15".into(), "2026-11-30".into())
        );
        assert_eq!(period.spans().len(), 3);
        assert_eq!(period.index_of(time("2026-09-14T23:59:59Z")), None);
        assert_eq!(period.index_of(time("2026-09-15T00:00:00Z")), Some(0));
        assert_eq!(period.index_of(now()), Some(2));
        let named = |period: &Period| {
            period.spans().iter().map(|span| span.month.to_string()).collect::<Vec<_>>()
        };
        let last = Period::last_months(3, time("2026-01-31T23:00:00Z"));
        assert_eq!(named(&last), ["2025-11", "2025-12", "2026-01"]);
        let this_month = Period::read(&[], None, now()).unwrap();
        assert_eq!(this_month.first_day(), "2026-11-01");
    }

    #[test]
    fn what_cannot_be_is_said_in_words() {
        for wrong in [
            "2026-13",
            "2026-00",
            "2026-1",
            "26-01",
            "0000-01",
            "2026",
            "2026-11-01",
            "+026-01",
            "",
        ] {
            let why = months(&[wrong]).unwrap_err();
            assert!(why.contains("is not a month; write YYYY-MM, for example 2026-11"), "{why}");
        }
        let why = months(&["2026-12"]).unwrap_err();
        assert_eq!(why, "2026-12 has not begun yet; today is 2026-11-30 (UTC)");
        months(&["9999-12"]).unwrap_err();
        for wrong in ["2026-02-30", "2026-11", "yesterday", "2026-11-1", "0001-01-01"] {
            let why = Period::read(&[], Some(wrong), now()).unwrap_err();
            assert!(why.contains("is not a day; write YYYY-MM-DD"), "{why}");
        }
        Period::read(&[], Some("2026-12-01"), now()).unwrap_err();
        Period::read(&["2026-11".to_owned()], Some("2026-11-01"), now()).unwrap_err();
        // Long before the first job, which is no mistake.
        months(&["2009-01"]).unwrap();
    }
}
