//! The simulated world: what `demo` and the tests run against where the real parts are not to be had.
//!
//! Here is GitHub (`github`), Nomad (`nomad`) and the stand-in for actions/runner (`runner`). They
//! know nothing of the daemon: they are asked and take commands, as the real ones are and do.
//! Read next: `github/mod.rs`, `crates/simulated-nomad`.

pub mod github;
mod keys;
pub mod protocol;
pub mod runner;

pub use keys::{AppKeys, app_key};
pub use simulated_nomad as nomad;
