//! GitHub's own descriptions judge both sides: every request that the client and the daemon make and
//! every answer of the simulated GitHub by its descriptions of the API, that of github.com and those of
//! the Enterprise Server (`client`, `work`; the judging is `judge`'s), every webhook that the simulated GitHub sends by that of the webhooks (`webhooks`).

mod apps;
mod calls;
mod client;
pub mod description;
pub mod judge;
mod stage;
mod webhooks;
mod work;

use std::path::PathBuf;

use crate::support::parts;

/// The folder that `scripts/get-openapi` prints.
fn modules() -> PathBuf {
    parts::folder("ROUSTABOUT_TEST_OPENAPI").expect("whoever calls it has asked for the part")
}
