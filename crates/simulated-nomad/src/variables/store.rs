//! Writing, deleting and listing variables (Nomad `state/state_store_variables.go`; what is said of
//! conflicts is [V]).

use super::path::judge;
use super::{Items, Outcome, Variable, VariableKey, VariableRefused, Variables};
use crate::model::{Millis, Nomad};
use crate::tables::Table;

impl Variables {
    #[must_use]
    pub fn get(&self, key: &VariableKey) -> Option<&Variable> {
        self.by_key.get(key)
    }

    /// In the order of their namespaces and paths.
    pub fn iter(&self) -> impl Iterator<Item = (&VariableKey, &Variable)> {
        self.by_key.iter()
    }

    pub(super) fn put(
        &mut self,
        key: VariableKey,
        items: Items,
        index: u64,
        now: Millis,
    ) -> &mut Variable {
        let time = self.stamp(now);
        let variable = self.by_key.entry(key).or_insert_with(|| Variable {
            items: Items::new(),
            lock: None,
            create_index: index,
            modify_index: index,
            create_time: time,
            modify_time: time,
        });
        variable.items = items;
        variable.modify_index = index;
        variable.modify_time = time;
        variable
    }

    pub(super) fn get_mut(&mut self, key: &VariableKey) -> Option<&mut Variable> {
        self.by_key.get_mut(key)
    }

    pub(super) fn touch(&mut self, key: &VariableKey, index: u64, now: Millis) {
        let time = self.stamp(now);
        if let Some(variable) = self.by_key.get_mut(key) {
            variable.modify_index = index;
            variable.modify_time = time;
        }
    }

    /// What stands against a change: another's lock, or another index than the caller expects
    /// (0: that there is none).
    fn conflict(
        &self,
        key: &VariableKey,
        lock: Option<&str>,
        expected: Option<u64>,
    ) -> Option<Outcome> {
        let found = self.by_key.get(key);
        let holder = found.and_then(|it| it.lock.as_ref());
        if holder.is_some_and(|holder| Some(holder.id.as_str()) != lock) {
            return Some(Outcome::Conflict(None));
        }
        let index = found.map_or(0, |it| it.modify_index);
        expected.filter(|it| *it != index).map(|_| Outcome::Conflict(found.cloned()))
    }
}

impl Nomad {
    #[must_use]
    pub fn variables(&self) -> &Variables {
        &self.variables
    }

    /// `lock`: the id of the lock that the caller says it holds. `expected`: the variable's
    /// `ModifyIndex`.
    ///
    /// # Errors
    /// For a path or a size that no variable has.
    pub fn put_variable(
        &mut self,
        key: &VariableKey,
        items: Items,
        lock: Option<&str>,
        expected: Option<u64>,
        now: Millis,
    ) -> Result<Outcome, VariableRefused> {
        judge(key, &items)?;
        if let Some(conflict) = self.variables.conflict(key, lock, expected) {
            return Ok(conflict);
        }
        let index = self.write(Table::Variables);
        let variable = self.variables.put(key.clone(), items, index, now).clone();
        Ok(Outcome::Done { index, variable: Some(variable) })
    }

    /// One that is not there is deleted as well.
    pub fn delete_variable(
        &mut self,
        key: &VariableKey,
        lock: Option<&str>,
        expected: Option<u64>,
    ) -> Outcome {
        if let Some(conflict) = self.variables.conflict(key, lock, expected) {
            return conflict;
        }
        let index = self.bump();
        if self.variables.by_key.remove(key).is_some() {
            self.variables.locked.remove(key);
            self.write_too(Table::Variables, index);
        }
        Outcome::Done { index, variable: None }
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    fn items(value: &str) -> Items {
        Items::from([("a".to_owned(), value.to_owned())])
    }

    #[test]
    fn who_expects_another_index_changes_nothing() {
        let mut nomad = Nomad::new(StdRng::seed_from_u64(1));
        let key = VariableKey::new("default", "ghr/x");
        let absent = nomad.put_variable(&key, items("1"), None, Some(3), 0);
        assert_eq!(absent, Ok(Outcome::Conflict(None)));
        let Ok(Outcome::Done { index, .. }) =
            nomad.put_variable(&key, items("1"), None, Some(0), 0)
        else {
            panic!("a new one is taken")
        };
        let there = nomad.put_variable(&key, items("2"), None, Some(0), 0).unwrap();
        assert!(matches!(there, Outcome::Conflict(Some(it)) if it.items == items("1")));
        let changed = nomad.put_variable(&key, items("2"), None, Some(index), 0).unwrap();
        let Outcome::Done { variable: Some(changed), .. } = changed else { panic!() };
        assert_eq!((changed.create_index, &changed.items), (index, &items("2")));
        assert!(changed.modify_time > changed.create_time);
        assert!(matches!(nomad.delete_variable(&key, None, Some(index)), Outcome::Conflict(_)));
        assert!(matches!(nomad.delete_variable(&key, None, None), Outcome::Done { .. }));
        assert!(matches!(nomad.delete_variable(&key, None, Some(0)), Outcome::Done { .. }));
        assert!(nomad.variables().get(&key).is_none());
    }
}
