//! The connections that are open on a door: how many, and which of them has been idle for longest.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::phase::{Doing, Phase};

#[derive(Clone, Default)]
pub(super) struct Open(Arc<Mutex<Connections>>);

#[derive(Default)]
struct Connections {
    next: u64,
    all: BTreeMap<u64, Entry>,
}

struct Entry {
    phase: Arc<Phase>,
    given_away: CancellationToken,
}

/// A connection that counts among them, until it is dropped.
pub(super) struct Slot {
    open: Open,
    number: u64,
    pub phase: Arc<Phase>,
    /// Cancelled when it has to give way.
    pub given_away: CancellationToken,
}

impl Open {
    pub fn count(&self) -> usize {
        self.lock().all.len()
    }

    pub fn enter(&self) -> Slot {
        let mut connections = self.lock();
        connections.next += 1;
        let (number, phase) = (connections.next, Arc::<Phase>::default());
        let given_away = CancellationToken::new();
        let entry = Entry { phase: phase.clone(), given_away: given_away.clone() };
        connections.all.insert(number, entry);
        drop(connections);
        Slot { open: self.clone(), number, phase, given_away }
    }

    /// Ends the connection that has been idle for longest, else the one whose head or body has
    /// been coming for longest; it counts no more. `false`: all of them are being served.
    pub fn end_one(&self) -> bool {
        let mut connections = self.lock();
        let least = connections.all.iter().min_by_key(|(_, entry)| entry.phase.rank());
        let Some(number) = least
            .filter(|(_, entry)| entry.phase.now() != Doing::Serving)
            .map(|(number, _)| *number)
        else {
            return false;
        };
        if let Some(entry) = connections.all.remove(&number) {
            entry.given_away.cancel();
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Connections> {
        // Nothing in it can be left half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.open.lock().all.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_is_idle_for_longest_gives_way_then_the_slowest_head_or_body_and_none_at_work() {
        let open = Open::default();
        let slots: Vec<Slot> = (0..6).map(|_| open.enter()).collect();
        let ended =
            || -> Vec<usize> { (0..6).filter(|at| slots[*at].given_away.is_cancelled()).collect() };
        slots[0].phase.is(Doing::Serving);
        slots[3].phase.is(Doing::ReadingHead);
        slots[4].phase.is(Doing::Serving);
        slots[5].phase.is(Doing::ReadingBody);
        assert!(open.end_one());
        assert_eq!(ended(), [1]);
        slots[0].phase.is(Doing::Idling);
        assert!(open.end_one());
        assert_eq!(ended(), [1, 2], "the first has just been used");
        assert!(open.end_one() && open.end_one());
        assert_eq!(ended(), [0, 1, 2, 3]);
        assert!(open.end_one());
        assert_eq!(ended(), [0, 1, 2, 3, 5]);
        assert!(!open.end_one(), "the last is at work");
        assert_eq!(open.count(), 1);
    }

    #[test]
    fn one_that_has_ended_counts_no_more() {
        let open = Open::default();
        drop(open.enter());
        assert_eq!(open.count(), 0);
    }
}
