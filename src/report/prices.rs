//! GitHub's prices, dated: what a minute of each hosted runner costs, what self-hosted minutes are charged, and
//! how many minutes each plan includes. Everything in this program that is a price is in this file.
//!
//! From GitHub's documentation: "Actions runner pricing" (billing/reference/actions-runner-pricing), the versions
//! of December 2025 and of 2026, and "Product usage included with each plan". Rates are in millionths of a dollar
//! a minute.

use crate::config::{HostedRunner, Plan};
use crate::ledger::Time;

/// What held from a day on.
pub struct Rates {
    /// `None`: always, before the next.
    pub from: Option<&'static str>,
    from_time: Time,
    hosted: [(&'static str, u32); 33],
    /// 2000 were announced on 2025-12-16, for 2026-03-01, and postponed without a date on 2025-12-18.
    pub self_hosted: u32,
}

/// Oldest first. Another change of prices is one more of these.
pub const RATES: [Rates; 2] = [
    Rates {
        from: None,
        from_time: Time(i64::MIN),
        self_hosted: 0,
        hosted: [
            ("linux_slim", 2_000),
            ("linux", 8_000),
            ("windows", 16_000),
            ("macos", 80_000),
            ("linux_2_core_advanced", 8_000),
            ("linux_4_core", 16_000),
            ("linux_8_core", 32_000),
            ("linux_16_core", 64_000),
            ("linux_32_core", 128_000),
            ("linux_64_core", 256_000),
            ("linux_96_core", 384_000),
            ("windows_4_core", 32_000),
            ("windows_8_core", 64_000),
            ("windows_16_core", 128_000),
            ("windows_32_core", 256_000),
            ("windows_64_core", 512_000),
            ("windows_96_core", 768_000),
            ("macos_l", 120_000),
            ("linux_2_core_arm", 5_000),
            ("linux_4_core_arm", 10_000),
            ("linux_8_core_arm", 20_000),
            ("linux_16_core_arm", 40_000),
            ("linux_32_core_arm", 80_000),
            ("linux_64_core_arm", 160_000),
            ("windows_2_core_arm", 10_000),
            ("windows_4_core_arm", 20_000),
            ("windows_8_core_arm", 40_000),
            ("windows_16_core_arm", 80_000),
            ("windows_32_core_arm", 160_000),
            ("windows_64_core_arm", 320_000),
            ("macos_xl", 160_000),
            ("linux_4_core_gpu", 70_000),
            ("windows_4_core_gpu", 140_000),
        ],
    },
    Rates {
        from: Some("2026-01-01"),
        from_time: Time(1_767_225_600_000),
        self_hosted: 0,
        hosted: [
            ("linux_slim", 2_000),
            ("linux", 6_000),
            ("windows", 10_000),
            ("macos", 62_000),
            ("linux_2_core_advanced", 6_000),
            ("linux_4_core", 12_000),
            ("linux_8_core", 22_000),
            ("linux_16_core", 42_000),
            ("linux_32_core", 82_000),
            ("linux_64_core", 162_000),
            ("linux_96_core", 252_000),
            ("windows_4_core", 22_000),
            ("windows_8_core", 42_000),
            ("windows_16_core", 82_000),
            ("windows_32_core", 162_000),
            ("windows_64_core", 322_000),
            ("windows_96_core", 552_000),
            ("macos_l", 77_000),
            ("linux_2_core_arm", 5_000),
            ("linux_4_core_arm", 8_000),
            ("linux_8_core_arm", 14_000),
            ("linux_16_core_arm", 26_000),
            ("linux_32_core_arm", 50_000),
            ("linux_64_core_arm", 98_000),
            ("windows_2_core_arm", 8_000),
            ("windows_4_core_arm", 14_000),
            ("windows_8_core_arm", 26_000),
            ("windows_16_core_arm", 50_000),
            ("windows_32_core_arm", 98_000),
            ("windows_64_core_arm", 194_000),
            ("macos_xl", 102_000),
            ("linux_4_core_gpu", 52_000),
            ("windows_4_core_gpu", 102_000),
        ],
    },
];

/// Included minutes that a minute of a standard runner uses up. GitHub documented these until 2025; since the
/// rates of 2026 it documents rates alone. Larger runners use none, and cost for public repositories too.
const STANDARD: [(&str, u64); 4] = [("linux_slim", 1), ("linux", 1), ("windows", 2), ("macos", 10)];

/// Minutes a month that standard runners have free of charge.
pub fn included(plan: Plan) -> u64 {
    match plan {
        Plan::Free => 2_000,
        Plan::Pro | Plan::Team => 3_000,
        Plan::Enterprise => 50_000,
    }
}

/// The rates at a moment.
pub fn at(time: Time) -> &'static Rates {
    &RATES[index_at(time)]
}

fn index_at(time: Time) -> usize {
    RATES.iter().rposition(|rates| rates.from_time <= time).unwrap_or(0)
}

/// The price of one runner at all times, looked up once.
#[derive(Debug, Clone, Copy)]
pub struct Price {
    a_minute: [u32; RATES.len()],
    /// Included minutes that a minute uses up; `None` for larger runners.
    uses: Option<u64>,
}

impl Price {
    pub fn of(runner: HostedRunner) -> Self {
        let name = runner.as_str();
        // Every runner has a price in every period: a test holds the lists together.
        let a_minute = RATES.each_ref().map(|rates| {
            let found = rates.hosted.iter().find(|(known, _)| *known == name);
            found.map_or(0, |(_, rate)| *rate)
        });
        let uses = STANDARD.iter().find(|(known, _)| *known == name).map(|(_, uses)| *uses);
        Self { a_minute, uses }
    }

    /// So many minutes that began then.
    pub fn cost(&self, minutes: u64, at: Time) -> u64 {
        minutes * u64::from(self.a_minute[index_at(at)])
    }

    /// Included minutes that a minute uses up; `None` for larger runners.
    pub fn uses(&self) -> Option<u64> {
        self.uses
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::HOSTED_RUNNERS;

    #[test]
    fn every_runner_has_a_price_at_all_times() {
        for rates in &RATES {
            assert_eq!(rates.hosted.map(|(name, _)| name), HOSTED_RUNNERS);
            assert!(rates.hosted.iter().all(|(_, rate)| *rate > 0));
            let day = rates.from.map(|from| from.parse::<jiff::civil::Date>().unwrap());
            let midnight = day.map(|day| day.to_zoned(jiff::tz::TimeZone::UTC).unwrap());
            let from = midnight.map_or(Time(i64::MIN), |midnight| midnight.timestamp().into());
            assert_eq!(rates.from_time, from);
        }
        assert!(RATES.is_sorted_by_key(|rates| rates.from_time));
        assert!(STANDARD.iter().all(|(name, _)| HOSTED_RUNNERS.contains(name)));
    }

    #[test]
    fn prices_change_at_midnight_utc() {
        let linux = Price::of(HostedRunner::named("linux").unwrap());
        let midnight: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let midnight = Time::from(midnight);
        assert_eq!(linux.cost(10, midnight.moved(-1)), 80_000);
        assert_eq!(linux.cost(10, midnight), 60_000);
        assert_eq!((at(midnight.moved(-1)).from, at(midnight).from), (None, Some("2026-01-01")));
    }
}
