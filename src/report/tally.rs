//! Adds up jobs, one after the other, and forgets each. What is kept is a sum for each row of the report, with
//! the waits (four bytes a job), and what `storms` keeps. Nothing here reads a clock or a store.

use std::collections::HashMap;

use super::money::{Allotment, MonthUse};
use super::period::Period;
use super::prices::{self, Price};
use super::storms::{Seen, Storms};
use super::{By, Line, Prices, Report, Totals};
use crate::config::{Plan, Settings};
use crate::ledger::runner_name;
use crate::ledger::{Repository, Time, Visibility};
use crate::store::Brief;

/// What nobody said: a workflow without a name, a job without an actor.
const UNKNOWN: &str = "(unknown)";

pub struct Tally {
    period: Period,
    by: By,
    plan: Plan,
    prefix: String,
    price: Price,
    prices: HashMap<String, Price>,
    repositories: HashMap<u64, Known>,
    /// The name of each span's month.
    months: Vec<String>,
    used: Vec<MonthUse>,
    rows: HashMap<String, Sum>,
    storms: Storms,
}

/// What the store knows of a repository now.
struct Known {
    full_name: String,
    is_public: bool,
}

#[derive(Debug, Default)]
struct Sum {
    jobs: u64,
    failed: u64,
    minutes: u64,
    robot_minutes: u64,
    cost: u64,
    /// In seconds.
    waits: Vec<u32>,
}

impl Tally {
    pub fn new(period: Period, by: By, settings: &Settings) -> Self {
        let of_pool =
            |pool: &crate::config::Pool| Some((pool.name.clone(), Price::of(pool.compare_with?)));
        Self {
            by,
            plan: settings.report.plan,
            prefix: settings.runners.name_prefix.clone(),
            price: Price::of(settings.report.compare_with),
            prices: settings.pools.iter().filter_map(of_pool).collect(),
            repositories: HashMap::new(),
            months: period.spans().iter().map(|span| span.month.to_string()).collect(),
            used: period.spans().iter().map(|_| MonthUse::default()).collect(),
            rows: HashMap::new(),
            storms: Storms::default(),
            period,
        }
    }

    /// A day earlier than the period: a job's end has the time of another clock than its start.
    pub fn from(&self) -> Time {
        self.period.from().moved(-86_400_000)
    }

    /// Before the jobs. One that was renamed has its newest name on all of them.
    pub fn know(&mut self, repository: Repository) {
        let is_public = repository.visibility == Visibility::Public;
        let known = Known { full_name: repository.full_name, is_public };
        self.repositories.insert(repository.id.0, known);
    }

    /// A job that has ended. They come in the order in which they ended.
    pub fn add(&mut self, job: &Brief<'_>) {
        let runner = job.runner_name().filter(|name| self.is_ours(name));
        let worked = runner.and_then(|runner| Some((runner, job.worked()?)));
        let (mut minutes, mut cost) = (0, 0);
        if let Some((runner, (started, completed))) = worked {
            minutes = whole_minutes(started, completed);
            let pool = runner_name::pool_of(&self.prefix, runner).or(job.pool());
            let price = pool.and_then(|pool| self.prices.get(pool)).unwrap_or(&self.price);
            let is_public = self.repositories.get(&job.repository).is_some_and(|it| it.is_public);
            // Standard runners are free for public repositories, larger ones are not.
            if !is_public || price.uses().is_none() {
                cost = price.cost(minutes, started);
            }
            if let Some(span) = self.period.index_of(started) {
                let uses = price.uses().filter(|_| !is_public);
                self.used[span].add(minutes, uses, cost);
                let key = match self.by {
                    By::Pool => pool.unwrap_or(UNKNOWN),
                    By::Month => &self.months[span],
                    by => key(by, job, &self.repositories),
                };
                if !self.rows.contains_key(key) {
                    self.rows.insert(key.to_owned(), Sum::default());
                }
                if let Some(sum) = self.rows.get_mut(key) {
                    sum.add(job, started, minutes, cost);
                }
            }
        }
        let first = worked.map(|(_, (started, _))| started);
        let Some(seen) = Seen::of(job, first, minutes, cost) else { return };
        self.storms.see(seen, &self.period);
    }

    fn is_ours(&self, runner: &str) -> bool {
        runner.strip_prefix(&self.prefix).is_some_and(|rest| rest.starts_with('-'))
    }

    pub fn finish(self) -> Report {
        let mut all = Sum::default();
        let mut rows: Vec<(String, Sum)> = self.rows.into_iter().collect();
        match self.by {
            By::Month => rows.sort_unstable_by(|(a, _), (b, _)| a.cmp(b)),
            _ => rows.sort_unstable_by(|(a, x), (b, y)| {
                (y.minutes, y.jobs).cmp(&(x.minutes, x.jobs)).then_with(|| a.cmp(b))
            }),
        }
        all.waits.reserve_exact(rows.iter().map(|(_, sum)| sum.waits.len()).sum());
        let lines = rows.into_iter().map(|(name, sum)| {
            all.jobs += sum.jobs;
            all.failed += sum.failed;
            all.minutes += sum.minutes;
            all.robot_minutes += sum.robot_minutes;
            all.cost += sum.cost;
            all.waits.extend_from_slice(&sum.waits);
            sum.line(name)
        });
        let lines: Vec<Line> = lines.collect();
        // A month that was not named counts from the first in which something ran.
        let skipped = match self.period.is_named() {
            true => 0,
            false => self.used.iter().take_while(|month| month.is_unused()).count(),
        };
        let months = self.used.get(skipped..).unwrap_or_default();
        let allotment = Allotment::of(months, prices::included(self.plan));
        let (storms, superseded) = self.storms.finish(&self.period, |id| {
            self.repositories.get(&id).map(|known| known.full_name.clone())
        });
        let rates = prices::at(self.period.end());
        Report {
            from: self.period.first_day(),
            to: self.period.last_day(),
            by: self.by,
            rows: lines,
            totals: Totals {
                line: all.line(String::new()),
                included_minutes_used: allotment.used,
                included_minutes_left: allotment.left,
                hosted_cost: allotment.cost,
                superseded,
            },
            storms,
            prices: Prices { from: rates.from, self_hosted: u64::from(rates.self_hosted) },
        }
    }
}

fn key<'r>(by: By, job: &'r Brief<'_>, known: &'r HashMap<u64, Known>) -> &'r str {
    let repository = match known.get(&job.repository) {
        Some(known) => known.full_name.as_str(),
        None => &job.repository_name,
    };
    match by {
        By::Owner => repository.split_once('/').map_or(repository, |(owner, _)| owner),
        By::Workflow => job.workflow().unwrap_or(UNKNOWN),
        By::Actor => job.actor().unwrap_or(UNKNOWN),
        By::Branch => job.branch().unwrap_or(UNKNOWN),
        // The caller has the other two.
        By::Repository | By::Pool | By::Month => repository,
    }
}

/// As GitHub bills. It tells times in whole seconds, so a job of no seconds took some time.
fn whole_minutes(started: Time, completed: Time) -> u64 {
    completed.0.saturating_sub(started.0).max(1).cast_unsigned().div_ceil(60_000)
}

impl Sum {
    fn add(&mut self, job: &Brief<'_>, started: Time, minutes: u64, cost: u64) {
        self.jobs += 1;
        let conclusion = job.conclusion();
        self.failed += u64::from(matches!(conclusion, Some("failure" | "timed_out")));
        self.minutes += minutes;
        self.robot_minutes += if job.is_of_robot() { minutes } else { 0 };
        self.cost += cost;
        if let Some(created) = job.created_at {
            let wait = started.since(created).as_secs();
            self.waits.push(u32::try_from(wait).unwrap_or(u32::MAX));
        }
    }

    fn line(mut self, name: String) -> Line {
        self.waits.sort_unstable();
        Line {
            name,
            jobs: self.jobs,
            failed: self.failed,
            minutes: self.minutes,
            robot_minutes: self.robot_minutes,
            wait_p50_s: nearest_rank(&self.waits, 50),
            wait_p90_s: nearest_rank(&self.waits, 90),
            hosted_cost: self.cost,
        }
    }
}

/// The smallest wait that so many of a hundred jobs did not exceed.
fn nearest_rank(sorted: &[u32], percent: usize) -> Option<u32> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_job_is_rounded_up_to_whole_minutes() {
        let minutes = |seconds: i64| whole_minutes(Time(5_000), Time(5_000 + seconds * 1000));
        assert_eq!([0, 1, 59, 60, 61, 120, 121].map(minutes), [1, 1, 1, 1, 2, 2, 3]);
        assert_eq!(minutes(-30), 1, "the forge's own clock went backwards");
    }

    #[test]
    fn percentiles_are_waits_that_occurred() {
        let waits: Vec<u32> = (1..=10).collect();
        assert_eq!((nearest_rank(&waits, 50), nearest_rank(&waits, 90)), (Some(5), Some(9)));
        assert_eq!((nearest_rank(&[7], 50), nearest_rank(&[7], 90)), (Some(7), Some(7)));
        assert_eq!(nearest_rank(&[], 50), None);
    }
}
