//! Who is away just now, and why, for `/readyz` and `status`. Whoever talks to them says so
//! here; nothing is decided by it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// Shared; clones see the same.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Mutex<BTreeMap<(String, String), String>>>);

impl Health {
    /// `part` of `who` (a credential, a namespace; or "" for the whole) is in trouble, or
    /// (`None`) well again: one part's luck says nothing of another. Logs each change once.
    pub fn report(&self, who: &str, part: &str, trouble: Option<String>) {
        // Every entry is whole whatever panicked beside it.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.keys().any(|(other, _)| other == who);
        let key = (who.to_owned(), part.to_owned());
        match trouble {
            Some(reason) => {
                all.insert(key, reason.clone());
                if !known {
                    tracing::warn!(reason, "{who} is degraded");
                }
            }
            None => {
                all.remove(&key);
                if known && !all.keys().any(|(other, _)| other == who) {
                    tracing::info!("{who} is well again");
                }
            }
        }
    }

    /// Forgets who was in trouble, but for the store: after a reload others are asked by other
    /// names, and whoever is still away is told of again.
    pub fn start_anew(&self) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(who, _), _| who == "store");
    }

    /// `"who: why"`, for each that is in trouble.
    pub fn degraded(&self) -> Vec<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let told: BTreeSet<_> = all.iter().map(|((who, _), why)| format!("{who}: {why}")).collect();
        told.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_part_that_is_well_does_not_hide_another_that_is_not() {
        let health = Health::default();
        health.report("github", "octo", Some("502".to_owned()));
        health.report("github", "others", None);
        assert_eq!(health.degraded(), ["github: 502"]);
        health.report("github", "others", Some("502".to_owned()));
        assert_eq!(health.degraded(), ["github: 502"], "one reason is told once");
        health.report("github", "octo", None);
        health.report("github", "others", None);
        assert!(health.degraded().is_empty());
    }
}
