//! GitHub Apps: their keys and webhooks, who has installed them, and the tokens that come of it.
//!
//! Facts from docs.github.com, "About creating GitHub Apps", REST "Apps", "Apps/installations"; that
//! a new token is refused for some seconds at times is known from octokit/auth-app.js#65. Read next:
//! `apps/events.rs`, `rest/apps.rs`.

mod events;
mod jwt;
mod manifest;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

pub use manifest::{Conversion, Pending};

use super::hooks::{Hook, HookSpec};
use super::model::{GitHub, HOUR, Millis};
use super::tokens::{Level, Seen, Token};

/// A registered App.
#[derive(Clone, Debug)]
pub struct App {
    pub id: u64,
    pub client_id: String,
    pub slug: String,
    pub name: String,
    /// The account that owns it. A private one installs there only (docs, "Making a GitHub App
    /// public or private").
    pub owner: u64,
    pub public: bool,
    /// Public halves of its keys, DER; more than one while they are changed.
    pub keys: Vec<Vec<u8>>,
    pub permissions: BTreeMap<String, Level>,
    pub events: Vec<String>,
    /// The id of its webhook among the others.
    pub hook: Option<u64>,
    pub created_at: Millis,
}

/// An App on an account.
#[derive(Clone, Debug)]
pub struct Installation {
    pub id: u64,
    pub app: u64,
    pub account: u64,
    /// `None`: all of the account's.
    pub repositories: Option<BTreeSet<u64>>,
    /// What the account has accepted.
    pub permissions: BTreeMap<String, Level>,
    pub events: Vec<String>,
    pub suspended_at: Option<Millis>,
    pub created_at: Millis,
}

/// An App to be.
#[derive(Clone, Debug)]
pub struct AppSpec {
    pub name: String,
    pub owner: u64,
    pub public: bool,
    /// The public half of its key, DER.
    pub key: Vec<u8>,
    pub permissions: Vec<(String, Level)>,
    pub events: Vec<String>,
    /// Where its webhook leads, and its secret.
    pub hook: Option<(String, Option<String>)>,
}

impl AppSpec {
    /// A private one with the usual key and what runners need.
    #[must_use]
    pub fn new(name: &str, owner: u64) -> Self {
        let permission = |(name, level): &(&str, Level)| ((*name).to_owned(), *level);
        Self {
            name: name.to_owned(),
            owner,
            public: false,
            key: crate::AppKeys::usual().public.clone(),
            permissions: USUAL.iter().map(permission).collect(),
            events: ["workflow_job", "repository"].map(str::to_owned).to_vec(),
            hook: None,
        }
    }

    /// Its webhook leads there.
    #[must_use]
    pub fn hook(self, url: impl Into<String>, secret: impl Into<String>) -> Self {
        Self { hook: Some((url.into(), Some(secret.into()))), ..self }
    }
}

/// What an App for runners asks for.
const USUAL: &[(&str, Level)] = &[
    ("actions", Level::Write),
    ("administration", Level::Write),
    ("metadata", Level::Read),
    ("organization_self_hosted_runners", Level::Write),
];

/// Why there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoToken {
    NoInstallation,
    Suspended,
    Permissions,
    Repositories,
}

/// What a token is asked for.
#[derive(Clone, Debug, Default)]
pub struct Narrowing {
    /// `None`: all that was accepted.
    pub permissions: Option<BTreeMap<String, Level>>,
    pub repositories: Option<BTreeSet<u64>>,
}

impl GitHub {
    /// Registers an App.
    pub fn add_app(&mut self, spec: AppSpec, now: Millis) -> u64 {
        let id = self.new_id(2_000_000);
        let client_id =
            format!("Iv23li{}", self.draw_text(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef0123456789", 14));
        let slug = spec.name.to_ascii_lowercase().replace(' ', "-");
        let mut app = App {
            id,
            client_id,
            slug,
            name: spec.name,
            owner: spec.owner,
            public: spec.public,
            keys: vec![spec.key],
            permissions: spec.permissions.into_iter().collect(),
            events: spec.events.clone(),
            hook: None,
            created_at: now,
        };
        app.hook = spec.hook.map(|(url, secret)| {
            let spec = HookSpec { secret, events: spec.events, ..HookSpec::new(url, "") };
            self.add_app_hook(id, spec, now)
        });
        self.apps.insert(id, app);
        id
    }

    /// Its webhook leads there from now on.
    pub fn lead_app_hook(&mut self, app: u64, url: &str, secret: &str, now: Millis) {
        let Some(found) = self.apps.get(&app).cloned() else { return };
        let spec = HookSpec { events: found.events, ..HookSpec::new(url, secret) };
        let hook = self.add_app_hook(app, spec, now);
        if let Some(app) = self.apps.get_mut(&app) {
            app.hook = Some(hook);
        }
    }

    /// The App, to change it.
    pub fn app_mut(&mut self, id: u64) -> Option<&mut App> {
        self.apps.get_mut(&id)
    }

    #[must_use]
    pub fn app(&self, id: u64) -> Option<&App> {
        self.apps.get(&id)
    }

    /// The installation of the App on that account.
    #[must_use]
    pub fn installation_on(&self, app: u64, account: u64) -> Option<&Installation> {
        self.installations.values().find(|one| one.app == app && one.account == account)
    }

    /// Installs the App on an account, for these repositories or all; its owners accept all it asks
    /// for.
    ///
    /// # Panics
    /// Where it is private and the account is not its owner's, or there is no such App.
    pub fn install(&mut self, app: u64, account: u64, only: Option<&[u64]>, now: Millis) -> u64 {
        let Some(App { permissions, events, public, owner, .. }) = self.apps.get(&app).cloned()
        else {
            panic!("no App {app}")
        };
        assert!(public || owner == account, "a private App installs on its owner's account only");
        let id = self.new_id(60_000_000);
        let installation = Installation {
            id,
            app,
            account,
            repositories: only.map(|only| only.iter().copied().collect()),
            permissions,
            events,
            suspended_at: None,
            created_at: now,
        };
        self.installations.insert(id, installation);
        self.emit_installation(id, "created", now);
        id
    }

    /// Takes it away again, and its tokens with it.
    pub fn uninstall(&mut self, installation: u64, now: Millis) {
        self.emit_installation(installation, "deleted", now);
        self.installations.remove(&installation);
        self.tokens.retain(|_, token| {
            token.seen.as_ref().is_none_or(|seen| seen.installation != installation)
        });
    }

    /// A suspended one gets no webhooks, and its tokens are refused.
    pub fn suspend(&mut self, installation: u64, suspended: bool, now: Millis) {
        let Some(found) = self.installations.get_mut(&installation) else { return };
        found.suspended_at = None;
        let action = if suspended { "suspend" } else { "unsuspend" };
        self.emit_installation(installation, action, now);
        if let Some(found) = self.installations.get_mut(&installation) {
            found.suspended_at = suspended.then_some(now);
        }
    }

    /// The account accepts what the App asks for by now.
    pub fn accept_permissions(&mut self, installation: u64, now: Millis) {
        let Some(found) = self.installations.get_mut(&installation) else { return };
        if let Some(app) = self.apps.get(&found.app) {
            found.permissions.clone_from(&app.permissions);
            found.events.clone_from(&app.events);
        }
        self.emit_installation(installation, "new_permissions_accepted", now);
    }

    /// Which repositories it may see, from now on.
    pub fn select_repositories(&mut self, installation: u64, only: Option<&[u64]>, now: Millis) {
        let Some(found) = self.installations.get_mut(&installation) else { return };
        let before = found.repositories.clone();
        found.repositories = only.map(|only| only.iter().copied().collect());
        self.emit_selection(installation, before.as_ref(), now);
    }

    /// Mints a token of an installation.
    ///
    /// # Errors
    /// Why there is none.
    pub fn mint_installation_token(
        &mut self,
        app: u64,
        installation: u64,
        narrowing: &Narrowing,
        now: Millis,
    ) -> Result<(String, Millis, Token), NoToken> {
        let found = self.installations.get(&installation).filter(|one| one.app == app);
        let found = found.ok_or(NoToken::NoInstallation)?.clone();
        if found.suspended_at.is_some() {
            return Err(NoToken::Suspended);
        }
        let asked = narrowing.permissions.as_ref().unwrap_or(&found.permissions);
        let mut permissions = BTreeMap::new();
        for (name, level) in asked {
            if found.permissions.get(name).is_none_or(|granted| granted < level) {
                return Err(NoToken::Permissions);
            }
            permissions.insert(name.clone(), *level);
        }
        // Comes with any other.
        permissions.entry("metadata".to_owned()).or_insert(Level::Read);
        if let Some(repositories) = &narrowing.repositories
            && !repositories.iter().all(|one| self.includes(&found, *one))
        {
            return Err(NoToken::Repositories);
        }
        let expires_at = now + HOUR;
        let seen = Seen {
            installation,
            repositories: narrowing.repositories.clone(),
            works_from: now + self.knobs.token_lag,
            expires_at,
        };
        let token = Token { owner: found.account, permissions, seen: Some(seen) };
        // The format since 2026-04: longer, and with two dots.
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
        let (head, body, tail) = (
            self.draw_text(alphabet, 36),
            self.draw_text(alphabet, 380),
            self.draw_text(alphabet, 86),
        );
        let secret = format!("ghs_{app}_{head}.{body}.{tail}");
        self.tokens.retain(|_, token| token.seen.as_ref().is_none_or(|seen| seen.expires_at > now));
        self.tokens.insert(secret.clone(), token.clone());
        Ok((secret, expires_at, token))
    }

    /// Whether an installation may see a repository.
    pub(super) fn includes(&self, installation: &Installation, repository: u64) -> bool {
        self.repositories.get(&repository).is_some_and(|found| {
            found.owner == installation.account
                && installation.repositories.as_ref().is_none_or(|only| only.contains(&repository))
        })
    }

    /// The Apps' webhooks that want to know of something in that repository, each with the
    /// installation that makes it theirs.
    pub(super) fn app_subscribers(&self, repository: u64, event: &str) -> Vec<(Hook, u64)> {
        let installed = self.installations.values().filter(|one| {
            one.suspended_at.is_none()
                && one.events.iter().any(|name| name == event)
                && self.includes(one, repository)
        });
        let hook = |one: &Installation| {
            let hook = self.hooks.get(&self.apps.get(&one.app)?.hook?)?;
            hook.spec.active.then(|| (hook.clone(), one.id))
        };
        installed.filter_map(hook).collect()
    }
}
