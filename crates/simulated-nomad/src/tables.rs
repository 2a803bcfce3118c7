//! The tables of the state, each with the index of its last change. Lists answer with their table's
//! index (`X-Nomad-Index`), and whoever waits for a change waits for a higher one.
//!
//! An index belongs to one write; a write may change several tables. Read next: `model.rs`,
//! `answers/reading.rs`.

use super::model::Nomad;

/// As the real one divides its state, as far as anything here is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    Jobs,
    Evaluations,
    Allocations,
    Deployments,
    Nodes,
    NodePools,
    Namespaces,
    SchedulerConfiguration,
    Variables,
    /// Those that sign identities.
    Keys,
    Tokens,
    Policies,
}

impl Nomad {
    /// When the table was changed last; 0: never.
    #[must_use]
    pub fn table(&self, table: Table) -> u64 {
        self.tables.get(&table).copied().unwrap_or(0)
    }

    /// A new index, for a write to that table.
    pub(super) fn write(&mut self, table: Table) -> u64 {
        let index = self.bump();
        self.write_too(table, index);
        index
    }

    /// The write with that index changes this table as well.
    pub(super) fn write_too(&mut self, table: Table, index: u64) {
        self.tables.insert(table, index);
    }
}
