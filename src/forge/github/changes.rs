//! Which repositories GitHub has told changes of. What a sweep believes of one from before is asked
//! about anew.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::ledger::RepositoryId;

/// How often each has changed, as far as webhooks told. Clones share it.
#[derive(Clone, Default)]
pub struct Changes(Arc<Mutex<BTreeMap<RepositoryId, u64>>>);

impl Changes {
    pub fn happened(&self, id: RepositoryId) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *all.entry(id).or_default() += 1;
    }

    pub fn of(&self, id: RepositoryId) -> u64 {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&id).copied().unwrap_or_default()
    }
}
