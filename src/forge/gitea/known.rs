//! What was learned of a Gitea and need not be asked again: who is an organization, whose the
//! token is, what runners are called that are not registered any more, and what repositories are
//! called by now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many runners' names are kept: those of the last, for ids ascend.
const RUNNERS: usize = 4096;

#[derive(Debug, Default)]
pub struct Known(Mutex<Facts>);

#[derive(Debug, Default)]
struct Facts {
    organizations: BTreeMap<String, bool>,
    login: Option<String>,
    runners: BTreeMap<u64, String>,
    /// By id, as last seen.
    repositories: BTreeMap<u64, String>,
    /// Names, in lower case, by which an answer came from a repository that is called otherwise.
    former: BTreeSet<String>,
}

impl Known {
    pub fn is_organization(&self, name: &str) -> Option<bool> {
        self.lock().organizations.get(&name.to_lowercase()).copied()
    }

    pub fn organization_is(&self, name: &str, is: bool) {
        self.lock().organizations.insert(name.to_lowercase(), is);
    }

    pub fn login(&self) -> Option<String> {
        self.lock().login.clone()
    }

    pub fn login_is(&self, login: &str) {
        self.lock().login = Some(login.to_owned());
    }

    pub fn name_of_runner(&self, id: u64) -> Option<String> {
        self.lock().runners.get(&id).cloned()
    }

    pub fn runner_is_called(&self, id: u64, name: &str) {
        let mut facts = self.lock();
        facts.runners.insert(id, name.to_owned());
        if facts.runners.len() > RUNNERS {
            facts.runners.pop_first();
        }
    }

    pub fn repository_is_called(&self, id: u64, name: &str) {
        let mut facts = self.lock();
        facts.former.remove(&name.to_lowercase());
        facts.repositories.insert(id, name.to_owned());
    }

    /// An answer showed that the repository of this name has another by now.
    pub fn is_former(&self, name: &str) {
        self.lock().former.insert(name.to_lowercase());
    }

    /// Whether a repository that was seen under this name is still called so, as far as is known.
    pub fn is_still_called(&self, id: u64, name: &str) -> bool {
        let facts = self.lock();
        let last = facts.repositories.get(&id);
        last.is_none_or(|last| last == name) && !facts.former.contains(&name.to_lowercase())
    }

    fn lock(&self) -> MutexGuard<'_, Facts> {
        // Every fact is whole after every single operation, whatever panicked beside it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_the_last_runners_are_kept() {
        let known = Known::default();
        for id in 0..=RUNNERS as u64 {
            known.runner_is_called(id, "r");
        }
        assert_eq!(known.name_of_runner(0), None);
        assert_eq!(known.name_of_runner(RUNNERS as u64).as_deref(), Some("r"));
    }
}
