//! Restarts, reschedules, resources and logs: numbers that have to fit each other.
//!
//! Read next: `constraint.rs`.

use super::{Object, Problems, number, text};

const SECOND: i64 = 1_000_000_000;

pub fn restart(policy: &Object) -> Problems {
    let mut found = Problems::default();
    let (mode, attempts) = (text(policy, "Mode"), number(policy, "Attempts"));
    let (interval, delay) = (number(policy, "Interval"), number(policy, "Delay"));
    if !matches!(mode, "delay" | "fail") {
        found.add(format!("Unsupported restart mode: {mode:?}"));
    }
    if attempts == 0 && mode != "fail" {
        found.add(format!("Restart policy {mode:?} with {attempts} attempts is ambiguous"));
    }
    if interval < 5 * SECOND {
        found.add(format!("Interval can not be less than 5s (got {})", length(interval)));
    }
    if attempts.saturating_mul(delay) > interval {
        found.add(format!(
            "Nomad can't restart the TaskGroup {attempts} times in an interval of {} with a delay \
             of {}",
            length(interval),
            length(delay)
        ));
    }
    found
}

pub fn reschedule(policy: &Object) -> Problems {
    let mut found = Problems::default();
    let (attempts, interval) = (number(policy, "Attempts"), number(policy, "Interval"));
    let (delay, most) = (number(policy, "Delay"), number(policy, "MaxDelay"));
    let (function, unlimited) = (text(policy, "DelayFunction"), policy["Unlimited"] == true);
    if attempts <= 0 && !unlimited {
        return found;
    }
    if attempts > 0 && interval <= 0 {
        found.add("Interval must be a non zero value if Attempts > 0");
    }
    if attempts > 0 && unlimited {
        let interval = length(interval);
        found.add(format!(
            "Reschedule Policy with Attempts = {attempts}, Interval = {interval}, and Unlimited = \
             true is ambiguous"
        ));
        found.add("If Attempts >0, Unlimited cannot also be set to true");
    }
    let mut sound = true;
    if delay < 5 * SECOND {
        found.add(format!("Delay cannot be less than 5s (got {})", length(delay)));
        sound = false;
    }
    if !matches!(function, "constant" | "exponential" | "fibonacci") {
        found.add(format!(
            "Invalid delay function {function:?}, must be one of [\"constant\" \"exponential\" \
             \"fibonacci\"]"
        ));
        sound = false;
    }
    if function != "constant" {
        if most < 5 * SECOND {
            // The delay, not the greatest one: that is how Nomad says it.
            found.add(format!("Max Delay cannot be less than 5s (got {})", length(delay)));
        }
        if most < delay {
            let (delay, most) = (length(delay), length(most));
            found.add(format!("Max Delay cannot be less than Delay {delay} (got {most})"));
        }
    }
    if !unlimited && interval < 15 * SECOND {
        found.add(format!("Interval cannot be less than 15s (got {})", length(interval)));
    }
    if !unlimited && sound && interval > 0 {
        found.extend(too_many(attempts, interval, delay, most, function));
    }
    found
}

/// Attempts that are counted one by one to say how long an interval they would need.
const MOST_COUNTED: i64 = 100_000;

/// Whether so many attempts go into the interval.
fn too_many(attempts: i64, interval: i64, delay: i64, most: i64, function: &str) -> Problems {
    let mut found = Problems::default();
    let (mut made, mut passed, mut needed) = (0, 0_i64, 0_i64);
    let (mut now, mut next) = (delay, delay);
    for attempt in 0..attempts {
        passed = passed.saturating_add(now);
        if passed <= interval {
            made = attempt + 1;
        }
        needed = passed;
        // What is long past the interval needs no exact figure, and attempts can be any number.
        if attempt > MOST_COUNTED && (passed > interval || passed == i64::MAX) {
            break;
        }
        let following = match function {
            "exponential" => now.saturating_mul(2),
            "fibonacci" => now.saturating_add(next),
            _ => delay,
        };
        (now, next) = match function {
            "fibonacci" => (next.min(most), following.min(most)),
            "exponential" => (following.min(most), following),
            _ => (following, following),
        };
    }
    if made < attempts {
        let limit = if function == "constant" {
            String::new()
        } else {
            format!(", and max delay {}", length(most))
        };
        found.add(format!(
            "Nomad can only make {made} attempts in {} with initial delay {}, delay function \
             {function:?}{limit}",
            length(interval),
            length(delay)
        ));
        found.add(format!(
            "Set the interval to at least {} to accommodate {attempts} attempts",
            length(needed)
        ));
    }
    found
}

pub fn resources(resources: &Object) -> Problems {
    let (mut found, mut least) = (Problems::default(), Problems::default());
    let (cpu, cores) = (number(resources, "CPU"), number(resources, "Cores"));
    let (memory, most) = (number(resources, "MemoryMB"), number(resources, "MemoryMaxMB"));
    if cores == 0 && cpu < 1 {
        least.add(format!("minimum CPU value is 1; got {cpu}"));
    }
    if memory < 10 {
        least.add(format!("minimum MemoryMB value is 10; got {memory}"));
    }
    found.append(&least);
    if most != 0 && most < memory {
        found.add(format!(
            "MemoryMaxMB value ({most}) should be larger than MemoryMB value ({memory})"
        ));
    }
    found
}

pub fn logs(logs: &Object, disk: i64) -> Problems {
    let mut found = Problems::default();
    let (files, size) = (number(logs, "MaxFiles"), number(logs, "MaxFileSizeMB"));
    if files < 1 {
        found.add(format!("minimum number of files is 1; got {files}"));
    }
    if size < 1 {
        found.add(format!("minimum file size is 1MB; got {size}"));
    }
    let all = files.saturating_mul(size);
    if disk <= all {
        found.add(format!(
            "log storage ({all} MB) must be less than requested disk capacity ({disk} MB)"
        ));
    }
    found
}

/// As Go prints a length of time.
pub fn length(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    let second = 1_000_000_000_u64;
    let part = |number: u64, unit: u64| {
        let (whole, rest) = (number / unit, number % unit);
        let digits = unit.to_string().len() - 1;
        let rest = format!("{rest:0digits$}");
        match rest.trim_end_matches('0') {
            "" => whole.to_string(),
            rest => format!("{whole}.{rest}"),
        }
    };
    let text = match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{}µs", part(nanos, 1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", part(nanos, 1_000_000)),
        _ => {
            let (minutes, rest) = (nanos / (60 * second), nanos % (60 * second));
            let seconds = part(rest, second);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    };
    format!("{sign}{text}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lengths_are_printed_as_gos() {
        for (nanos, text) in [
            (0, "0s"),
            (5 * SECOND, "5s"),
            (24 * 3600 * SECOND, "24h0m0s"),
            (90 * SECOND, "1m30s"),
            (1_500_000_000, "1.5s"),
            (2_500_000, "2.5ms"),
            (-1, "-1ns"),
        ] {
            assert_eq!(length(nanos), text);
        }
    }

    #[test]
    fn attempts_have_to_go_into_the_interval() {
        let policy = |attempts: i64, function: &str| {
            let policy = json!({
                "Attempts": attempts, "Interval": 60 * SECOND, "Delay": 10 * SECOND,
                "DelayFunction": function, "MaxDelay": 20 * SECOND, "Unlimited": false,
            });
            reschedule(policy.as_object().unwrap()).each().len()
        };
        assert_eq!((policy(6, "constant"), policy(7, "constant")), (0, 2));
        assert_eq!((policy(3, "exponential"), policy(4, "exponential")), (0, 2));
    }
}
