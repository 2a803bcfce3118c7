//! Durations (`"90d"`, `"1h30m"`) and sizes (`"25MB"`) in the config, in `pause --for` and in the API:
//! a number always has a unit.
//!
//! One grammar for both: the `humantime` crate also accepts `30sec`, `1 month` and `30 s`, and has no
//! sizes. Zero is valid here; the caller decides whether it is allowed.

use std::time::Duration;

/// Ten years, in seconds: a longer duration is a mistake. Far below what an `i64` of milliseconds holds.
pub(crate) const LONGEST: u64 = 3650 * 24 * 3600;

const TIME_UNITS: [(&str, u64); 4] = [("s", 1), ("m", 60), ("h", 3600), ("d", 24 * 3600)];

/// 1 kB is 1024 bytes, 1 MB is 1024 kB, as in GitHub's own limit of 25 MB.
const SIZE_UNITS: [(&str, u64); 3] = [("B", 1), ("kB", 1024), ("MB", 1024 * 1024)];

/// `"30s"`, `"10m"`, `"6h"`, `"90d"`, and several together: `"1h30m"`. The error says what is wrong.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let seconds = total(text, &TIME_UNITS, "s, m, h, d")?;
    if seconds > LONGEST {
        return Err(format!("{text:?} is more than ten years"));
    }
    Ok(Duration::from_secs(seconds))
}

/// `"1024B"`, `"64kB"`, `"25MB"`, in bytes.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    total(text, &SIZE_UNITS, "B, kB, MB")
}

fn total(text: &str, units: &[(&str, u64)], wanted: &str) -> Result<u64, String> {
    let mut rest = text;
    let mut sum = 0u64;
    loop {
        let (digits, after) = split(rest, |c| c.is_ascii_digit());
        let (unit, after) = split(after, |c| c.is_ascii_alphabetic());
        if digits.is_empty() {
            return Err(format!("{text:?} is not a number with a unit ({wanted})"));
        }
        let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
            return Err(match unit {
                "" => format!("{text:?} has no unit ({wanted})"),
                _ => format!("{text:?} has an unknown unit (known: {wanted})"),
            });
        };
        sum = digits
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(*factor))
            .and_then(|part| sum.checked_add(part))
            .ok_or_else(|| format!("{text:?} is too large"))?;
        if after.is_empty() {
            return Ok(sum);
        }
        rest = after;
    }
}

/// The longest start of `text` whose characters all pass, and what follows it.
fn split(text: &str, passes: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !passes(c)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations() {
        let seconds = |text| duration(text).map(|duration| duration.as_secs());
        assert_eq!(seconds("30s"), Ok(30));
        assert_eq!(seconds("10m"), Ok(600));
        assert_eq!(seconds("6h"), Ok(21_600));
        assert_eq!(seconds("90d"), Ok(7_776_000));
        assert_eq!(seconds("1h30m"), Ok(5400));
        assert_eq!(seconds("0s"), Ok(0));
        for wrong in ["", "30", "s", "1.5h", "30 s", "30sec", "-1s", "1h30", "4000d"] {
            assert!(duration(wrong).is_err(), "{wrong:?}");
        }
        assert!(duration("99999999999999999999d").is_err());
        assert!(duration("9999999999999999999d").is_err());
    }

    #[test]
    fn sizes() {
        assert_eq!(size("25MB"), Ok(26_214_400));
        assert_eq!(size("64kB"), Ok(65_536));
        assert_eq!(size("1024B"), Ok(1024));
        for wrong in ["", "25", "25 MB", "25mb", "25MiB", "MB"] {
            assert!(size(wrong).is_err(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in ".{0,24}") {
            let _ = (duration(&text), size(&text));
        }

        #[test]
        fn parts_add_up(hours in 0u64..1000, minutes in 0u64..1000) {
            let together = duration(&format!("{hours}h{minutes}m")).map(|d| d.as_secs());
            prop_assert_eq!(together, Ok(hours * 3600 + minutes * 60));
        }
    }
}
