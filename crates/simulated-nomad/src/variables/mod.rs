//! Nomad Variables: small maps of texts at a path of a namespace, with check-and-set and locks.
//!
//! Who may read or write which is not decided here: see `acl/` and `answers/variables.rs`.
//! Read next: `store.rs` (writing, deleting, listing), `locks.rs`, `path.rs` (which paths there are).

mod locks;
mod path;
mod store;

use std::collections::BTreeMap;

use locks::LockTimes;
pub use locks::{Lock, LockWish};

use crate::model::Millis;

/// Where a variable lies. Namespaces need not exist ([V]: 200 for one that nobody made).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VariableKey {
    pub namespace: String,
    pub path: String,
}

impl VariableKey {
    #[must_use]
    pub fn new(namespace: &str, path: &str) -> Self {
        Self { namespace: namespace.to_owned(), path: path.to_owned() }
    }
}

pub type Items = BTreeMap<String, String>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    pub items: Items,
    pub lock: Option<Lock>,
    pub create_index: u64,
    pub modify_index: u64,
    /// Nanoseconds since 1970, no two alike.
    pub create_time: i64,
    pub modify_time: i64,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The variable as it is now; None where it is gone.
    Done { index: u64, variable: Option<Variable> },
    /// Not changed, since it is not as the caller expects: what it is instead. None where there is
    /// none, or it is locked by another.
    Conflict(Option<Variable>),
}

/// Not taken at all, in Nomad's own words (400).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariableRefused(pub String);

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct Variables {
    by_key: BTreeMap<VariableKey, Variable>,
    /// When a held lock ends by itself, and until when it may be renewed.
    locked: BTreeMap<VariableKey, LockTimes>,
    last_stamp: i64,
}

impl Variables {
    /// Nanoseconds, each greater than the one before, as those of a real clock are.
    fn stamp(&mut self, now: Millis) -> i64 {
        self.last_stamp = (now * 1_000_000).max(self.last_stamp + 1);
        self.last_stamp
    }
}
