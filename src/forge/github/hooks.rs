//! Webhooks of repositories and organizations at GitHub.

use super::{GitHub, about, runners_of};
use crate::forge::Error;
use crate::forge::hooks::{EVENTS, Hook, WantedHook, Whole};
use crate::github::{self, HookSettings, Operation};
use crate::ledger::effect::Target;

impl GitHub {
    pub async fn hooks(&self, of: &Target) -> Result<Vec<Hook>, Error> {
        let found = match of {
            Target::Repository(name) => self.asks.reading(name).hooks(name).await,
            Target::Organization(login) => self.asks.reading(login).organization_hooks(login).await,
        };
        let found = found.map_err(|error| about_hooks(&error, of))?;
        Ok(found.into_iter().map(hook).collect())
    }

    pub async fn create_hook(&self, of: &Target, wanted: &WantedHook) -> Result<u64, Error> {
        let settings = settings(wanted, "0");
        let made = self.asks.reading(of.name()).create_hook(runners_of(of), &settings).await;
        made.map(|hook| hook.id).map_err(|error| about_hooks(&error, of))
    }

    pub async fn update_hook(
        &self,
        of: &Target,
        hook: &Hook,
        wanted: &WantedHook,
    ) -> Result<(), Error> {
        let insecure_ssl = match &hook.whole {
            Whole::GitHub(hook) => hook.insecure_ssl.as_deref(),
            Whole::Gitea(_) => None,
        };
        let settings = settings(wanted, insecure_ssl.unwrap_or("0"));
        let done =
            self.asks.reading(of.name()).update_hook(runners_of(of), hook.id, &settings).await;
        done.map(drop).map_err(|error| about_hooks(&error, of))
    }

    pub async fn delete_hook(&self, of: &Target, id: u64) -> Result<(), Error> {
        let done = self.asks.reading(of.name()).delete_hook(runners_of(of), id).await;
        done.map_err(|error| about_hooks(&error, of))
    }
}

fn settings<'a>(wanted: &'a WantedHook, insecure_ssl: &'a str) -> HookSettings<'a> {
    let WantedHook { url, secret } = wanted;
    HookSettings { url, secret, events: &EVENTS, insecure_ssl }
}

fn hook(hook: github::Hook) -> Hook {
    Hook {
        id: hook.id,
        url: hook.url.clone(),
        events: hook.events.clone(),
        active: hook.active,
        content_type: hook.content_type.clone(),
        whole: Whole::GitHub(hook),
    }
}

/// What reads them need not change them, and whoever reads them here means to.
fn about_hooks(error: &github::Error, of: &Target) -> Error {
    about(error, Operation::ChangeHooks(runners_of(of)), of.name())
}
