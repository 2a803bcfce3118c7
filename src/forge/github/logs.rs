//! What an organization's hooks failed to deliver. Repository hooks have no log that a token for
//! runners may read.

use std::collections::BTreeMap;

use super::{GitHub, bare};
use crate::forge::{Error, Log, Missed};
use crate::github::{self, Conditional, Hook, Pages};

/// What was seen the last time, so that asking again costs nothing while nothing is new.
#[derive(Default)]
pub struct LogMemory {
    hooks: Pages<Hook>,
    /// By hook: the tag of its log.
    logs: BTreeMap<u64, Option<String>>,
}

impl LogMemory {
    pub fn seen(&mut self, log: Log, tag: Option<String>) {
        self.logs.insert(log.hook, tag);
    }
}

impl GitHub {
    /// Another daemon's hook may send to a door at that path too: then its failed ones are folded
    /// here as well, which changes nothing that the sweep would not.
    pub async fn logs(
        &self,
        login: &str,
        path: &str,
        memory: &mut LogMemory,
    ) -> Result<Vec<Log>, Error> {
        let client = self.in_background(login);
        let answer = client.organization_hooks_again(login, &mut memory.hooks).await;
        answer.map_err(|error| bare(&error))?;
        let ours = memory.hooks.items().filter(|hook| {
            let leads_to_us = url::Url::parse(&hook.url).is_ok_and(|url| url.path() == path);
            hook.active && hook.tells_of_jobs() && leads_to_us
        });
        Ok(ours.map(|hook| Log { hook: hook.id }).collect())
    }

    pub async fn missed(
        &self,
        login: &str,
        log: Log,
        after: Option<u64>,
        memory: &LogMemory,
    ) -> Result<Option<Missed>, Error> {
        let tag = memory.logs.get(&log.hook).and_then(Option::as_deref);
        let new = self.in_background(login).deliveries_after(login, log.hook, after, tag).await;
        let (new, tag) = match new.map_err(|error| bare(&error))? {
            Conditional::Unchanged => return Ok(None),
            Conditional::Fresh { value, etag } => (value, etag),
        };
        let newest = new.iter().map(|delivery| delivery.id).max();
        let mut payloads = Vec::new();
        for missed in new.into_iter().filter(|d| d.failed() && d.event == "workflow_job") {
            match self.in_background(login).delivered_payload(login, log.hook, missed.id).await {
                Ok(Some(payload)) => payloads.push((missed.guid, payload.to_string().into_bytes())),
                // Too old by now.
                Ok(None) | Err(github::Error::NotFound { .. }) => {}
                Err(error) => return Err(bare(&error)),
            }
        }
        Ok(Some(Missed { newest, payloads, tag }))
    }
}
