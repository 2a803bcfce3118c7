//! Lengths of time as Go writes them, in nanoseconds.

const UNITS: [(&str, f64); 7] =
    [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 6e10), ("h", 3.6e12)];

/// # Errors
/// In Go's words.
pub fn nanos(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let (sign, digits) = match text.as_bytes().first() {
        Some(b'-') => (-1.0, &text[1..]),
        Some(b'+') => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    if digits == "0" {
        return Ok(0);
    }
    if digits.is_empty() {
        return Err(invalid());
    }
    let (mut rest, mut all) = (digits, 0.0);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..end].parse().map_err(|_| invalid())?;
        rest = &rest[end..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = &rest[..end];
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {text:?}"));
        }
        let worth = UNITS.iter().find(|(name, _)| *name == unit);
        let worth =
            worth.ok_or_else(|| format!("time: unknown unit {unit:?} in duration {text:?}"));
        all += number * worth?.1;
        rest = &rest[end..];
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a float that is too great becomes the greatest"
    )]
    Ok((sign * all).round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_as_go_reads_them() {
        assert_eq!(nanos("6h"), Ok(21_600_000_000_000));
        assert_eq!(nanos("1m30.5s"), Ok(90_500_000_000));
        assert_eq!(nanos("-5ms"), Ok(-5_000_000));
        assert_eq!(nanos("5").unwrap_err(), "time: missing unit in duration \"5\"");
        assert_eq!(nanos("5d").unwrap_err(), "time: unknown unit \"d\" in duration \"5d\"");
        assert_eq!(nanos("x").unwrap_err(), "time: invalid duration \"x\"");
    }
}
