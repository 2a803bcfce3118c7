//! What ran in a month or since a day: jobs, minutes, waits, what GitHub-hosted runners would have cost, and
//! which merges caused storms of superseded runs.
//!
//! `Tally` adds up rows of jobs, one after the other, and forgets each (`tally`, `storms`). `prices` has every
//! price, `period` the months, `words` the report as text and CSV. All of it is pure; the private door reads the
//! rows (`admin::reporting`). The shape of the JSON is a contract with scripts: add, do not rename.

mod money;
mod period;
mod prices;
mod storms;
mod tally;
#[cfg(test)]
mod tests;
mod words;

use serde::ser::{SerializeMap, SerializeStruct};
use serde::{Serialize, Serializer};

pub use period::Period;
pub use storms::{Storm, SupersededRuns};
pub use tally::Tally;
pub use words::{CONCURRENCY, REBASE, csv, text};

/// What a row of the report stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum By {
    #[default]
    Repository,
    Owner,
    Workflow,
    Actor,
    Branch,
    Pool,
    Month,
}

impl By {
    pub const ALL: [By; 7] =
        [By::Repository, By::Owner, By::Workflow, By::Actor, By::Branch, By::Pool, By::Month];

    pub fn as_str(self) -> &'static str {
        match self {
            By::Repository => "repository",
            By::Owner => "owner",
            By::Workflow => "workflow",
            By::Actor => "actor",
            By::Branch => "branch",
            By::Pool => "pool",
            By::Month => "month",
        }
    }

    /// The error says what may be written.
    pub fn named(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|by| by.as_str() == name);
        found.ok_or_else(|| {
            let names = Self::ALL.map(By::as_str).join(", ");
            format!("{name:?} is not something to report by; use one of {names}")
        })
    }
}

/// Amounts of money are in millionths of a dollar, and in JSON in dollars.
#[derive(Debug)]
pub struct Report {
    pub from: String,
    /// The last day of it.
    pub to: String,
    pub by: By,
    pub rows: Vec<Line>,
    pub totals: Totals,
    /// The worst first.
    pub storms: Vec<Storm>,
    pub prices: Prices,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub name: String,
    pub jobs: u64,
    pub failed: u64,
    pub minutes: u64,
    pub robot_minutes: u64,
    /// `None`: it is not known of any job when it was made.
    pub wait_p50_s: Option<u32>,
    pub wait_p90_s: Option<u32>,
    /// Before included minutes.
    pub hosted_cost: u64,
}

#[derive(Debug)]
pub struct Totals {
    /// Of all rows. Its cost is that before included minutes.
    pub line: Line,
    pub included_minutes_used: u64,
    pub included_minutes_left: u64,
    pub hosted_cost: u64,
    pub superseded: SupersededRuns,
}

/// The rates at the end of the report.
#[derive(Debug)]
pub struct Prices {
    pub from: Option<&'static str>,
    pub self_hosted: u64,
}

pub fn dollars(millionths: u64) -> f64 {
    millionths as f64 / 1e6
}

impl Line {
    /// Everything but the name and the money.
    fn numbers<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("jobs", &self.jobs)?;
        map.serialize_entry("failed", &self.failed)?;
        map.serialize_entry("minutes", &self.minutes)?;
        map.serialize_entry("robot_minutes", &self.robot_minutes)?;
        map.serialize_entry("wait_p50_s", &self.wait_p50_s)?;
        map.serialize_entry("wait_p90_s", &self.wait_p90_s)
    }
}

struct Named<'r>(&'static str, &'r Line);

impl Serialize for Named<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry(self.0, &self.1.name)?;
        self.1.numbers(&mut map)?;
        map.serialize_entry("hosted_cost_usd", &dollars(self.1.hosted_cost))?;
        map.end()
    }
}

struct Rows<'r>(&'static str, &'r [Line]);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.1.iter().map(|line| Named(self.0, line)))
    }
}

impl SupersededRuns {
    fn numbers<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("superseded_runs", &self.runs)?;
        map.serialize_entry("superseded_minutes", &self.minutes)?;
        map.serialize_entry("superseded_cost_usd", &dollars(self.cost))?;
        map.serialize_entry("avoidable_minutes", &self.avoidable_minutes)?;
        map.serialize_entry("cancelled_runs", &self.cancelled)?;
        map.serialize_entry("saved_minutes", &self.saved_minutes)
    }
}

impl Serialize for Totals {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        self.line.numbers(&mut map)?;
        map.serialize_entry("included_minutes_used", &self.included_minutes_used)?;
        map.serialize_entry("included_minutes_left", &self.included_minutes_left)?;
        map.serialize_entry("hosted_cost_usd", &dollars(self.hosted_cost))?;
        self.superseded.numbers(&mut map)?;
        map.end()
    }
}

impl Serialize for Storm {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("repository", &self.repository)?;
        map.serialize_entry("at", &self.at.to_string())?;
        map.serialize_entry("merge_run", &self.merge.map(|(run, _)| run))?;
        map.serialize_entry("merged_at", &self.merge.map(|(_, at)| at.to_string()))?;
        map.serialize_entry("branches", &self.branches)?;
        self.runs.numbers(&mut map)?;
        map.end()
    }
}

impl Serialize for Prices {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("from", &self.from)?;
        map.serialize_entry("self_hosted_usd_per_minute", &dollars(self.self_hosted))?;
        map.end()
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut report = to.serialize_struct("Report", 7)?;
        report.serialize_field("from", &self.from)?;
        report.serialize_field("to", &self.to)?;
        report.serialize_field("by", self.by.as_str())?;
        report.serialize_field("rows", &Rows(self.by.as_str(), &self.rows))?;
        report.serialize_field("totals", &self.totals)?;
        report.serialize_field("storms", &self.storms)?;
        report.serialize_field("prices", &self.prices)?;
        report.end()
    }
}
