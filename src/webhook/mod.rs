//! The public door: verifies, reads and keeps GitHub's webhooks, and only then answers 2xx.
//!
//! It knows the store and the ledger's matching and policy (so that its answer can say why),
//! and nothing of GitHub's REST API or of Nomad. `door` judges a request step by step,
//! `listener` keeps slow and too many connections off.

mod apps;
mod body;
mod door;
mod hand;
mod in_flight;
pub mod listener;
mod news;
mod open;
mod outcome;
mod payload;
mod phase;
mod quota;
pub mod signature;
mod socket;
mod tally;
mod tls;

pub use apps::{Apps, Renew};
pub use body::Bodies;
pub use door::{Door, router};
pub use hand::{Hand, Handed, Receipt};
pub use in_flight::InFlight;
pub use news::News;
pub use payload::{NotAnEvent, read_workflow_job};
pub use quota::{Quota, Tell};
pub use tally::{Deliveries, Tally};
pub use tls::Tls;
