//! The claims listener (`[claims]`): a running task asks for the credential of its runner, and says who
//! it is with its Nomad workload identity.
//!
//! `verify` judges the identity, with a key from `keys`; `door` asks Nomad whose allocation it is. Whether
//! it gets anything is the ledger's to decide (`ledger::step::claims`).

mod door;
mod keys;
mod verify;

pub use door::{Door, router};
