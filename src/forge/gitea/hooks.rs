//! Webhooks of repositories and organizations at a Gitea.

use super::{Gitea, about, owner};
use crate::forge::Error;
use crate::forge::hooks::{EVENTS, Hook, WantedHook, Whole};
use crate::gitea;
use crate::ledger::effect::Target;

impl Gitea {
    pub async fn hooks(&self, of: &Target) -> Result<Vec<Hook>, Error> {
        let found = self.client.hooks(owner(of)).await;
        let found = found.map_err(|error| about_hooks(&error, of))?;
        // Those in the form of a Slack, say, are for somebody else.
        Ok(found.into_iter().filter(|hook| hook.kind == "gitea").map(hook).collect())
    }

    pub async fn create_hook(&self, of: &Target, wanted: &WantedHook) -> Result<u64, Error> {
        let WantedHook { url, secret } = wanted;
        let made = self.client.create_hook(owner(of), url, secret, &EVENTS).await;
        made.map(|hook| hook.id).map_err(|error| about_hooks(&error, of))
    }

    pub async fn update_hook(&self, of: &Target, hook: &Hook) -> Result<(), Error> {
        let Whole::Gitea(whole) = &hook.whole else { return Ok(()) };
        let done = self.client.update_hook(owner(of), whole, &EVENTS).await;
        done.map_err(|error| about_hooks(&error, of))
    }

    pub async fn delete_hook(&self, of: &Target, id: u64) -> Result<(), Error> {
        let done = self.client.delete_hook(owner(of), id).await;
        done.map_err(|error| about_hooks(&error, of))
    }
}

fn hook(hook: gitea::Hook) -> Hook {
    Hook {
        id: hook.id,
        url: hook.url.clone(),
        events: hook.events.clone(),
        active: hook.active,
        content_type: hook.content_type.clone(),
        whole: Whole::Gitea(hook),
    }
}

fn about_hooks(error: &gitea::Error, of: &Target) -> Error {
    let scope = match of {
        Target::Repository(_) => "write:repository (its user must own the repository)",
        Target::Organization(_) => "write:organization (its user must own the organization)",
    };
    about(error, scope, of.name())
}
