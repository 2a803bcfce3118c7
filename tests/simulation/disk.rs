//! The disk: rows as the store keeps them, only what was committed. A crash loses the rest.
//!
//! What is read back has been through JSON, as in the store, so that a field that is not written
//! is not remembered.

use std::collections::BTreeMap;

use roustabout::ledger::state::Paused;
use roustabout::ledger::{
    Breaker, BreakerKey, DeliveryId, Job, JobId, PoolName, Record, Repository, RepositoryId,
    Runner, RunnerName,
};
use roustabout::store::{Delivery, Unfinished};
use serde::Serialize;
use serde::de::DeserializeOwned;

#[derive(Default)]
pub struct Disk {
    pub repositories: BTreeMap<RepositoryId, Repository>,
    pub jobs: BTreeMap<JobId, Job>,
    pub runners: BTreeMap<RunnerName, Runner>,
    /// The row is taken out once it is folded.
    pub deliveries: BTreeMap<DeliveryId, Option<Delivery>>,
    pub pauses: BTreeMap<PoolName, Paused>,
    pub breakers: BTreeMap<BreakerKey, Breaker>,
    /// Up to which delivery the hook's log was read.
    pub cursor: u64,
}

impl Disk {
    /// Into the inbox, where nobody folds it now. False: the same delivery was kept before.
    pub fn keep(&mut self, delivery: Delivery) -> bool {
        let new = !self.deliveries.contains_key(&delivery.id);
        if new {
            self.deliveries.insert(delivery.id.clone(), Some(delivery));
        }
        new
    }

    /// All or none: this is one transaction.
    pub fn commit(&mut self, records: Vec<Record>) {
        for record in records {
            match record {
                Record::Job(job) => {
                    self.jobs.insert(job.id(), *job);
                }
                Record::Runner(runner) => {
                    self.runners.insert(runner.name.clone(), *runner);
                }
                Record::Repository(repository) => {
                    self.repositories.insert(repository.id, *repository);
                }
                Record::Pause { pool, until: Some(until), at } => {
                    self.pauses.insert(pool, Paused { until, since: Some(at) });
                }
                Record::Pause { pool, until: None, .. } => {
                    self.pauses.remove(&pool);
                }
                Record::Breaker { key, breaker: Some(breaker) } => {
                    self.breakers.insert(key, *breaker);
                }
                Record::Breaker { key, breaker: None } => {
                    self.breakers.remove(&key);
                }
                // For people.
                Record::Happened { .. } => {}
                Record::Folded { delivery, .. } => {
                    self.deliveries.insert(delivery, None);
                }
            }
        }
    }

    /// What a start finds: everything that has not ended.
    pub fn unfinished(&self) -> Unfinished {
        let mut inbox: Vec<Delivery> =
            self.deliveries.values().flatten().map(through_json).collect();
        inbox.sort_by_key(|delivery| delivery.received_at);
        Unfinished {
            repositories: self.repositories.values().map(through_json).collect(),
            breakers: self
                .breakers
                .iter()
                .map(|(key, it)| (key.clone(), through_json(it)))
                .collect(),
            runners: open(&self.runners, |runner| runner.ended_at.is_some()),
            pauses: self.pauses.clone(),
            inbox,
        }
    }

    pub fn open_jobs(&self) -> Vec<Job> {
        open(&self.jobs, |job| job.ended_at.is_some())
    }

    pub fn job(&self, id: JobId) -> Option<Job> {
        self.jobs.get(&id).map(through_json)
    }
}

fn open<K, T: Serialize + DeserializeOwned>(
    rows: &BTreeMap<K, T>,
    ended: impl Fn(&T) -> bool,
) -> Vec<T> {
    rows.values().filter(|row| !ended(row)).map(through_json).collect()
}

fn through_json<T: Serialize + DeserializeOwned>(row: &T) -> T {
    serde_json::from_value(serde_json::to_value(row).unwrap()).unwrap()
}
