//! What Nomad shows of the children of dispatches, as far as it decides anything here.

use super::{NomadPlace, RunnerName};

/// Children in one place of Nomad, by their runners.
#[derive(Debug, Clone)]
pub struct Children {
    pub place: NomadPlace,
    pub phases: Vec<(RunnerName, ChildPhase)>,
}

/// What Nomad shows of a child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChildPhase {
    /// Alive without an allocation.
    NotPlaced,
    /// An allocation is not terminal.
    Placed,
    /// Its allocation was lost, and Nomad has started another in its place: that one has a
    /// credential that is used up.
    Replaced,
    /// Its job is dead and all its allocations are terminal, or Nomad has forgotten it;
    /// `placed`: it had an allocation, or may have had one.
    Ended { how: String, placed: bool },
}
