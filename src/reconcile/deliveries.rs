//! Fetches what an organization's hook, or an App's webhook, failed to deliver to us, and puts it into
//! the inbox: nobody has to press "redeliver". Repository hooks have no log that a token for runners
//! may read; their jobs are found by the sweep.

use std::collections::{BTreeMap, BTreeSet};

use tracing::{debug, info, warn};

use super::Reconciler;
use crate::forge::{Error, Forge, Log, LogMemory};
use crate::ledger::{DeliveryId, Time};
use crate::store::{Delivery, Kept};
use crate::webhook::{Receipt, read_workflow_job};

/// What was seen the last time, by organization or App.
pub type Logs = BTreeMap<String, LogMemory>;

impl Reconciler {
    pub(super) async fn fetch_failed_deliveries(
        &self,
        organizations: &BTreeSet<String>,
        logs: &mut Logs,
    ) {
        for login in organizations {
            let Ok(forge) = self.forges.of(login) else { continue };
            let memory = logs.entry(login.clone()).or_default();
            match forge.logs(login, &self.settings.webhook.path, memory).await {
                Ok(logs) => self.fetch_all(forge, logs, memory).await,
                // Most tokens for runners may not read hooks; then the sweep has to do.
                Err(error) => debug!(organization = login, %error, "hooks not readable"),
            }
        }
        for (forge, _) in self.forges.clone().all() {
            let Some(log) = forge.own_log() else { continue };
            let memory = logs.entry(log.cursor()).or_default();
            self.fetch_all(forge, vec![log], memory).await;
        }
    }

    async fn fetch_all(&self, forge: &Forge, logs: Vec<Log>, memory: &mut LogMemory) {
        for log in logs {
            let of = log.of().to_owned();
            match self.fetch(forge, log, memory).await {
                Ok(()) => {}
                Err(error) if error.refuses() => {}
                Err(error) => warn!(log = of, %error, "cannot fetch failed deliveries"),
            }
        }
    }

    async fn fetch(&self, forge: &Forge, log: Log, memory: &mut LogMemory) -> Result<(), Error> {
        let cursor = log.cursor();
        let after = self.hand.store.cursor(&cursor).await;
        let Some(missed) = forge.missed(&log, after, memory).await? else { return Ok(()) };
        if missed.cut {
            warn!(
                log = log.of(),
                "more deliveries failed than are fetched; the sweep finds the jobs of the others"
            );
        }
        // Newest first, and of each job only that: nobody is hired for what has ended since.
        let mut told = BTreeSet::new();
        let mut newest_of_jobs = Vec::new();
        for (guid, payload) in &missed.payloads {
            let Ok(job) = read_workflow_job(payload) else { continue };
            if !self.is_of(forge, &job.repository.full_name) {
                continue;
            }
            if job.report.as_ref().is_none_or(|report| told.insert(report.id)) {
                newest_of_jobs.push((guid, job));
            }
        }
        for (guid, job) in newest_of_jobs.into_iter().rev() {
            let delivery = Delivery {
                id: DeliveryId(guid.clone()),
                received_at: Time::from(self.clock.now()),
                repository: job.repository,
                report: job.report,
                look: job.unreadable.is_some(),
            };
            match self.hand.keep(delivery).await {
                Ok(Receipt { kept: Kept::New, .. }) => {
                    info!(delivery = guid, log = log.of(), "missed webhook fetched");
                }
                Ok(Receipt { kept: Kept::Duplicate, .. }) => {}
                // The cursor stays, so that it is fetched again.
                Err(error) => {
                    warn!(%error, "cannot keep a missed webhook");
                    return Ok(());
                }
            }
        }
        if let Some(newest) = missed.newest
            && let Err(error) = self.hand.store.set_cursor(&cursor, newest).await
        {
            warn!(%error, "cannot store which deliveries were seen");
        }
        memory.seen(log, missed);
        Ok(())
    }

    /// A public App's log tells of everyone who has installed it.
    fn is_of(&self, forge: &Forge, full_name: &str) -> bool {
        match forge.own_log() {
            None => true,
            own => self.forges.of_repository(full_name).is_ok_and(|it| it.own_log() == own),
        }
    }
}
