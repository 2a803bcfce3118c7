//! Jobspecs: a job in Nomad's JSON or HCL, from what somebody sends to what the model and the client
//! make of it.
//!
//! Read next: `shape.rs` (what there is in a jobspec), `submitted.rs` (the way of a job that is sent),
//! `definition.rs` (a job as it was registered), `reading.rs` (what of it matters to the model and
//! to the tasks).

mod canonical;
mod definition;
mod diff;
mod hcl;
mod kept;
mod reading;
mod shape;
mod shapes;
mod submitted;
mod typing;
mod validation;

pub(crate) use canonical::canonicalize;
pub use definition::Definition;
pub(crate) use definition::of_spec;
pub(crate) use diff::diff;
pub(crate) use hcl::parse;
pub(crate) use reading::read;
pub(crate) use shape::Shape;
pub(crate) use shapes::{PARSE, PLAN, REGISTER, VALIDATE};
pub(crate) use submitted::{Submitted, submitted};
pub(crate) use typing::asked;
pub(crate) use validation::{Problems, Surroundings};
