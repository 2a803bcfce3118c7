//! The simulated world: what `demo` and the tests run against where the real parts are not to be had.
//!
//! Here is GitHub (`github`) and the stand-in for actions/runner (`runner`). It knows nothing of the
//! daemon: it speaks HTTP and takes commands, as the real ones do.
//! Read next: `github/mod.rs`.

pub mod github;
pub mod protocol;
pub mod runner;
