//! What a connection is doing, as far as time-outs and giving way are concerned.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// In the order in which they give way to a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Doing {
    /// Nothing of the next head has come.
    Idling,
    /// Part of a head has come.
    ReadingHead,
    /// A body comes whose signature nobody has judged yet. It is timed where it is read.
    ReadingBody,
    /// A request is being served.
    Serving,
}

/// Counts changes of all connections, so that two of them can be put in order.
static CHANGES: AtomicU64 = AtomicU64::new(0);

pub(super) struct Phase {
    doing: AtomicU8,
    since: AtomicU64,
}

impl Default for Phase {
    fn default() -> Self {
        let phase = Self { doing: AtomicU8::new(0), since: AtomicU64::new(0) };
        phase.is(Doing::Idling);
        phase
    }
}

impl Phase {
    pub fn is(&self, doing: Doing) {
        self.since.store(CHANGES.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        self.doing.store(doing as u8, Ordering::Relaxed);
    }

    pub fn now(&self) -> Doing {
        match self.doing.load(Ordering::Relaxed) {
            0 => Doing::Idling,
            1 => Doing::ReadingHead,
            2 => Doing::ReadingBody,
            _ => Doing::Serving,
        }
    }

    /// What it does and since which change: the least gives way first.
    pub fn rank(&self) -> (Doing, u64) {
        (self.now(), self.since.load(Ordering::Relaxed))
    }
}
