//! Newtypes for the ids and names that travel through the program, so that a job's id can
//! never be taken for a run's. They carry no behaviour; see `runner_name` for how a runner's
//! name is made and read.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}

number! {
    /// `workflow_job.id`; 64 bits wide at GitHub (it is the id of a check run).
    JobId
}
number! {
    /// `workflow_job.run_id`.
    RunId
}
number! {
    /// `repository.id`. Names change, ids do not.
    RepositoryId
}
text! {
    /// The name of a `[[pools]]` entry.
    PoolName
}
text! {
    /// `<prefix>-<pool>-<id>`: at GitHub and, with the scope behind it, in Nomad.
    RunnerName
}
text! {
    /// `X-GitHub-Delivery`: the same for every hook that subscribes to an event, and on
    /// redelivery (OpenAPI `hook-delivery-item.guid`).
    DeliveryId
}
