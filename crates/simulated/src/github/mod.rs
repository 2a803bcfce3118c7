//! The simulated GitHub: one stateful model (`model.rs` and its neighbours) behind HTTP (`http.rs`).
//!
//! The model is pure: no I/O, no clock, no async; `now` is an argument, its random numbers come from
//! the generator it was made with, and all its maps are ordered, so that a seed replays exactly.
//! `rest/` is pure too: a request in, an answer out. Only `http.rs`, `courier.rs` do I/O.
//! Each rule cites where it is known from. Read next: `model.rs`, then `http.rs`.

pub mod accounts;
pub mod apps;
pub mod concurrency;
mod courier;
pub mod faults;
mod gitea;
pub mod groups;
pub mod happenings;
pub mod hooks;
pub mod http;
pub mod jit;
mod json;
pub mod kind;
pub mod limits;
mod listening;
pub mod model;
mod pace;
pub mod repositories;
pub mod rest;
pub mod runners;
pub mod runs;
pub mod tokens;

pub use apps::{App, AppSpec, Conversion, Installation};
pub use concurrency::Concurrency;
pub use faults::{FaultKind, FaultRule};
pub use happenings::{Happening, What};
pub use hooks::{ContentType, Delivery, DeliveryFaults, HookSpec};
pub use http::Server;
pub use kind::Kind;
pub use model::{GitHub, Knobs, Millis};
pub use repositories::Visibility;
pub use runs::{Conclusion, Head, Job, JobSpec, RunSpec, Status};
pub use tokens::{Level, Scope};
