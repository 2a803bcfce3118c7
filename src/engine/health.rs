//! Who is away just now, and why, for `/readyz` and `status`. Whoever talks to them says so
//! here; nothing is decided by it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::happenings::Happenings;
use crate::ledger::{About, Happened, Time};

/// The part of who keeps the daemon's own secrets.
const SECRETS: &str = "secrets";

/// Shared; clones see the same.
#[derive(Debug, Clone)]
pub struct Health {
    told: Arc<Mutex<Told>>,
    happenings: Happenings,
    /// Which setup it is about; what those before had to tell is over.
    setup: u64,
}

#[derive(Debug, Default)]
struct Told {
    setup: u64,
    /// By who and part: the trouble.
    all: BTreeMap<(String, String), String>,
    sweeps: SweepsView,
}

/// When sweeps were made last, as `status` shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SweepsView {
    /// The end of the last one of everything.
    pub full: Option<String>,
    /// Whether it was answered for every repository.
    pub full_complete: bool,
    /// The start of the last one of what is or lately was open.
    pub recent: Option<String>,
}

impl Told {
    fn has(&self, who: &str) -> bool {
        self.all.keys().any(|(other, _)| other == who)
    }
}

impl Health {
    pub fn new(happenings: Happenings) -> Self {
        Self { told: Arc::default(), happenings, setup: 0 }
    }

    /// `part` of `who` (a credential, a namespace; or "" for the whole) is in trouble, or
    /// (`None`) well again: one part's luck says nothing of another. Logs each change once.
    pub fn report(&self, who: &str, part: &str, trouble: Option<String>) {
        let mut told = self.lock();
        if told.setup != self.setup {
            return;
        }
        let known = told.has(who);
        let key = (who.to_owned(), part.to_owned());
        match trouble {
            Some(reason) => {
                told.all.insert(key, reason.clone());
                if !known {
                    let who = who.to_owned();
                    self.tell(Happened::Degraded { who, reason });
                }
            }
            None => {
                told.all.remove(&key);
                if known && !told.has(who) {
                    self.tell(Happened::Recovered { who: who.to_owned() });
                }
            }
        }
    }

    /// Whether the daemon's own secrets can be read where they are, or why not. No setup changes that.
    pub fn report_secrets(&self, who: &str, trouble: Option<String>) {
        let setup = self.lock().setup;
        Self { setup, ..self.clone() }.report(who, SECRETS, trouble);
    }

    fn tell(&self, what: Happened) {
        self.happenings.tell(what.about(About::default()));
    }

    /// For another setup: its parts have other names, and answers to the one before may still be
    /// on their way. Whoever is still away is told of again; the store is the same.
    pub fn start_anew(&self) -> Self {
        let mut told = self.lock();
        told.setup += 1;
        told.all.retain(|(who, part), _| who == "store" || part == SECRETS);
        Self { setup: told.setup, ..self.clone() }
    }

    /// `"who: why"`, for each that is in trouble.
    pub fn degraded(&self) -> Vec<String> {
        let told = self.lock();
        let lines: BTreeSet<_> =
            told.all.iter().map(|((who, _), why)| format!("{who}: {why}")).collect();
        lines.into_iter().collect()
    }

    /// A sweep of everything has ended; `whole`: every repository was answered.
    pub fn swept_all(&self, now: Time, whole: bool) {
        let mut told = self.lock();
        told.sweeps.full = Some(now.to_string());
        told.sweeps.full_complete = whole;
    }

    /// A sweep of what is or lately was open has begun.
    pub fn sweeps_recent(&self, now: Time) {
        self.lock().sweeps.recent = Some(now.to_string());
    }

    pub fn sweeps(&self) -> SweepsView {
        self.lock().sweeps.clone()
    }

    /// Whether a part of it is in trouble, or the whole.
    pub fn is_degraded(&self, who: &str) -> bool {
        self.lock().has(who)
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        // Every entry is whole whatever panicked beside it.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use clock::Clock;

    use super::*;

    #[test]
    fn one_part_that_is_well_does_not_hide_another_that_is_not() {
        let health = Health::new(Happenings::new(Clock::system()));
        health.report("github", "octo", Some("502".to_owned()));
        health.report("github", "others", None);
        assert_eq!(health.degraded(), ["github: 502"]);
        health.report("github", "others", Some("502".to_owned()));
        assert_eq!(health.degraded(), ["github: 502"], "one reason is told once");
        health.report("github", "octo", None);
        health.report("github", "others", None);
        assert!(health.degraded().is_empty());
    }

    #[test]
    fn what_an_earlier_setup_has_to_tell_is_over() {
        let before = Health::new(Happenings::new(Clock::system()));
        before.report("github", "octo", Some("401".to_owned()));
        before.report("store", "", Some("full".to_owned()));
        before.report_secrets("vault", Some("sealed".to_owned()));
        let now = before.start_anew();
        assert_eq!(now.degraded(), ["store: full", "vault: sealed"]);
        before.report_secrets("vault", None);
        before.report("github", "octo", Some("401".to_owned()));
        assert_eq!(before.degraded(), ["store: full"], "and all see the same");
        now.report("store", "", None);
        now.report("nomad", "", Some("away".to_owned()));
        assert_eq!(before.degraded(), ["nomad: away"]);
    }
}
