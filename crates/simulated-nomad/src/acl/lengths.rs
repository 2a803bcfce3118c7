//! Lengths of time as Go reads and writes them: `1h30m`, `10ms`, `100000h0m0s`.
//!
//! Whole nanoseconds; no clock here.

const UNITS: [(&str, i64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", MILLISECOND),
    ("s", SECOND),
    ("m", 60 * SECOND),
    ("h", 3_600 * SECOND),
];
pub(crate) const MILLISECOND: i64 = 1_000_000;
pub(crate) const SECOND: i64 = 1_000 * MILLISECOND;

/// Nanoseconds.
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

pub(crate) fn show(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let all = nanoseconds.unsigned_abs();
    let second = SECOND.unsigned_abs();
    if all == 0 {
        return "0s".to_owned();
    }
    if all < second {
        let (length, unit, digits) = match all {
            0..1_000 => (1, "ns", 0),
            1_000..1_000_000 => (1_000, "µs", 3),
            _ => (1_000_000, "ms", 6),
        };
        return format!("{sign}{}{unit}", decimal(all / length, all % length, digits));
    }
    let seconds = decimal(all / second % 60, all % second, 9);
    match (all / second / 3_600, all / second / 60 % 60) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

fn decimal(whole: u64, fraction: u64, digits: usize) -> String {
    if fraction == 0 {
        return whole.to_string();
    }
    format!("{whole}.{}", format!("{fraction:0digits$}").trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_and_written_as_go_does() {
        for (text, shown) in [
            ("10ms", "10ms"),
            ("1.5s", "1.5s"),
            ("90m", "1h30m0s"),
            ("24h", "24h0m0s"),
            ("-1s", "-1s"),
            ("0", "0s"),
            ("1500us", "1.5ms"),
        ] {
            assert_eq!(parse(text).map(show), Ok(shown.to_owned()), "{text}");
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
