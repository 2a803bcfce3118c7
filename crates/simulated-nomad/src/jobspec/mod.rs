//! Jobspecs: a job in Nomad's JSON, from what somebody registers to what the model and the client
//! make of it.
//!
//! Read next: `definition.rs` (a job as it was registered), `reading.rs` (what of it matters to the
//! model and to the tasks).

mod definition;
mod reading;

pub use definition::Definition;
pub(crate) use definition::of_spec;
pub use reading::{Artifact, Plan, Task, read};
