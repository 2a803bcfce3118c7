//! Fetches what an organization's hook failed to deliver to us, and puts it into the inbox:
//! nobody has to press "redeliver". Repository hooks have no log that a token for runners may
//! read; their jobs are found by the sweep.

use std::collections::BTreeSet;

use tracing::{debug, info, warn};

use super::{Reconciler, refuses};
use crate::github::{Client, Error, Hook};
use crate::ledger::{DeliveryId, Time};
use crate::store::{Delivery, Kept};
use crate::webhook::read_workflow_job;

impl Reconciler {
    pub(super) async fn fetch_failed_deliveries(&self, organizations: &BTreeSet<String>) {
        for login in organizations {
            let Ok(client) = self.forges.client(login) else { continue };
            let hooks = match client.organization_hooks(login).await {
                Ok(hooks) => hooks,
                // Most tokens for runners may not read hooks; then the sweep has to do.
                Err(error) => {
                    debug!(organization = login, %error, "hooks not readable");
                    continue;
                }
            };
            for hook in hooks.iter().filter(|hook| self.is_ours(hook)) {
                if let Err(error) = self.fetch(client, login, hook).await
                    && !refuses(&error)
                {
                    warn!(organization = login, %error, "failed deliveries not fetched");
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

    async fn fetch(&self, client: &Client, login: &str, hook: &Hook) -> Result<(), Error> {
        let cursor = format!("deliveries/{login}/{}", hook.id);
        let after = self.store.cursor(&cursor).await;
        let new = client.deliveries_after(login, hook.id, after).await?;
        let Some(newest) = new.iter().map(|delivery| delivery.id).max() else { return Ok(()) };
        // Oldest first, as they should have come.
        for missed in new.iter().rev().filter(|d| d.failed() && d.event == "workflow_job") {
            let Some(payload) = client.delivered_payload(login, hook.id, missed.id).await? else {
                continue;
            };
            let Ok(job) = read_workflow_job(payload.to_string().as_bytes()) else { continue };
            let delivery = Delivery {
                id: DeliveryId(missed.guid.clone()),
                received_at: Time::from(jiff::Timestamp::now()),
                repository: job.repository,
                report: job.report,
                sender: job.sender,
            };
            match self.store.keep(delivery.clone()).await {
                Ok(Kept::New) => {
                    info!(delivery = missed.guid, organization = login, "missed webhook fetched");
                    // Closed: the daemon is ending, and the inbox has it.
                    let _ = self.hand.send(delivery);
                }
                Ok(Kept::Duplicate) => {}
                // The cursor stays, so that it is fetched again.
                Err(error) => {
                    warn!(%error, "a missed webhook cannot be kept");
                    return Ok(());
                }
            }
        }
        if let Err(error) = self.store.set_cursor(&cursor, newest).await {
            warn!(%error, "cannot remember which deliveries were seen");
        }
        Ok(())
    }
}
