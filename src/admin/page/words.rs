//! Times and numbers as people read them.

use std::time::Duration;

use maud::{Markup, html};

use crate::ledger::Time;

/// `45 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`.
pub(super) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let (unit, small, by, bys) = match seconds {
        0..60 => return format!("{seconds} s"),
        60..3600 => (60, 1, "min", "s"),
        3600..86_400 => (3600, 60, "h", "min"),
        _ => (86_400, 3600, "d", "h"),
    };
    match seconds % unit / small {
        0 => format!("{} {by}", seconds / unit),
        rest => format!("{} {by} {rest} {bys}", seconds / unit),
    }
}

/// `3 min ago`, with the moment itself for machines and for whoever points at it.
pub(super) fn ago(now: Time, at: Time) -> Markup {
    let past = match now.since(at) {
        past if past < Duration::from_secs(1) => "just now".to_owned(),
        past => format!("{} ago", coarse(past)),
    };
    moment(at, &past)
}

pub(super) fn moment(at: Time, words: &str) -> Markup {
    let at = at.to_string();
    html! { time datetime=(at) title=(at) { (words) } }
}

/// Without the smaller unit, which changes too often to be read.
fn coarse(time: Duration) -> String {
    let words = span(time);
    let mut parts = words.split(' ');
    format!("{} {}", parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

/// `20 000`: with narrow spaces between the thousands.
pub(super) fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut words = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            words.push('\u{202f}');
        }
        words.push(digit);
    }
    words
}

/// `1 job`, `2 jobs`.
pub(super) fn count(count: usize, one: &str, many: &str) -> String {
    let word = if count == 1 { one } else { many };
    format!("{} {word}", number(count as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_two_units_at_most() {
        let words = |seconds| span(Duration::from_secs(seconds));
        assert_eq!(
            [0, 59, 60, 200, 3600, 7_500, 86_400, 273_600].map(words),
            ["0 s", "59 s", "1 min", "3 min 20 s", "1 h", "2 h 5 min", "1 d", "3 d 4 h"]
        );
        let past = ago(Time(200_000), Time(0)).into_string();
        assert!(past.ends_with(">3 min ago</time>"), "{past}");
        assert!(ago(Time(0), Time(5_000)).into_string().contains("just now"));
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(number),
            ["0", "999", "1\u{202f}000", "1\u{202f}234\u{202f}567"]
        );
        assert_eq!(count(1, "job", "jobs"), "1 job");
    }
}
