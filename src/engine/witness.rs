//! Who watches the loop in a simulation. It sees everything and changes nothing.

use crate::ledger::{Effects, Event, State};

/// Is told of every fold, on the loop's own task.
pub trait Witness: Send {
    /// This is folded next.
    fn folding(&mut self, event: &Event);

    /// It came to this.
    fn folded(&mut self, state: &State, effects: &Effects);
}
