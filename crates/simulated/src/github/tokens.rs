//! Access tokens and what they may do; registration and removal tokens and their end.
//!
//! Read next: `rest/access.rs`, where a request's token is judged.

use std::collections::{BTreeMap, BTreeSet};

use super::happenings::What;
use super::model::{GitHub, Millis};
use super::repositories::Visibility;

/// Where a runner registers, and what a hook belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    Repository(u64),
    Organization(u64),
}

/// How far a permission goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Read,
    Write,
}

impl Level {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// A personal access token, or one of an App's installation.
#[derive(Clone, Debug)]
pub struct Token {
    /// The user whose token it is, or the account that has installed the App.
    pub owner: u64,
    /// By the names of the docs' page "Permissions required for fine-grained personal access
    /// tokens", as they stand in `X-Accepted-GitHub-Permissions`.
    pub permissions: BTreeMap<String, Level>,
    /// Of an installation's.
    pub seen: Option<Seen>,
}

/// What only an installation's token has.
#[derive(Clone, Debug)]
pub struct Seen {
    pub installation: u64,
    /// What it is narrowed to.
    pub repositories: Option<BTreeSet<u64>>,
    /// Refused before.
    pub works_from: Millis,
    pub expires_at: Millis,
}

impl Token {
    /// By which it is limited: the user, or the installation (docs, "Rate limits for the REST API").
    #[must_use]
    pub fn counts_for(&self) -> u64 {
        self.seen.as_ref().map_or(self.owner, |seen| seen.installation)
    }
}

/// All that the daemon needs at most.
pub const ALL_PERMISSIONS: &[(&str, Level)] = &[
    ("actions", Level::Write),
    ("administration", Level::Write),
    ("metadata", Level::Read),
    ("organization_actions_policies", Level::Read),
    ("organization_hooks", Level::Write),
    ("organization_self_hosted_runners", Level::Write),
    ("repository_hooks", Level::Write),
];

/// What a minted token lets one do with runners of its scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Register,
    Remove,
}

/// A registration or removal token: for one scope, reusable until its end (GitHub staff in
/// actions/runner#1386).
#[derive(Clone, Debug)]
pub struct RunnerToken {
    pub scope: Scope,
    pub purpose: Purpose,
    pub expires_at: Millis,
}

impl GitHub {
    /// Makes `secret` an access token of the user with these permissions.
    pub fn add_token(&mut self, secret: &str, user: u64, permissions: &[(&str, Level)]) {
        let permissions =
            permissions.iter().map(|(name, level)| ((*name).to_owned(), *level)).collect();
        self.tokens.insert(secret.to_owned(), Token { owner: user, permissions, seen: None });
    }

    /// An access token that may do everything the daemon ever does.
    pub fn add_full_token(&mut self, secret: &str, user: u64) {
        self.add_token(secret, user, ALL_PERMISSIONS);
    }

    /// Makes an access token unknown from now on.
    pub fn revoke_token(&mut self, secret: &str) {
        self.tokens.remove(secret);
    }

    /// Makes every token of an installation unknown from now on.
    pub fn revoke_tokens_of(&mut self, installation: u64) {
        let is_its =
            |token: &Token| token.seen.as_ref().is_some_and(|it| it.installation == installation);
        self.tokens.retain(|_, token| !is_its(token));
    }

    /// Public repositories are seen by all, others by their owner and the organization's members;
    /// what is not seen answers 404, never 403 (docs, "Troubleshooting the REST API").
    pub(super) fn sees(&self, token: &Token, repository: u64) -> bool {
        self.repositories.get(&repository).is_some_and(|repository| {
            repository.visibility == Visibility::Public
                || (self.belongs(token.owner, repository.owner)
                    && self.reaches(token, repository.id))
        })
    }

    /// Whether a token of an installation is for that repository; any other is.
    pub(super) fn reaches(&self, token: &Token, repository: u64) -> bool {
        let Some(seen) = &token.seen else { return true };
        self.installations.get(&seen.installation).is_some_and(|it| self.includes(it, repository))
            && seen.repositories.as_ref().is_none_or(|only| only.contains(&repository))
    }

    /// Mints a token for runners of the scope.
    pub fn mint_runner_token(
        &mut self,
        scope: Scope,
        purpose: Purpose,
        now: Millis,
    ) -> (String, Millis) {
        if self.is_gitea()
            && let Some((secret, token)) = self
                .runner_tokens
                .iter()
                .find(|(_, token)| token.scope == scope && token.purpose == purpose)
        {
            return (secret.clone(), token.expires_at);
        }
        let secret = self.draw_text(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 29);
        // Gitea's has no end, and is the same one each time.
        let expires_at = match self.is_gitea() {
            true => Millis::MAX,
            false => now + self.knobs.token_lifetime,
        };
        self.runner_tokens.retain(|_, token| token.expires_at > now - super::model::DAY);
        self.runner_tokens.insert(secret.clone(), RunnerToken { scope, purpose, expires_at });
        let what = What::TokenMinted { scope: self.scope_name(scope) };
        self.note(now, what);
        (secret, expires_at)
    }

    /// Every token for runners that was minted in the last day.
    #[must_use]
    pub fn minted_runner_tokens(&self) -> Vec<String> {
        self.runner_tokens.keys().cloned().collect()
    }

    /// `owner/name` or the organization's login.
    #[must_use]
    pub fn scope_name(&self, scope: Scope) -> String {
        match scope {
            Scope::Repository(id) => self.full_name(id),
            Scope::Organization(id) => {
                self.accounts.get(&id).map_or_else(|| "?".to_owned(), |found| found.login.clone())
            }
        }
    }

    /// What `config.sh --url` means: one segment is an organization, two a repository.
    pub(super) fn scope_of_url(&self, url: &str) -> Option<Scope> {
        let url = url::Url::parse(url).ok()?;
        let path = url.path().trim_matches('/');
        if path.contains('/') {
            Some(Scope::Repository(self.repository(path)?.id))
        } else {
            let account = self.account(path)?;
            account.is_organization().then_some(Scope::Organization(account.id))
        }
    }
}
