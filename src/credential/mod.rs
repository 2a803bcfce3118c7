//! What runners register with, in memory only. Registration tokens: minted when the ledger asks, handed out while they
//! live long enough. When to mint and whom to hire is the ledger's; that one request a scope
//! is in flight is too.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secrecy::SecretString;

use crate::ledger::{RunnerName, ScopeKey, Time};

/// A token that registers runners until `ends`, by this machine's clock.
#[derive(Debug, Clone)]
pub struct Token {
    pub secret: SecretString,
    pub ends: Time,
}

/// The newest token of every scope. Debug shows no secret.
#[derive(Debug, Default)]
pub struct Tokens {
    by_scope: Mutex<BTreeMap<ScopeKey, Token>>,
    pub jit: JitConfigs,
    /// Of runners whose tasks claimed theirs, and may ask again.
    pub claimed: JitConfigs,
}

impl Tokens {
    pub fn put(&self, scope: ScopeKey, token: Token) {
        self.lock().insert(scope, token);
    }

    /// The scope's token, if it still lives at least `life` from `now`.
    pub fn get(&self, scope: &ScopeKey, now: Time, life: Duration) -> Option<Token> {
        self.lock().get(scope).filter(|token| token.ends >= now + life).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ScopeKey, Token>> {
        // A map of tokens is whole after every single operation, whatever panicked beside it.
        self.by_scope.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A runner's own configuration, and what its registration is.
#[derive(Debug, Clone)]
pub struct Jit {
    pub id: u64,
    pub config: SecretString,
}

/// The configurations of runners that are not dispatched yet. Debug shows no secret.
#[derive(Debug, Default)]
pub struct JitConfigs {
    by_runner: Mutex<BTreeMap<RunnerName, SecretString>>,
}

impl JitConfigs {
    pub fn put(&self, runner: RunnerName, config: SecretString) {
        self.lock().insert(runner, config);
    }

    pub fn get(&self, runner: &RunnerName) -> Option<SecretString> {
        self.lock().get(runner).cloned()
    }

    /// Nomad has it, or its registration is to be deleted.
    pub fn forget(&self, runner: &RunnerName) {
        self.lock().remove(runner);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<RunnerName, SecretString>> {
        // As above.
        self.by_runner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::RepositoryId;

    #[test]
    fn a_token_is_handed_out_only_while_it_lives_long_enough() {
        let tokens = Tokens::default();
        let scope = ScopeKey::Repository(RepositoryId(1));
        tokens.put(scope.clone(), Token { secret: "s3cr3t".into(), ends: Time(60_000) });
        let life = Duration::from_secs(30);
        assert!(tokens.get(&scope, Time(30_000), life).is_some());
        assert!(tokens.get(&scope, Time(30_001), life).is_none());
        assert!(!format!("{tokens:?}").contains("s3cr3t"));
    }
}
