//! Why a runner is released and how runners end: what rows, logs and `explain` say in words.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a runner is not needed any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Release {
    NoJobWaits,
    NotPlacedInTime,
    /// Its pool dispatches another Nomad job by now.
    OtherNomadJob,
    /// Somebody said `retry`.
    AsRequested,
    AllocationLost,
    RegisteredAgain,
    RunsOnAfterItsJob,
    TooOld,
    Idle,
    /// Nobody knows which of them was its own task.
    ClaimedTwice,
    /// Idle, and another's job can have its room.
    GivesWay,
}

/// Why a runner was launched in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unused {
    NotRegisteredInTime,
    NoJobInTime,
}

/// How a runner came to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "end")]
pub enum Gone {
    JobDone,
    /// What Nomad says of its child.
    ChildEnded {
        how: String,
    },
    EndedAtWork,
    ClearedAway,
    NothingLeft {
        forge: String,
    },
    /// Its job is over or unknown, and so is it.
    UnknownToBoth {
        forge: String,
    },
    Released,
    ReleasedBeforePlacement,
    NotNeeded,
    NeverDispatched,
    NeverDispatchedPoolRemoved,
    NotNeededBeforeDispatch,
    OutcomeUnknown,
    /// The forge removed it, as GitHub does with JIT runners that are idle for some minutes.
    Removed {
        forge: String,
    },
    /// Its dispatch was refused, or did not leave.
    NotSent {
        reason: String,
    },
    /// Nomad does not take what its dispatch carries of its job.
    TooLarge {
        reason: String,
    },
}

impl Gone {
    /// The end that every runner should have; it is no news beside that it is gone.
    pub fn is_usual(&self) -> bool {
        match self {
            Gone::JobDone => true,
            Gone::ChildEnded { how } => how.ends_with(" is complete"),
            _ => false,
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Release::NoJobWaits => "no job waits for it",
            Release::NotPlacedInTime => {
                "not placed within placement_timeout; another is launched with a new credential"
            }
            Release::OtherNomadJob => {
                "not placed, and its pool dispatches another Nomad job now; another is launched from that one"
            }
            Release::AsRequested => "not placed, and a retry was requested; another is launched",
            Release::AllocationLost => {
                "its allocation was lost, and the replacement cannot register"
            }
            Release::RegisteredAgain => "registered again after its job",
            Release::RunsOnAfterItsJob => "still running after its job ended",
            Release::TooOld => "older than max_lifetime, and not busy",
            Release::Idle => "no job within idle_timeout",
            Release::ClaimedTwice => "its credential was claimed more than once",
            Release::GivesWay => "it was warm, and its room is needed for a job that waits",
        })
    }
}

impl fmt::Display for Unused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unused::NotRegisteredInTime => "not registered within boot_timeout",
            Unused::NoJobInTime => {
                "no job within idle_timeout although jobs wait; does its runner group allow the repository?"
            }
        })
    }
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Gone::JobDone => f.write_str("its job is done and its child has ended"),
            Gone::ChildEnded { how } => f.write_str(how),
            Gone::EndedAtWork => f.write_str("ended during a job; its registration is gone"),
            Gone::ClearedAway => f.write_str("ended; its registration was deleted"),
            Gone::NothingLeft { forge } => write!(f, "ended; no registration is left at {forge}"),
            Gone::UnknownToBoth { forge } => {
                write!(f, "it had a job, and neither Nomad nor {forge} knows it any more")
            }
            Gone::Released => f.write_str("released"),
            Gone::ReleasedBeforePlacement => f.write_str("released before it was placed"),
            Gone::NotNeeded => f.write_str("not needed any more"),
            Gone::NeverDispatched => f.write_str("never dispatched, and not needed any more"),
            Gone::NeverDispatchedPoolRemoved => {
                f.write_str("never dispatched, and its pool was removed from the config")
            }
            Gone::NotNeededBeforeDispatch => {
                f.write_str("not needed any more before it was dispatched")
            }
            Gone::Removed { forge } => {
                write!(f, "ended without a job; {forge} had removed its registration")
            }
            Gone::NotSent { reason } | Gone::TooLarge { reason } => f.write_str(reason),
            Gone::OutcomeUnknown => f.write_str("outcome of its dispatch unknown for an hour"),
        }
    }
}
