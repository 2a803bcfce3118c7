//! Everything that the demo hears, as one stream in the order in which it happened: what the
//! forge records, how its webhooks were answered, and what the engine says.

use simulated::github::{Happening, Millis};

use crate::notes::Note;

#[derive(Debug, Clone)]
pub enum News {
    Happened(Happening),
    Noted(Note),
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
            News::Noted(note) => note.at,
            News::Answered { at, .. } | News::Logged { at, .. } => *at,
        }
    }
}
