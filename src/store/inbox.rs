//! What is stored of a webhook: the few fields that the ledger needs, never the body.

use serde::{Deserialize, Serialize};

use crate::ledger::{DeliveryId, JobReport, Repository, Time};

/// A `workflow_job` delivery with a valid signature that could be parsed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    pub id: DeliveryId,
    pub received_at: Time,
    pub repository: Repository,
    /// `None`: an unknown action or status.
    pub report: Option<JobReport>,
    /// The job in it could not be parsed: the repository's jobs are requested.
    #[serde(default)]
    pub look: bool,
}

/// A delivery with a valid signature that could not be parsed as its event.
#[derive(Debug, Clone, PartialEq)]
pub struct Unparsed {
    pub id: Option<DeliveryId>,
    pub received_at: Time,
    pub event: Option<String>,
    pub error: String,
    /// At most 64 kB of the body.
    pub body: Vec<u8>,
}
