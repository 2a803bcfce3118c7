//! Lengths of time as Go writes them: `5s`, `1m0s`, `1.5s`, `300ms`.
//!
//! Pure text. Who needs one: the events of tasks, whose messages hold lengths of time.

const MICRO: i64 = 1_000;
const MILLI: i64 = 1_000_000;
const SECOND: i64 = 1_000_000_000;

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
}
