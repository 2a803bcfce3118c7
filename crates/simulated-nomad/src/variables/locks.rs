//! Locks of variables: taken, renewed, given back, and over by themselves.
//!
//! Who does not renew in time loses the lock, but nobody gets it before the delay is over, too, for
//! the old holder may not know yet (Nomad `variables_lock.go`).

use super::path::judge;
use super::{Items, Outcome, VariableKey, VariableRefused};
use crate::model::{Due, HOUR, Millis, Nomad, SECOND};
use crate::tables::Table;

const DEFAULT_LENGTH: Millis = 15 * SECOND;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    pub id: String,
    pub ttl: Millis,
    pub delay: Millis,
}

#[derive(Clone, Copy, Debug)]
pub struct LockTimes {
    renew_by: Millis,
    free_at: Millis,
}

/// None is Nomad's own length of time.
#[derive(Clone, Debug, Default)]
pub struct LockWish {
    /// Of the lock that the caller says it holds.
    pub id: Option<String>,
    pub ttl: Option<Millis>,
    pub delay: Option<Millis>,
}

impl LockWish {
    fn lengths(&self) -> Result<(Millis, Millis), VariableRefused> {
        let ttl = self.ttl.filter(|it| *it != 0).unwrap_or(DEFAULT_LENGTH);
        let delay = self.delay.filter(|it| *it != 0).unwrap_or(DEFAULT_LENGTH);
        let mut wrong = Vec::new();
        if delay < 0 {
            wrong.push("LockDelay must be positive");
        }
        if !(10 * SECOND..=24 * HOUR).contains(&ttl) {
            wrong.push("TTL must be between 10 seconds and 24 hours");
        }
        if wrong.is_empty() {
            return Ok((ttl, delay));
        }
        let count =
            if wrong.len() == 1 { "1 error".to_owned() } else { format!("{} errors", wrong.len()) };
        let lines: String = wrong.iter().map(|it| format!("\t* {it}\n")).collect();
        Err(VariableRefused(format!("{count} occurred:\n{lines}\n")))
    }
}

impl Nomad {
    /// Takes the lock of a variable, which is made where it is not there. Without items those that
    /// it has stay.
    ///
    /// # Errors
    /// For a path, a size or a length of time that is not allowed.
    pub fn acquire_lock(
        &mut self,
        key: &VariableKey,
        items: Items,
        wish: &LockWish,
        now: Millis,
    ) -> Result<Outcome, VariableRefused> {
        let (ttl, delay) = wish.lengths()?;
        judge(key, &items)?;
        let found = self.variables.get(key);
        let held = found.and_then(|it| it.lock.as_ref());
        if held.is_some_and(|held| Some(&held.id) != wish.id.as_ref()) {
            return Ok(Outcome::Conflict(None));
        }
        let id = held.map(|held| held.id.clone());
        let kept = found.map(|it| it.items.clone()).filter(|_| items.is_empty());
        let id = id.unwrap_or_else(|| self.draw_id());
        let index = self.write(Table::Variables);
        let variable = self.variables.put(key.clone(), kept.unwrap_or(items), index, now);
        variable.lock = Some(Lock { id, ttl, delay });
        let variable = variable.clone();
        self.hold(key, ttl, delay, now);
        Ok(Outcome::Done { index, variable: Some(variable) })
    }

    /// Lets the holder keep it for another TTL. Nothing of the variable changes.
    pub fn renew_lock(&mut self, key: &VariableKey, id: &str, now: Millis) -> Outcome {
        let Some((ttl, delay)) = self.held_by(key, id) else { return Outcome::Conflict(None) };
        if self.variables.locked.get(key).is_none_or(|times| times.renew_by <= now) {
            return Outcome::Conflict(None);
        }
        self.hold(key, ttl, delay, now);
        Outcome::Done { index: self.index(), variable: self.variables.get(key).cloned() }
    }

    /// Gives it back: whoever wants it next has it at once.
    ///
    /// # Errors
    /// When items are given as well.
    pub fn release_lock(
        &mut self,
        key: &VariableKey,
        items: &Items,
        id: &str,
        now: Millis,
    ) -> Result<Outcome, VariableRefused> {
        if !items.is_empty() {
            let why = "lock release operation doesn't take variable items";
            return Err(VariableRefused(why.to_owned()));
        }
        if self.held_by(key, id).is_none() {
            return Ok(Outcome::Conflict(None));
        }
        let index = self.unlock(key, now);
        Ok(Outcome::Done { index, variable: self.variables.get(key).cloned() })
    }

    /// A lock that nobody renewed is free, unless it was renewed or taken anew since.
    pub(crate) fn lock_is_due(&mut self, key: &VariableKey, now: Millis) {
        if self.variables.locked.get(key).is_some_and(|times| times.free_at <= now) {
            self.unlock(key, now);
        }
    }

    fn held_by(&self, key: &VariableKey, id: &str) -> Option<(Millis, Millis)> {
        let lock = self.variables.get(key)?.lock.as_ref()?;
        (lock.id == id).then_some((lock.ttl, lock.delay))
    }

    fn hold(&mut self, key: &VariableKey, ttl: Millis, delay: Millis, now: Millis) {
        let times = LockTimes { renew_by: now + ttl, free_at: now + ttl + delay };
        self.variables.locked.insert(key.clone(), times);
        self.at(times.free_at, Due::Unlock(key.clone()));
    }

    fn unlock(&mut self, key: &VariableKey, now: Millis) -> u64 {
        let index = self.write(Table::Variables);
        self.variables.locked.remove(key);
        if let Some(variable) = self.variables.get_mut(key) {
            variable.lock = None;
        }
        self.variables.touch(key, index, now);
        index
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    const TTL: Millis = 10 * SECOND;

    fn locked() -> (Nomad, VariableKey, String) {
        let mut nomad = Nomad::new(StdRng::seed_from_u64(1));
        let key = VariableKey::new("default", "lock");
        let wish = LockWish { id: None, ttl: Some(TTL), delay: Some(SECOND) };
        let outcome = nomad.acquire_lock(&key, items(), &wish, 0).unwrap();
        let Outcome::Done { variable: Some(variable), .. } = outcome else { panic!("{outcome:?}") };
        (nomad, key, variable.lock.unwrap().id)
    }

    fn items() -> Items {
        Items::from([("a".to_owned(), "b".to_owned())])
    }

    #[test]
    fn others_wait_until_the_delay_is_over() {
        let (mut nomad, key, id) = locked();
        let other = LockWish::default();
        assert_eq!(nomad.acquire_lock(&key, items(), &other, 1), Ok(Outcome::Conflict(None)));
        assert_eq!(nomad.put_variable(&key, items(), None, None, 1), Ok(Outcome::Conflict(None)));
        assert_eq!(nomad.delete_variable(&key, None, None), Outcome::Conflict(None));
        let own = nomad.put_variable(&key, items(), Some(&id), None, 1).unwrap();
        assert!(matches!(own, Outcome::Done { .. }));
        nomad.tick(TTL);
        assert_eq!(nomad.renew_lock(&key, &id, TTL), Outcome::Conflict(None));
        assert_eq!(nomad.acquire_lock(&key, items(), &other, TTL), Ok(Outcome::Conflict(None)));
        nomad.tick(TTL + SECOND);
        let taken = nomad.acquire_lock(&key, items(), &other, TTL + SECOND).unwrap();
        assert!(matches!(taken, Outcome::Done { .. }));
    }

    #[test]
    fn a_renewed_one_is_kept_and_a_released_one_free() {
        let (mut nomad, key, id) = locked();
        let renewed = nomad.renew_lock(&key, &id, TTL - 1);
        assert!(matches!(renewed, Outcome::Done { variable: Some(it), .. } if it.lock.is_some()));
        nomad.tick(TTL + SECOND);
        assert!(nomad.variables().get(&key).unwrap().lock.is_some());
        assert!(nomad.release_lock(&key, &items(), &id, TTL).is_err());
        assert_eq!(nomad.release_lock(&key, &Items::new(), "x", TTL), Ok(Outcome::Conflict(None)));
        let released = nomad.release_lock(&key, &Items::new(), &id, TTL).unwrap();
        assert!(matches!(released, Outcome::Done { variable: Some(it), .. } if it.lock.is_none()));
    }

    #[test]
    fn lengths_of_time_have_bounds() {
        let wish = |ttl| LockWish { ttl: Some(ttl), ..LockWish::default() }.lengths();
        assert!(wish(SECOND).is_err() && wish(25 * HOUR).is_err());
        assert_eq!(wish(0), Ok((DEFAULT_LENGTH, DEFAULT_LENGTH)));
    }
}
