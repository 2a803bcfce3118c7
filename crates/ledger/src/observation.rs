//! What a look at GitHub or Nomad showed, beside webhooks and answers: the language in which
//! `reconcile` speaks. What follows from it is decided in `step::observing`.

use std::collections::BTreeSet;

use super::child::ChildPhase;
use super::deposit::Keeper;
use super::effect::Target;
use super::{JobReport, NomadPlace, Repository, RepositoryId, RunId, RunnerName, Time};

#[derive(Debug, Clone)]
pub enum Observation {
    /// The jobs of a repository's unfinished runs, as they were at `began` or later. Who was
    /// known by then, is open and missing is asked for by id, for listings lag.
    Swept {
        repository: Box<Repository>,
        reports: Vec<JobReport>,
        began: Time,
        /// Unfinished runs that were not looked into: the look says nothing of their jobs.
        unseen: BTreeSet<RunId>,
        /// More runs are unfinished than the forge lists, so nobody can be missing.
        cut: bool,
    },
    /// GitHub does not let us see this repository: it counts as answered, and its own classes
    /// are left alone.
    SweepRefused { repository: Option<RepositoryId>, full_name: String, reason: String },
    /// Every served repository has been asked about once since the start.
    SweptAll,
    /// All of a scope's runners whose names are of our form.
    Runners { target: Target, runners: Vec<Registered> },
    /// All that lies there under names of our form.
    Deposits { keeper: Keeper, place: NomadPlace, found: Vec<FoundDeposit> },
    /// Children that are ours by their token, alive, and not followed yet.
    Children(Vec<Found>),
}

/// A runner as GitHub lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    pub id: u64,
    pub name: String,
    pub busy: bool,
    /// Its program is connected, so it can be given a job.
    pub online: bool,
}

/// A credential, by the runner for which it was laid down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundDeposit {
    pub runner: RunnerName,
    pub path: String,
}

/// A child of ours that the ledger does not know: adopted by what its token tells.
#[derive(Debug, Clone)]
pub struct Found {
    pub child: String,
    /// `<name>@<scope>`, with `#<run id>` where its class has one.
    pub token: String,
    pub parent: String,
    pub place: NomadPlace,
    pub submitted_at: Time,
    pub phase: ChildPhase,
    /// When Nomad was asked for its phase; what it says may be older than its end.
    pub asked_at: Time,
    /// Its parameterized job took no `runner_name`.
    pub nameless: bool,
    /// The repository that the token names, where GitHub knows it.
    pub repository: Option<Box<Repository>>,
}
