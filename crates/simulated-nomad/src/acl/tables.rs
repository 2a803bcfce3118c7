//! What is kept of access control, and how it changes: the first token, policies, tokens.
//!
//! Whether somebody may change it is decided before (`answers/acl.rs`). Nothing here expires by
//! itself: an expired token stays, as Nomad's do for an hour, and is refused (`caller`).
//! Rules: nomad/acl_endpoint.go, [V].

use std::collections::BTreeMap;

use super::callers::{BadToken, Caller};
use super::grants::Grants;
use super::policies::{Claim, Policy, PolicyRequest};
use super::tokens::{Lifetimes, Token, TokenKind, TokenRequest};
use crate::model::{Millis, Nomad};
use crate::tables::Table;

/// The state of access control.
#[derive(Clone, Debug, Default)]
pub struct Acl {
    pub enabled: bool,
    pub lifetimes: Lifetimes,
    policies: BTreeMap<String, Policy>,
    /// By accessor.
    tokens: BTreeMap<String, Token>,
    bootstrapped: Option<u64>,
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Wrong, for these reasons.
    Invalid(String),
    Absent(String),
}

/// What a token without a secret is called by policies.
const ANONYMOUS: &str = "anonymous";

impl Acl {
    #[must_use]
    pub fn policy(&self, name: &str) -> Option<&Policy> {
        self.policies.get(name)
    }

    pub fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.policies.values()
    }

    /// By its accessor.
    #[must_use]
    pub fn token(&self, accessor: &str) -> Option<&Token> {
        self.tokens.get(accessor)
    }

    pub fn tokens(&self) -> impl Iterator<Item = &Token> {
        self.tokens.values()
    }

    #[must_use]
    pub fn token_with(&self, secret: &str) -> Option<&Token> {
        self.tokens.values().find(|token| token.secret == secret)
    }

    /// Whose secret it is; an empty one is nobody's. What has not the form of a secret is a
    /// workload's identity, which `prove` looks into.
    ///
    /// # Errors
    /// It is no good (any more).
    pub fn caller(
        &self,
        secret: &str,
        now: Millis,
        prove: impl FnOnce(&str) -> Result<Claim, String>,
    ) -> Result<Caller, BadToken> {
        if !self.enabled {
            return Ok(Caller::Anyone);
        }
        if secret.is_empty() {
            return Ok(Caller::Anonymous { grants: self.grants(&[ANONYMOUS.to_owned()]) });
        }
        let Some(secret) = uuid(secret) else {
            return prove(secret).map(|claim| self.workload(claim)).map_err(BadToken::Signed);
        };
        let token = self.token_with(&secret).ok_or(BadToken::Unknown)?;
        if token.expired(now) {
            return Err(BadToken::Expired);
        }
        let accessor = token.accessor.clone();
        Ok(match token.kind {
            TokenKind::Management => Caller::Management { accessor },
            TokenKind::Client => Caller::Client { accessor, grants: self.grants(&token.policies) },
        })
    }

    /// A workload whose identity was found good.
    #[must_use]
    pub fn workload(&self, claim: Claim) -> Caller {
        let attached = self.policies.values().filter(|policy| {
            policy.attached.as_ref().is_some_and(|attached| attached.covers(&claim))
        });
        let grants = Grants::of(attached.map(|policy| &policy.rules));
        Caller::Workload { claim, grants }
    }

    /// Policies that are not there give nothing.
    fn grants(&self, policies: &[String]) -> Grants {
        let there = policies.iter().filter_map(|name| self.policies.get(name));
        Grants::of(there.map(|policy| &policy.rules))
    }
}

impl Nomad {
    #[must_use]
    pub fn acl(&self) -> &Acl {
        &self.acl
    }

    pub fn acl_settings(&mut self, enabled: bool, lifetimes: Lifetimes) {
        self.acl.enabled = enabled;
        self.acl.lifetimes = lifetimes;
    }

    /// The first token, which may everything.
    ///
    /// # Errors
    /// It was made already, or the secret is none.
    pub fn acl_bootstrap(&mut self, secret: Option<&str>, now: Millis) -> Result<Token, Refusal> {
        if let Some(index) = self.acl.bootstrapped {
            return Err(Refusal::Invalid(format!(
                "ACL bootstrap already done (reset index: {index})"
            )));
        }
        let secret = match secret.filter(|secret| !secret.is_empty()) {
            None => None,
            Some(secret) => {
                Some(uuid(secret).ok_or_else(|| Refusal::Invalid("invalid acl token".to_owned()))?)
            }
        };
        let request = TokenRequest {
            name: "Bootstrap Token".to_owned(),
            global: true,
            ..TokenRequest::default()
        };
        let token = self.keep_token(None, request, TokenKind::Management, secret, now);
        self.acl.bootstrapped = Some(token.create_index);
        Ok(token)
    }

    /// Makes it, or changes the one of that accessor.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn acl_put_token(&mut self, asked: TokenRequest, now: Millis) -> Result<Token, Refusal> {
        let existing = match asked.accessor.as_str() {
            "" => None,
            accessor => match self.acl.tokens.get(accessor) {
                Some(token) => Some(token.clone()),
                None => {
                    let text = format!("token 0 invalid: cannot find token {accessor}");
                    return Err(Refusal::Invalid(text));
                }
            },
        };
        let kind = asked
            .check(self.acl.lifetimes, existing.as_ref(), now)
            .map_err(|why| Refusal::Invalid(format!("token 0 invalid: {why}")))?;
        Ok(self.keep_token(existing, asked, kind, None, now))
    }

    fn keep_token(
        &mut self,
        existing: Option<Token>,
        asked: TokenRequest,
        kind: TokenKind,
        secret: Option<String>,
        now: Millis,
    ) -> Token {
        let index = self.write(Table::Tokens);
        let expires = asked.end(now);
        let token = match existing {
            Some(existing) => Token {
                name: asked.name,
                kind,
                policies: asked.policies,
                modify_index: index,
                ..existing
            },
            None => Token {
                accessor: self.draw_id(),
                secret: secret.unwrap_or_else(|| self.draw_id()),
                name: asked.name,
                kind,
                policies: asked.policies,
                global: asked.global,
                created: now,
                ttl: asked.ttl,
                expires,
                create_index: index,
                modify_index: index,
            },
        };
        self.acl.tokens.insert(token.accessor.clone(), token.clone());
        token
    }

    /// # Errors
    /// There is none.
    pub fn acl_delete_token(&mut self, accessor: &str) -> Result<u64, Refusal> {
        if self.acl.tokens.remove(accessor).is_none() {
            let text = format!("Cannot delete nonexistent tokens: {accessor}");
            return Err(Refusal::Invalid(text));
        }
        let index = self.write(Table::Tokens);
        Ok(index)
    }

    /// # Errors
    /// All that is wrong with it.
    pub fn acl_put_policy(&mut self, asked: PolicyRequest) -> Result<u64, Refusal> {
        let rules =
            asked.check().map_err(|why| Refusal::Invalid(format!("policy 0 invalid: {why}")))?;
        let index = self.write(Table::Policies);
        let known = self.acl.policies.get(&asked.name);
        let policy = Policy {
            create_index: known.map_or(index, |known| known.create_index),
            modify_index: index,
            name: asked.name,
            description: asked.description,
            rules,
            attached: asked.attached,
        };
        self.acl.policies.insert(policy.name.clone(), policy);
        Ok(index)
    }

    /// # Errors
    /// There is none.
    pub fn acl_delete_policy(&mut self, name: &str) -> Result<u64, Refusal> {
        if self.acl.policies.remove(name).is_none() {
            return Err(Refusal::Absent("ACL policy not found".to_owned()));
        }
        let index = self.write(Table::Policies);
        Ok(index)
    }
}

/// In lower case; None: it has not the form of one.
fn uuid(text: &str) -> Option<String> {
    let dash = |at: usize| matches!(at, 8 | 13 | 18 | 23);
    let so = text.len() == 36
        && text
            .bytes()
            .enumerate()
            .all(|(at, byte)| if dash(at) { byte == b'-' } else { byte.is_ascii_hexdigit() });
    so.then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::acl::Capability;
    use crate::acl::policies::Attached;

    fn nomad() -> Nomad {
        let mut nomad = Nomad::new(StdRng::seed_from_u64(1));
        nomad.acl_settings(true, Lifetimes::default());
        nomad
    }

    fn caller(nomad: &Nomad, secret: &str, now: Millis) -> Result<Caller, BadToken> {
        nomad.acl().caller(secret, now, |_| Err("not signed".to_owned()))
    }

    fn policy(nomad: &mut Nomad, name: &str, capability: &str) {
        let rules = format!("namespace \"ci\" {{ capabilities = [{capability:?}] }}");
        let asked = PolicyRequest { name: name.into(), rules, ..PolicyRequest::default() };
        nomad.acl_put_policy(asked).unwrap();
    }

    #[test]
    fn rights_follow_the_policies_of_a_token() {
        let mut nomad = nomad();
        policy(&mut nomad, "reads", "read-job");
        let asked = TokenRequest {
            kind: "client".into(),
            policies: vec!["reads".into(), "absent".into()],
            ..TokenRequest::default()
        };
        let token = nomad.acl_put_token(asked, 0).unwrap();
        let may = |nomad: &Nomad, capability| {
            caller(nomad, &token.secret, 0).unwrap().may("ci", &[capability])
        };
        assert!(may(&nomad, Capability::ReadJob));
        policy(&mut nomad, "reads", "list-jobs");
        assert!(!may(&nomad, Capability::ReadJob));
        assert!(may(&nomad, Capability::ListJobs));
        nomad.acl_delete_policy("reads").unwrap();
        assert!(!may(&nomad, Capability::ListJobs));
        nomad.acl_delete_token(&token.accessor).unwrap();
        assert_eq!(caller(&nomad, &token.secret, 0).unwrap_err(), BadToken::Unknown);
    }

    #[test]
    fn without_a_token_the_policy_anonymous_counts() {
        let mut nomad = nomad();
        let may = |nomad: &Nomad| caller(nomad, "", 0).unwrap().may("ci", &[Capability::ListJobs]);
        assert!(!may(&nomad));
        policy(&mut nomad, "anonymous", "list-jobs");
        assert!(may(&nomad));
    }

    #[test]
    fn the_first_token_is_made_once_and_may_everything() {
        let mut nomad = nomad();
        let secret = "0a1b2c3d-0000-4000-8000-00000000000F";
        let token = nomad.acl_bootstrap(Some(secret), 0).unwrap();
        assert!(caller(&nomad, secret, 0).unwrap().is_management());
        let again = Refusal::Invalid(format!(
            "ACL bootstrap already done (reset index: {})",
            token.create_index
        ));
        assert_eq!(nomad.acl_bootstrap(None, 0).unwrap_err(), again);
    }

    #[test]
    fn tokens_expire_and_their_lifetime_is_limited() {
        let mut nomad = nomad();
        let asked = |ttl: i64| TokenRequest {
            kind: "client".into(),
            policies: vec!["p".into()],
            ttl: ttl * crate::durations::SECOND,
            ..TokenRequest::default()
        };
        let token = nomad.acl_put_token(asked(60), 1_000).unwrap();
        assert!(caller(&nomad, &token.secret, 61_000).is_ok());
        assert_eq!(caller(&nomad, &token.secret, 61_001).unwrap_err(), BadToken::Expired);
        for ttl in [59, 24 * 3_600 + 1] {
            assert!(nomad.acl_put_token(asked(ttl), 0).is_err(), "{ttl}");
        }
    }

    #[test]
    fn a_workload_has_the_policies_that_are_attached_to_its_job() {
        let mut nomad = nomad();
        let rules = "namespace \"ci\" { capabilities = [\"dispatch-job\"] }".to_owned();
        let attached =
            Attached { namespace: "ops".into(), job: "daemon".into(), ..Attached::default() };
        let asked = PolicyRequest {
            name: "daemon".into(),
            rules,
            attached: Some(attached),
            ..PolicyRequest::default()
        };
        nomad.acl_put_policy(asked).unwrap();
        let claim = |job: &str| Claim {
            namespace: "ops".into(),
            job: job.into(),
            group: "g".into(),
            task: "t".into(),
        };
        let may = |job| nomad.acl().workload(claim(job)).may("ci", &[Capability::DispatchJob]);
        assert!(may("daemon"));
        assert!(!may("other"));
    }
}
