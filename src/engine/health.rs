//! Who is away just now, and why, for `/readyz` and `status`. Whoever talks to them says so
//! here; nothing is decided by it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Shared; clones see the same.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Mutex<BTreeMap<String, String>>>);

impl Health {
    /// `who` is in trouble, or (`None`) well again. Logs each change once.
    pub fn report(&self, who: &str, trouble: Option<String>) {
        // Every entry is whole whatever panicked beside it.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match trouble {
            Some(reason) => {
                if all.insert(who.to_owned(), reason.clone()).is_none() {
                    tracing::warn!(reason, "{who} is degraded");
                }
            }
            None => {
                if all.remove(who).is_some() {
                    tracing::info!("{who} is well again");
                }
            }
        }
    }

    /// `"who: why"`, for each that is in trouble.
    pub fn degraded(&self) -> Vec<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|(who, why)| format!("{who}: {why}")).collect()
    }
}
