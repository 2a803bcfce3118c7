//! Lengths of time as Go writes them: `5s`, `1m0s`, `1.5s`, `300ms`.
//!
//! Pure text. Who needs one: the events of tasks, whose messages hold lengths of time, and tokens,
//! which live for one.

const MICRO: i64 = 1_000;
pub(crate) const MILLI: i64 = 1_000_000;
pub(crate) const SECOND: i64 = 1_000_000_000;

const UNITS: [(&str, i64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", MILLI),
    ("s", SECOND),
    ("m", 60 * SECOND),
    ("h", 3_600 * SECOND),
];

/// Nanoseconds, from text as `time.ParseDuration` reads it.
///
/// # Errors
/// In Go's words.
pub(crate) fn parse(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut all = 0.0;
    let mut whole: i64 = 0;
    while !rest.is_empty() {
        let number = take(&mut rest, |next| next.is_ascii_digit() || next == '.');
        if number.is_empty() || number == "." {
            return Err(invalid());
        }
        let unit = take(&mut rest, |next| !next.is_ascii_digit() && next != '.');
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {text:?}"));
        }
        let Some((_, length)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(format!("time: unknown unit {unit:?} in duration {text:?}"));
        };
        match number.parse::<i64>() {
            Ok(number) => {
                let part = number.checked_mul(*length).ok_or_else(invalid)?;
                whole = whole.checked_add(part).ok_or_else(invalid)?;
            }
            #[expect(clippy::cast_precision_loss, reason = "units are small")]
            Err(_) => all += number.parse::<f64>().map_err(|_| invalid())? * *length as f64,
        }
    }
    #[expect(clippy::cast_possible_truncation, reason = "fractions of units")]
    let fraction = all as i64;
    Ok(sign * whole.checked_add(fraction).ok_or_else(invalid)?)
}

fn take<'a>(rest: &mut &'a str, so: impl Fn(char) -> bool) -> &'a str {
    let end = rest.find(|next| !so(next)).unwrap_or(rest.len());
    let (taken, after) = rest.split_at(end);
    *rest = after;
    taken
}

/// Nanoseconds, as Go's `time.Duration` prints them.
pub(crate) fn go_text(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.abs();
    let text = match nanos {
        0 => "0s".to_owned(),
        _ if nanos < MICRO => format!("{nanos}ns"),
        _ if nanos < MILLI => fraction(nanos, MICRO, "µs"),
        _ if nanos < SECOND => fraction(nanos, MILLI, "ms"),
        _ => {
            let (minutes, rest) = (nanos / (60 * SECOND), nanos % (60 * SECOND));
            let seconds = fraction(rest, SECOND, "s");
            match (minutes / 60, minutes % 60) {
                (0, 0) => seconds,
                (0, minutes) => format!("{minutes}m{seconds}"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    };
    format!("{sign}{text}")
}

fn fraction(nanos: i64, unit: i64, name: &str) -> String {
    let (whole, rest) = (nanos / unit, nanos % unit);
    if rest == 0 {
        return format!("{whole}{name}");
    }
    let digits = unit.ilog10() as usize;
    let rest = format!("{rest:0digits$}");
    format!("{whole}.{}{name}", rest.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_as_go_does() {
        let all = [
            (0, "0s"),
            (999, "999ns"),
            (1_500, "1.5µs"),
            (300 * MILLI, "300ms"),
            (5 * SECOND, "5s"),
            (SECOND + 50 * MILLI, "1.05s"),
            (60 * SECOND, "1m0s"),
            (24 * 3_600 * SECOND, "24h0m0s"),
            (-5 * SECOND, "-5s"),
        ];
        for (nanos, text) in all {
            assert_eq!(go_text(nanos), text);
        }
    }

    #[test]
    fn lengths_are_read_as_go_does() {
        for (text, shown) in [
            ("10ms", "10ms"),
            ("1.5s", "1.5s"),
            ("90m", "1h30m0s"),
            ("24h", "24h0m0s"),
            ("-1s", "-1s"),
            ("0", "0s"),
            ("1500us", "1.5ms"),
        ] {
            assert_eq!(parse(text).map(go_text), Ok(shown.to_owned()), "{text}");
        }
        for (text, error) in [
            ("soon", "time: invalid duration \"soon\""),
            ("", "time: invalid duration \"\""),
            ("5", "time: missing unit in duration \"5\""),
            ("5x", "time: unknown unit \"x\" in duration \"5x\""),
        ] {
            assert_eq!(parse(text), Err(error.to_owned()));
        }
    }
}
