//! Fetches what an organization's hook failed to deliver to us, and puts it into the inbox:
//! nobody has to press "redeliver". Repository hooks have no log that a token for runners may
//! read; their jobs are found by the sweep.

use std::collections::{BTreeMap, BTreeSet};

use tracing::{debug, info, warn};

use super::{Reconciler, refuses};
use crate::github::{Client, Conditional, Error, Hook};
use crate::ledger::{DeliveryId, Time};
use crate::store::{Delivery, Kept};
use crate::webhook::read_workflow_job;

/// What was seen the last time, so that asking again costs nothing while nothing is new.
#[derive(Default)]
pub struct Memory {
    /// By organization: the tag, and its hooks.
    hooks: BTreeMap<String, (Option<String>, Vec<Hook>)>,
    /// By hook: the tag of its log.
    logs: BTreeMap<u64, Option<String>>,
}

impl Reconciler {
    pub(super) async fn fetch_failed_deliveries(
        &self,
        organizations: &BTreeSet<String>,
        memory: &mut Memory,
    ) {
        for login in organizations {
            let Ok(client) = self.forges.client(login) else { continue };
            let etag = memory.hooks.get(login).and_then(|(etag, _)| etag.clone());
            match client.organization_hooks_if_changed(login, etag.as_deref()).await {
                Ok(Conditional::Unchanged) => {}
                Ok(Conditional::Fresh { value, etag }) => {
                    memory.hooks.insert(login.clone(), (etag, value));
                }
                // Most tokens for runners may not read hooks; then the sweep has to do.
                Err(error) => {
                    debug!(organization = login, %error, "hooks not readable");
                    continue;
                }
            }
            let hooks = memory.hooks.get(login).into_iter().flat_map(|(_, hooks)| hooks);
            for hook in hooks.filter(|hook| self.is_ours(hook)) {
                let log = memory.logs.entry(hook.id).or_default();
                match self.fetch(client, login, hook, log.as_deref()).await {
                    Ok(Some(etag)) => *log = etag,
                    Ok(None) => {}
                    Err(error) if refuses(&error) => {}
                    Err(error) => {
                        warn!(organization = login, %error, "failed deliveries not fetched");
                    }
                }
            }
        }
    }

    /// It sends jobs to a door at our path. Another daemon's may too: then its failed ones are
    /// folded here as well, which changes nothing that the sweep would not.
    fn is_ours(&self, hook: &Hook) -> bool {
        let sends_jobs = hook.events.iter().any(|event| event == "workflow_job" || event == "*");
        let path =
            url::Url::parse(&hook.url).is_ok_and(|url| url.path() == self.settings.webhook.path);
        hook.active && sends_jobs && path
    }

    /// The tag of the log, once all that is new in it is kept.
    async fn fetch(
        &self,
        client: &Client,
        login: &str,
        hook: &Hook,
        etag: Option<&str>,
    ) -> Result<Option<Option<String>>, Error> {
        let cursor = format!("deliveries/{login}/{}", hook.id);
        let after = self.store.cursor(&cursor).await;
        let (new, etag) = match client.deliveries_after(login, hook.id, after, etag).await? {
            Conditional::Unchanged => return Ok(None),
            Conditional::Fresh { value, etag } => (value, etag),
        };
        let Some(newest) = new.iter().map(|delivery| delivery.id).max() else {
            return Ok(Some(etag));
        };
        let missed = new.iter().filter(|d| d.failed() && d.event == "workflow_job");
        // Newest first, and of each job only that: nobody is hired for what has ended since.
        let mut told = BTreeSet::new();
        let mut newest_of_jobs = Vec::new();
        for missed in missed {
            let payload = match client.delivered_payload(login, hook.id, missed.id).await {
                Ok(Some(payload)) => payload,
                // Too old by now.
                Ok(None) | Err(Error::NotFound { .. }) => continue,
                Err(error) => return Err(error),
            };
            let Ok(job) = read_workflow_job(payload.to_string().as_bytes()) else { continue };
            if job.report.as_ref().is_none_or(|report| told.insert(report.id)) {
                newest_of_jobs.push((missed.guid.clone(), job));
            }
        }
        for (guid, job) in newest_of_jobs.into_iter().rev() {
            let delivery = Delivery {
                id: DeliveryId(guid.clone()),
                received_at: Time::from(jiff::Timestamp::now()),
                repository: job.repository,
                report: job.report,
            };
            match self.store.keep(delivery.clone()).await {
                Ok(Kept::New) => {
                    info!(delivery = guid, organization = login, "missed webhook fetched");
                    // Closed: the daemon is ending, and the inbox has it.
                    let _ = self.hand.send(delivery);
                }
                Ok(Kept::Duplicate) => {}
                // The cursor stays, so that it is fetched again.
                Err(error) => {
                    warn!(%error, "a missed webhook cannot be kept");
                    return Ok(None);
                }
            }
        }
        if let Err(error) = self.store.set_cursor(&cursor, newest).await {
            warn!(%error, "cannot remember which deliveries were seen");
        }
        Ok(Some(etag))
    }
}
