//! Counts what came to the public door by how it was answered, and remembers when the last good
//! delivery came. `status` shows it. Requests to another path, or by another method, are nobody's
//! deliveries.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use super::outcome::{Outcome, Unsigned};
use crate::ledger::Time;

/// Shared: a door before a reload and the one after it count together.
#[derive(Clone)]
pub struct Tally(Arc<Mutex<Counted>>);

struct Counted {
    since: Time,
    last_good: Option<Time>,
    outcomes: BTreeMap<&'static str, u64>,
}

/// What `status` shows. A contract with scripts: add, do not rename.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Deliveries {
    /// When the daemon began to count.
    pub since: String,
    /// When a delivery last came with a good signature and was understood, also before `since`.
    pub last_good: Option<String>,
    /// How many of each; what never came is left out.
    pub outcomes: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// `last_good`: as the store knows it from earlier lives.
    pub fn new(since: Time, last_good: Option<Time>) -> Self {
        Self(Arc::new(Mutex::new(Counted { since, last_good, outcomes: BTreeMap::new() })))
    }

    pub(super) fn count(&self, answer: &Outcome, now: Time) {
        let Some((outcome, good)) = outcome(answer) else { return };
        // A count has no state that a panic could leave half done.
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counted.outcomes.entry(outcome).or_default() += 1;
        if good {
            counted.last_good = Some(now);
        }
    }

    pub fn deliveries(&self) -> Deliveries {
        let counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Deliveries {
            since: counted.since.to_string(),
            last_good: counted.last_good.map(|at| at.to_string()),
            outcomes: counted.outcomes.clone(),
        }
    }
}

/// Its name, and whether the sender is who it should be and was understood.
fn outcome(answer: &Outcome) -> Option<(&'static str, bool)> {
    Some(match answer {
        Outcome::Accepted => ("accepted", true),
        Outcome::Duplicate => ("duplicate", true),
        Outcome::Pong(_) => ("pong", true),
        Outcome::Ignored(_) => ("ignored", true),
        Outcome::Unreadable(_) => ("unreadable", false),
        Outcome::Unavailable(_) => ("unavailable", false),
        Outcome::Unsigned(Unsigned::Missing) => ("signature_missing", false),
        Outcome::Unsigned(Unsigned::Malformed) => ("signature_malformed", false),
        Outcome::Unsigned(Unsigned::Wrong) => ("signature_wrong", false),
        Outcome::TooLarge(_) => ("too_large", false),
        Outcome::WrongType => ("unsupported_type", false),
        Outcome::TooSlow(_) => ("too_slow", false),
        Outcome::CutOff => ("cut_off", false),
        Outcome::WrongPath | Outcome::WrongMethod => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_signed_and_understood_is_good() {
        let tally = Tally::new(Time(1_000), Some(Time(500)));
        tally.count(&Outcome::Unsigned(Unsigned::Wrong), Time(2_000));
        tally.count(&Outcome::Unreadable("x".to_owned()), Time(2_000));
        tally.count(&Outcome::WrongPath, Time(2_000));
        let told = tally.deliveries();
        assert_eq!(told.last_good, Some(Time(500).to_string()), "that of the life before");
        assert_eq!(told.outcomes, BTreeMap::from([("signature_wrong", 1), ("unreadable", 1)]));
        tally.clone().count(&Outcome::Ignored("x".to_owned()), Time(3_000));
        assert_eq!(tally.deliveries().last_good, Some(Time(3_000).to_string()));
    }
}
