//! Everything that the demo hears, as one stream in the order in which it happened: what the
//! forge records, how its webhooks were answered, and what the engine tells.

use simulated::github::{Happening, Millis};

use roustabout::engine::Told;

#[derive(Debug, Clone)]
pub enum News {
    Happened(Happening),
    Told(Told),
    /// A webhook about a job was answered.
    Answered {
        at: Millis,
        job: u64,
        action: String,
        answer: String,
    },
    /// A line that a job's own step wrote.
    Logged {
        at: Millis,
        job: u64,
        line: String,
    },
}

impl News {
    pub fn at(&self) -> Millis {
        match self {
            News::Happened(happening) => happening.at,
            News::Told(told) => told.at.0,
            News::Answered { at, .. } | News::Logged { at, .. } => *at,
        }
    }
}
