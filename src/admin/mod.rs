//! The private door: health, readiness, the JSON that `status` and `explain` show, and what
//! people may ask of a running daemon (`operate`), what ran (`reporting`), what happens as it happens
//! (`events`), and the pages for people (`page`).

mod at_forge;
mod client;
mod door;
mod events;
mod explaining;
mod json;
mod list;
mod metrics;
mod named;
mod operate;
mod page;
mod reporting;
mod session;
mod shared;
pub mod token;
mod who;

pub use client::{Client, ClientError, Events};
pub(crate) use client::{http, root_cause};
pub use door::{Admin, router};
pub use shared::Explainer;

pub use json::{DeliveryJson, JobJson, ListsJson, OpenJobJson, RunnerJson};
pub use operate::pause_time;
pub use session::SignedOut;
pub use who::Guard;
