//! Whether a class has a credential to hand out, and asking for one in time. The secret
//! itself never comes here: only until when it lives, and what went wrong.

use std::collections::BTreeSet;

use rand::Rng;

use super::{Fold, when_to_retry};
use crate::effect::Target;
use crate::event::{Answer, Failure};
use crate::pool::{CredentialKind, Delivery};
use crate::state::{Gate, Timer};
use crate::{About, ClassKey, Happened, Request, ScopeKey, Time};

impl<R: Rng> Fold<'_, R> {
    /// True where a runner of the class can be dispatched now. Else one request a scope is
    /// under way, or waits for its time after a failure.
    pub(super) fn has_credential(&mut self, key: &ClassKey) -> bool {
        let Some(pool) = self.state.rules.pool(&key.pool) else { return false };
        if matches!(pool.delivery, Delivery::Claim | Delivery::None) {
            return true;
        }
        if pool.credential == CredentialKind::Jit {
            return self.may_mint(key);
        }
        let life = pool.credential_life();
        let state = self.state.credentials.entry(key.scope.clone()).or_default();
        if state.ends.is_some_and(|ends| ends >= self.now + life) {
            return true;
        }
        let held = state.failed.as_ref().is_some_and(|gate| gate.until > self.now);
        if state.minting || held {
            return false;
        }
        let Some(target) = self.scope_target(&key.scope) else { return false };
        if let Some(state) = self.state.credentials.get_mut(&key.scope) {
            state.minting = true;
            state.life = life;
        }
        self.request(Request::Mint { scope: key.scope.clone(), target, life });
        false
    }

    /// The scope by the name of today.
    fn scope_target(&self, scope: &ScopeKey) -> Option<Target> {
        match scope {
            ScopeKey::Repository(id) => {
                self.state.repositories.get(id).map(|r| Target::Repository(r.full_name.clone()))
            }
            ScopeKey::Organization(login) => Some(Target::Organization(login.clone())),
        }
    }

    pub(super) fn credential_minted(&mut self, scope: ScopeKey, answer: Answer<Time>) {
        let now = self.now;
        let state = self.state.credentials.entry(scope.clone()).or_default();
        state.minting = false;
        // One that is too short lived is a failure too, or it would be asked for without end.
        let answer = answer.and_then(|ends| {
            state.ends = Some(ends);
            if ends >= now + state.life {
                return Ok(());
            }
            let reason = format!(
                "the token expires at {ends}, sooner than placement_timeout + boot_timeout from \
                 now; is this machine's clock right?"
            );
            Err(Failure { reason, retry_after: None })
        });
        match answer {
            Ok(()) => {
                state.failed = None;
                self.drive_with_credential(&scope);
                self.claims_of_scope(&scope, None);
            }
            Err(failure) => {
                let tries = state.failed.as_ref().map_or(0, |gate| gate.tries);
                let until = when_to_retry(&failure, tries, now, self.rng);
                let news = state.failed.as_ref().is_none_or(|gate| gate.reason != failure.reason);
                state.failed = Some(Gate {
                    reason: failure.reason.clone(),
                    tries: tries + 1,
                    until,
                    probe: None,
                });
                self.set_timer(until, Timer::Credential(scope.clone()));
                self.claims_of_scope(&scope, Some(&failure));
                if news {
                    let target = self.scope_target(&scope);
                    let name =
                        target.as_ref().map_or_else(|| scope.to_string(), |t| t.name().to_owned());
                    let repository = target.map(|_| name.clone());
                    let what = Happened::CredentialFailed { target: name, reason: failure.reason };
                    self.happened(what, About { repository, ..About::default() });
                }
            }
        }
        self.touch_scope(&scope);
    }

    /// The worker had no credential left that lives long enough: ask for a new one.
    pub(super) fn credential_missing(&mut self, scope: &ScopeKey) {
        if let Some(state) = self.state.credentials.get_mut(scope) {
            state.ends = None;
        }
        self.touch_scope(scope);
    }

    /// What was refused there is asked for again at once.
    pub(super) fn access_changed(&mut self, owner: &str) {
        self.try_scopes_of(|of| of.eq_ignore_ascii_case(owner));
    }

    /// What it did not answer is asked again at once.
    pub(super) fn forge_recovered(&mut self, owners: &[String]) {
        let is_theirs =
            |of: &str| owners.iter().any(|owner| owner == "*" || owner.eq_ignore_ascii_case(of));
        self.try_scopes_of(is_theirs);
        let now = self.now;
        let repositories = &self.state.repositories;
        let held = self.state.run_questions.held.iter_mut().filter(|(id, _)| {
            repositories.get(id).is_some_and(|repository| is_theirs(repository.owner()))
        });
        let mut questions = Vec::new();
        for (id, gate) in held {
            gate.until = gate.until.min(now);
            questions.push(*id);
        }
        questions.into_iter().for_each(|id| self.touch_questions_of(id));
    }

    fn try_scopes_of(&mut self, is_theirs: impl Fn(&str) -> bool) {
        let is_owner = |target: &Target| is_theirs(target.owner());
        let of_runners = self.state.minting.keys().filter_map(|key| key.scope.as_ref());
        let scopes: BTreeSet<ScopeKey> =
            self.state.credentials.keys().chain(of_runners).cloned().collect();
        for scope in scopes {
            if !self.scope_target(&scope).as_ref().is_some_and(is_owner) {
                continue;
            }
            let now = self.now;
            let shared = self.state.credentials.get_mut(&scope).and_then(|it| it.failed.as_mut());
            let of_runners = self.state.minting.iter_mut();
            let of_runners =
                of_runners.filter(|(key, _)| key.scope.as_ref() == Some(&scope)).map(|(_, it)| it);
            for gate in shared.into_iter().chain(of_runners) {
                gate.until = gate.until.min(now);
            }
            self.touch_scope(&scope);
        }
    }

    pub(super) fn touch_scope(&mut self, scope: &ScopeKey) {
        let keys: Vec<ClassKey> =
            self.state.classes.keys().filter(|key| key.scope == *scope).cloned().collect();
        for key in keys {
            self.touch(&key);
        }
    }
}
