//! The private door: health, readiness, the JSON that `status` and `explain` show, and what
//! people may ask of a running daemon (`operate`), what ran (`reporting`), and what happens as it
//! happens (`events`). What is not built yet (the page) has its path already and answers "not yet".

mod client;
mod door;
mod events;
mod explaining;
mod json;
mod list;
mod metrics;
mod named;
mod operate;
mod reporting;
mod shared;
pub mod token;
mod who;

pub use client::{Client, ClientError};
pub(crate) use client::{http, root_cause};
pub use door::{Admin, router};
pub use shared::Explainer;

pub use json::DeliveryJson;
pub use operate::pause_time;
pub use who::Guard;
