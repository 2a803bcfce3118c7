//! A credential that is laid down where the runner's task reads it (a Nomad Variable, Vault): where it lies,
//! and what is still to be removed. The secret itself never comes here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::state::Gate;
use super::{NomadPlace, PoolName, Runner, RunnerName};

/// What keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keeper {
    /// Nomad, as a Variable in the namespace of the runner's child.
    Variable,
    /// A KV v2 engine.
    Vault,
}

/// Where a pool's runners find theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepositRule {
    pub keeper: Keeper,
    /// As the keeper names it; `{runner_name}` makes it one path a runner.
    pub path: String,
}

impl DepositRule {
    pub fn path_of(&self, runner: &RunnerName) -> String {
        self.path.replace("{runner_name}", runner.as_str())
    }

    pub(super) fn deposit_of(&self, runner: &RunnerName) -> Deposit {
        Deposit { keeper: self.keeper, path: self.path_of(runner), tried: false }
    }
}

/// Where one runner's credential lies, or may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deposit {
    pub keeper: Keeper,
    pub path: String,
    /// A request to write it has left, so what lies there is ours.
    pub tried: bool,
}

/// Everything that its removal is made from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DepositAt {
    pub way: Way,
    pub runner: RunnerName,
    pub path: String,
}

/// What fails together: one keeper, in one place of Nomad, for one pool, whose rights may be its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Way {
    pub keeper: Keeper,
    pub place: NomadPlace,
    pub pool: PoolName,
}

#[derive(Debug, Default)]
pub struct Deposits {
    /// Pools for which the last credential could not be laid down.
    pub refused: BTreeMap<PoolName, Gate>,
    /// To be removed.
    pub owed: BTreeMap<DepositAt, Owed>,
    /// Where the last removal failed.
    pub closed: BTreeMap<Way, Gate>,
}

#[derive(Debug, Default)]
pub struct Owed {
    /// The keeper is being asked to remove it.
    pub asked: bool,
    pub tries: u32,
}

impl Runner {
    /// Its task may not have read its credential yet.
    pub fn needs_deposit(&self) -> bool {
        self.took.is_none() && self.registered_at.is_none() && !self.has_ended()
    }
}
