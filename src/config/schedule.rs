//! `schedule = "mon-fri 08:00-18:00 Europe/Rome"`: the grammar of [`ledger::schedule`](crate::ledger::schedule).

use jiff::tz::TimeZone;

use super::suggest::nearest;
use crate::ledger::schedule::{DAYS, Schedule};

pub(super) fn parse(text: &str) -> Result<Schedule, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [days, hours, zone] = words[..] else {
        return Err(format!(
            "{text:?} is not of the form DAYS HH:MM-HH:MM TIMEZONE, with a time zone such as Europe/Rome or UTC"
        ));
    };
    let days = parse_days(days)?;
    let both = hours.split_once('-').ok_or_else(|| not_hours(hours))?;
    let (from, until) = (time(both.0)?, time(both.1)?);
    if from == MIDNIGHT {
        return Err(format!("{hours:?} begins at 24:00; write 00:00 of the next day"));
    }
    if from == until {
        return Err(format!("{hours:?} begins when it ends; for the whole day write 00:00-24:00"));
    }
    let zone = time_zone(zone)?;
    Schedule::new(days, from, until, zone).ok_or_else(|| not_hours(hours))
}

/// `mon-fri`, `sat,sun`, `mon-wed,fri`, and over the end of the week `sat-mon`.
fn parse_days(text: &str) -> Result<[bool; 7], String> {
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        let span = (last + 7 - first) % 7;
        for ahead in 0..=span {
            days[(first + ahead) % 7] = true;
        }
    }
    Ok(days)
}

fn day(text: &str) -> Result<usize, String> {
    let lower = text.to_ascii_lowercase();
    DAYS.iter().position(|day| *day == lower).ok_or_else(|| {
        format!("{text:?} is not a day; the days are {}, joined by - or ,", DAYS.join(", "))
    })
}

const MIDNIGHT: u16 = 24 * 60;

/// Minutes since midnight.
fn time(text: &str) -> Result<u16, String> {
    let parts = text.split_once(':').filter(|(h, m)| {
        (1..=2).contains(&h.len())
            && m.len() == 2
            && h.chars().chain(m.chars()).all(|c| c.is_ascii_digit())
    });
    let (hour, minute) = parts.ok_or_else(|| not_a_time(text))?;
    let (Ok(hour), Ok(minute)) = (hour.parse::<u16>(), minute.parse::<u16>()) else {
        return Err(not_a_time(text));
    };
    match (hour, minute) {
        (24, 0) | (0..=23, 0..=59) => Ok(hour * 60 + minute),
        _ => Err(not_a_time(text)),
    }
}

fn not_a_time(text: &str) -> String {
    format!("{text:?} is not a time of day from 00:00 to 24:00")
}

fn not_hours(text: &str) -> String {
    format!("{text:?} is not of the form HH:MM-HH:MM")
}

/// By its name in the IANA database: one offset would be wrong for half of the year.
fn time_zone(name: &str) -> Result<TimeZone, String> {
    if let Ok(zone) = TimeZone::get(name)
        && zone != TimeZone::unknown()
        && is_a_place(name)
    {
        return Ok(zone);
    }
    let known = jiff::tz::db().available().map(|name| name.to_string());
    let known: Vec<String> = known.filter(|name| is_a_place(name)).collect();
    let near = nearest(name, known.iter().map(String::as_str));
    let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
    Err(format!("{name:?} is not a time zone of the IANA database{near}"))
}

/// What else lies in the system's database: the zone of this machine, one for clocks that nobody has set, and
/// copies of all, one of them with leap seconds.
fn is_a_place(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let copy = ["posix/", "right/"].iter().any(|copy| name.starts_with(copy));
    !copy && !["localtime", "factory", "posixrules"].contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Time;

    fn holds(schedule: &str, at: &str) -> bool {
        let at: jiff::Timestamp = at.parse().unwrap();
        parse(schedule).unwrap().holds(Time::from(at))
    }

    #[test]
    fn days_hours_and_zones() {
        let office = "mon-fri 08:00-18:00 Europe/Rome";
        assert!(holds(office, "2026-11-30T07:00:00Z") && !holds(office, "2026-11-30T17:00:00Z"));
        assert!(holds(office, "2026-07-06T06:00:00Z") && !holds(office, "2026-11-29T09:00:00Z"));
        // Saturday to Monday, over the end of the week.
        let weekend = "Sat-Mon 0:00-24:00 UTC";
        for (day, on) in [("2026-11-27", false), ("2026-11-28", true), ("2026-11-29", true)] {
            assert_eq!(holds(weekend, &format!("{day}T12:00:00Z")), on, "{day}");
        }
        assert!(holds("mon,wed,fri-sat 09:30-10:00 UTC", "2026-12-05T09:45:00Z"));
        assert!(holds("mon 22:00-06:00 UTC", "2026-12-01T05:59:59Z"));
    }

    #[test]
    fn it_is_shown_as_it_is_written() {
        let text = "mon,tue,sat 08:00-24:00 Europe/Rome";
        assert_eq!(parse(text).unwrap().to_string(), text);
    }

    #[test]
    fn what_is_no_schedule_says_why() {
        for (text, why) in [
            ("always", "is not of the form DAYS HH:MM-HH:MM TIMEZONE"),
            ("mon-fri 08:00-18:00", "is not of the form DAYS HH:MM-HH:MM TIMEZONE"),
            ("monday 08:00-18:00 UTC", "\"monday\" is not a day; the days are mon, tue"),
            ("mon-fri 08:00 UTC", "\"08:00\" is not of the form HH:MM-HH:MM"),
            ("mon-fri 8-18 UTC", "\"8\" is not a time of day"),
            ("mon-fri 08:00-25:00 UTC", "\"25:00\" is not a time of day"),
            ("mon-fri 08:60-18:00 UTC", "\"08:60\" is not a time of day"),
            ("mon-fri 08:00-08:00 UTC", "for the whole day write 00:00-24:00"),
            ("mon-fri 24:00-08:00 UTC", "write 00:00 of the next day"),
            ("mon-fri 08:00-18:00 Europe/Rom", "did you mean Europe/Rome?"),
            ("mon-fri 08:00-18:00 +02:00", "is not a time zone"),
            ("mon-fri 08:00-18:00 localtime", "is not a time zone"),
            ("mon-fri 08:00-18:00 Factory", "is not a time zone"),
            ("mon-fri 08:00-18:00 right/Europe/Rome", "is not a time zone"),
        ] {
            let told = parse(text).unwrap_err();
            assert!(told.contains(why), "{text}: {told}");
        }
    }
}
