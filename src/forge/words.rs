//! What a forge tells that the ledger has no word for, because only sweeps and people ask.

use std::collections::BTreeSet;

use strangers_text::{harmless, harmless_up_to};

use crate::ledger::job::LONGEST_ADDRESS;
use crate::ledger::{JobId, JobReport, Repository, RunId, Time, Topics};

/// A repository with the jobs of its unfinished runs.
#[derive(Debug, Clone)]
pub struct Look {
    pub repository: Repository,
    pub reports: Vec<JobReport>,
    /// It was so then, or later.
    pub began: Time,
    /// Unfinished runs that were not looked into this time: nothing is known of their jobs.
    pub unseen: BTreeSet<RunId>,
    /// More runs are unfinished than the forge lists.
    pub cut: bool,
}

/// A repository that a credential sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub full_name: String,
    pub owned_by_organization: bool,
    pub public: bool,
    pub archived: bool,
    /// `None` where the forge does not say.
    pub topics: Option<Topics>,
}

/// A log of deliveries.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Log {
    /// Of an organization's hook.
    Hook { organization: String, id: u64 },
    /// Of the GitHub App that the credential is, for all its installations.
    App { issuer: String },
}

impl Log {
    /// Under which it is kept how far the log was read.
    pub fn cursor(&self) -> String {
        match self {
            Log::Hook { organization, id } => format!("deliveries/{organization}/{id}"),
            Log::App { issuer } => format!("deliveries-of-app/{issuer}"),
        }
    }

    /// For people.
    pub fn of(&self) -> &str {
        match self {
            Log::Hook { organization, .. } => organization,
            Log::App { issuer } => issuer,
        }
    }
}

/// What a log holds that is new.
#[derive(Debug)]
pub struct Missed {
    /// The newest delivery of all, whatever became of it; `None`: nothing is new.
    pub newest: Option<u64>,
    /// What was not delivered, newest first: the delivery's id and the body that was sent.
    pub payloads: Vec<(String, Vec<u8>)>,
    /// There is more that was not read.
    pub cut: bool,
    pub(super) tag: Option<String>,
}

/// Which jobs are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    Run(RunId),
    Job(JobId),
    /// What stands behind a `#`: a run's id, or the number that people see, of any workflow.
    Number(u64),
}

impl Told {
    /// With every text fit for a terminal and a log, as strangers choose most of them.
    pub fn made_harmless(self) -> Self {
        let Told { id, run, status, over, name, labels, conclusion, runner_name, url } = self;
        let maybe = |text: Option<String>| text.as_deref().map(harmless);
        Told {
            id,
            run,
            status: harmless(&status),
            over,
            name: harmless(&name),
            labels: labels.iter().map(|label| harmless(label)).collect(),
            conclusion: maybe(conclusion),
            runner_name: maybe(runner_name),
            url: url.map(|url| harmless_up_to(&url, LONGEST_ADDRESS)),
        }
    }
}

/// A job in the forge's own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub id: JobId,
    pub run: RunId,
    pub name: String,
    pub labels: Vec<String>,
    pub status: String,
    /// It has ended.
    pub over: bool,
    pub conclusion: Option<String>,
    pub runner_name: Option<String>,
    pub url: Option<String>,
}
