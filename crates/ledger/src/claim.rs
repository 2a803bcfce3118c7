//! A task that asks for its runner's credential (`delivery = "claim"`): who it says to be, once its
//! identity is proven, and what it is told. `step::claims` decides.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{NomadPlace, RunnerName, Time};

/// Stands for whoever waits for the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Of an allocation whose identity is proven, and what Nomad says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// By the idempotency token.
    pub runner: RunnerName,
    /// The idempotency token of its child.
    pub token: String,
    pub child: String,
    pub parent: String,
    pub place: NomadPlace,
    pub allocation: String,
    /// A digest of what the task chose: only who knows that may ask again.
    pub nonce: String,
    /// Its child was given no `runner_name`, see `Runner::nameless`.
    pub nameless: bool,
}

/// The first claim of a runner, which is the only one but for its own repetitions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimed {
    pub allocation: String,
    pub nonce: String,
    pub at: Time,
}

/// Why there is no credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoCredential {
    Refused(ClaimRefusal),
    /// Ask again.
    NotYet {
        reason: String,
        retry_after: Duration,
    },
}

/// Reads after "the claim was refused: ".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimRefusal {
    UnknownRunner,
    OtherChild,
    NotByClaim,
    Withdrawn,
    Ended,
    Used,
    OtherNonce,
    OtherAllocation,
}

impl ClaimRefusal {
    /// Somebody else has it.
    pub fn is_conflict(self) -> bool {
        self == Self::OtherAllocation
    }
}

impl fmt::Display for ClaimRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ClaimRefusal::UnknownRunner => "the allocation belongs to no runner of this daemon",
            ClaimRefusal::OtherChild => "the allocation belongs to another child than the runner",
            ClaimRefusal::NotByClaim => "the runner was not launched with delivery = \"claim\"",
            ClaimRefusal::Withdrawn => "the runner is being released",
            ClaimRefusal::Ended => "the runner has ended",
            ClaimRefusal::Used => "the runner is registered already",
            ClaimRefusal::OtherNonce => "the credential was claimed before with another nonce",
            ClaimRefusal::OtherAllocation => "the credential was claimed by another allocation",
        })
    }
}
