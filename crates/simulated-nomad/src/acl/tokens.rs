//! Tokens: what is asked for, whether it may be, and what is kept.
//!
//! Lengths of time are nanoseconds as in Nomad, moments are milliseconds as in the model.
//! Read next: `tables.rs` (where they are kept), `callers.rs` (who asks with one).

use crate::durations::{self, MILLI};
use crate::model::Millis;
use crate::namespaces::all_errors;

/// What is asked to be made or changed.
#[derive(Clone, Debug, Default)]
pub struct TokenRequest {
    /// Empty: a new one.
    pub accessor: String,
    pub name: String,
    /// `client` or `management`.
    pub kind: String,
    pub policies: Vec<String>,
    pub global: bool,
    /// Nanoseconds; 0: it does not expire.
    pub ttl: i64,
    pub expires: Option<Millis>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    Client,
    Management,
}

impl TokenKind {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Management => "management",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Token {
    pub accessor: String,
    pub secret: String,
    pub name: String,
    pub kind: TokenKind,
    pub policies: Vec<String>,
    pub global: bool,
    pub created: Millis,
    /// Nanoseconds; 0: none was given.
    pub ttl: i64,
    pub expires: Option<Millis>,
    pub create_index: u64,
    pub modify_index: u64,
}

impl Token {
    #[must_use]
    pub fn expired(&self, now: Millis) -> bool {
        self.expires.is_some_and(|at| at < now)
    }
}

/// How long tokens with an end may live, in nanoseconds, as it was set; 0: Nomad's default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lifetimes {
    pub least: i64,
    pub most: i64,
}

impl Lifetimes {
    /// nomad/config.go: a minute.
    fn least(self) -> i64 {
        if self.least == 0 { 60 * durations::SECOND } else { self.least }
    }

    /// A day.
    fn most(self) -> i64 {
        if self.most == 0 { 24 * 3_600 * durations::SECOND } else { self.most }
    }
}

const LONGEST_NAME: usize = 256;

impl TokenRequest {
    /// When it expires, if it is made now.
    pub(super) fn end(&self, now: Millis) -> Option<Millis> {
        self.expires.or_else(|| (self.ttl != 0).then(|| now + self.ttl / MILLI))
    }

    /// # Errors
    /// All that is wrong, in Nomad's words.
    pub(super) fn check(
        &self,
        lifetimes: Lifetimes,
        existing: Option<&Token>,
        now: Millis,
    ) -> Result<TokenKind, String> {
        let mut wrong = Vec::new();
        if self.name.len() > LONGEST_NAME {
            wrong.push("token name too long".to_owned());
        }
        let kind = match (self.kind.as_str(), self.policies.is_empty()) {
            ("client", false) => Some(TokenKind::Client),
            ("management", true) => Some(TokenKind::Management),
            ("client", true) => {
                wrong.push("client token missing policies or roles".to_owned());
                None
            }
            ("management", false) => {
                let text = "management token cannot be associated with policies or roles";
                wrong.push(text.to_owned());
                None
            }
            _ => {
                wrong.push("token type must be client or management".to_owned());
                None
            }
        };
        match existing {
            None => self.check_end(lifetimes, now, &mut wrong),
            Some(existing) => {
                if existing.global != self.global {
                    wrong.push("cannot toggle global mode".to_owned());
                }
                if existing.ttl != self.ttl {
                    wrong.push("cannot update expiration TTL".to_owned());
                }
                if self.expires.is_some() && existing.expires != self.expires {
                    wrong.push("cannot update expiration time".to_owned());
                }
            }
        }
        kind.filter(|_| wrong.is_empty()).ok_or_else(|| all_errors(&wrong))
    }

    fn check_end(&self, lifetimes: Lifetimes, now: Millis, wrong: &mut Vec<String>) {
        if self.ttl < 0 {
            let ttl = durations::go_text(self.ttl);
            wrong.push(format!("token expiration TTL '{ttl}' should not be negative"));
        }
        let Some(end) = self.end(now) else { return };
        if end < now {
            wrong.push("expiration time cannot be before create time".to_owned());
        }
        let left = if self.expires.is_none() { self.ttl } else { (end - now) * MILLI };
        let shown = durations::go_text(left);
        if left > lifetimes.most() {
            let most = durations::go_text(lifetimes.most());
            wrong.push(format!(
                "expiration time cannot be more than {most} in the future (was {shown})"
            ));
        } else if left < lifetimes.least() {
            let least = durations::go_text(lifetimes.least());
            wrong.push(format!(
                "expiration time cannot be less than {least} in the future (was {shown})"
            ));
        }
    }
}
