//! What an organization's hooks or an App's webhook failed to deliver. Repository hooks have no log
//! that a token for runners may read.

use std::collections::BTreeMap;

use super::asks::Asks;
use super::{GitHub, bare};
use crate::forge::{Error, Log, Missed};
use crate::github::{self, Client, Conditional, Hook, LogOf, Pages, Purpose};

/// Pages of a hundred that are read back to what is known, at most: days of a busy owner.
const PAGES: usize = 1_000;
/// And where nothing is known, for what is older is found by the sweep.
const FIRST_PAGES: usize = 20;
/// Payloads that are fetched in one go, the newest first; each is a request.
const PAYLOADS: usize = 500;

/// What was seen the last time, so that asking again costs nothing while nothing is new.
#[derive(Default)]
pub struct LogMemory {
    hooks: Pages<Hook>,
    /// The tag of each log.
    logs: BTreeMap<Log, Option<String>>,
}

impl LogMemory {
    pub fn seen(&mut self, log: Log, tag: Option<String>) {
        self.logs.insert(log, tag);
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
        // An App may not see an organization's hooks, and needs none.
        if let Asks::As(_) = &self.asks {
            return Ok(Vec::new());
        }
        let client = self.in_background(login);
        let answer = client.organization_hooks_again(login, &mut memory.hooks).await;
        answer.map_err(|error| bare(&error))?;
        let ours = memory.hooks.items().filter(|hook| {
            let leads_to_us = url::Url::parse(&hook.url).is_ok_and(|url| url.path() == path);
            hook.active && hook.tells_of_jobs() && leads_to_us
        });
        Ok(ours.map(|hook| Log::Hook { organization: login.to_owned(), id: hook.id }).collect())
    }

    /// The App's own.
    pub fn own_log(&self) -> Option<Log> {
        match &self.asks {
            Asks::As(app) => Some(Log::App { issuer: app.issuer().to_owned() }),
            Asks::By(_) => None,
        }
    }

    pub async fn missed(
        &self,
        log: &Log,
        after: Option<u64>,
        memory: &LogMemory,
    ) -> Result<Option<Missed>, Error> {
        let tag = memory.logs.get(log).and_then(Option::as_deref);
        let (client, of) = self.reading_log(log);
        let pages = if after.is_some() { PAGES } else { FIRST_PAGES };
        let new = client.deliveries_after(&of, after, tag, pages).await;
        let (new, tag) = match new.map_err(|error| bare(&error))? {
            Conditional::Unchanged => return Ok(None),
            Conditional::Fresh { value, etag } => (value, etag),
        };
        let newest = new.deliveries.iter().map(|delivery| delivery.id).max();
        let failed = new.failed().filter(|one| one.event == "workflow_job");
        let (mut payloads, mut cut) = (Vec::new(), new.cut && after.is_some());
        for (count, missed) in failed.enumerate() {
            if count >= PAYLOADS {
                cut = true;
                break;
            }
            match client.delivered_payload(&of, missed.id).await {
                Ok(Some(payload)) => {
                    payloads.push((missed.guid.clone(), payload.to_string().into_bytes()));
                }
                // Too old by now.
                Ok(None) | Err(github::Error::NotFound { .. }) => {}
                Err(error) => return Err(bare(&error)),
            }
        }
        Ok(Some(Missed { newest, payloads, cut, tag }))
    }

    fn reading_log(&self, log: &Log) -> (Client, LogOf) {
        match (log, &self.asks) {
            (Log::Hook { organization, id }, _) => {
                (self.in_background(organization), LogOf::organization(organization, *id))
            }
            (Log::App { issuer }, Asks::As(app)) => {
                let purpose = Purpose::Background(issuer.as_str().into());
                (app.own().with_purpose(purpose), LogOf::App)
            }
            // Asked of an App only.
            (Log::App { issuer }, Asks::By(_)) => (self.in_background(issuer), LogOf::App),
        }
    }
}
