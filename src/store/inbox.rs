//! What the door keeps of a webhook: the few fields that the ledger needs, never the body.

use serde::{Deserialize, Serialize};

use crate::ledger::{DeliveryId, JobReport, Repository, Time};

/// A `workflow_job` delivery whose signature holds and which could be read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    pub id: DeliveryId,
    pub received_at: Time,
    pub repository: Repository,
    /// `None`: an action or a status that we do not know.
    pub report: Option<JobReport>,
    /// The job in it could not be read: the repository is looked at.
    #[serde(default)]
    pub look: bool,
}

/// A delivery whose signature holds and which could not be read as its event.
#[derive(Debug, Clone, PartialEq)]
pub struct Unparsed {
    pub id: Option<DeliveryId>,
    pub received_at: Time,
    pub event: Option<String>,
    pub error: String,
    /// At most 64 kB of the body.
    pub body: Vec<u8>,
}
