//! The private door: health, readiness and the JSON that `status` shows. Reads only; what
//! changes something (pause, retry) and what shows more (metrics, page, events, explain) has
//! its path already and answers "not yet".

mod client;
mod door;
mod json;

pub use client::{Client, ClientError};
pub(crate) use client::{http, root_cause};
pub use door::{Admin, router};
