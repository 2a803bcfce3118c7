//! Registered jobs: the parameterized ones that are dispatched, and how they change meanwhile.
//!
//! Only what a dispatch and a placement look at is kept of a jobspec. Read next: `dispatching.rs`.

use std::collections::BTreeMap;

use super::happenings::What;
use super::model::{Millis, Nomad, SECOND};

/// Where a job lives: ids are unique in their namespace only.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JobKey {
    pub namespace: String,
    pub id: String,
}

impl JobKey {
    pub fn new(namespace: &str, id: &str) -> Self {
        Self { namespace: namespace.to_owned(), id: id.to_owned() }
    }
}

/// `parameterized { payload = … }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadRule {
    Optional,
    Required,
    Forbidden,
}

/// A jobspec, as far as it matters here.
#[derive(Clone, Debug)]
pub struct JobSpec {
    /// None: an ordinary job, which cannot be dispatched.
    pub payload: Option<PayloadRule>,
    pub meta_required: Vec<String>,
    pub meta_optional: Vec<String>,
    /// Meta that every child has, under what its dispatch says.
    pub meta: BTreeMap<String, String>,
    pub cpu_mhz: u64,
    pub memory_mb: u64,
    pub driver: String,
    /// Attribute and the value that a node must have.
    pub constraints: BTreeMap<String, String>,
    pub kill_timeout: Millis,
    /// How long the poststop task takes, where there is one.
    pub poststop: Option<Millis>,
    /// `disconnect { lost_after, replace }`.
    pub disconnect: Option<Disconnect>,
}

/// What becomes of an allocation whose node does not answer.
#[derive(Clone, Copy, Debug)]
pub struct Disconnect {
    pub lost_after: Millis,
    pub replace: bool,
}

impl Default for JobSpec {
    /// A batch job of one task that takes the payload and any meta listed; kill_timeout is Nomad's
    /// own (5 s).
    fn default() -> Self {
        Self {
            payload: Some(PayloadRule::Optional),
            meta_required: Vec::new(),
            meta_optional: Vec::new(),
            meta: BTreeMap::new(),
            cpu_mhz: 1_000,
            memory_mb: 1_000,
            driver: "raw_exec".to_owned(),
            constraints: BTreeMap::new(),
            kill_timeout: 5 * SECOND,
            poststop: None,
            disconnect: None,
        }
    }
}

impl JobSpec {
    /// Whether the keys of a dispatch may hold this one.
    pub fn declares(&self, key: &str) -> bool {
        self.meta_required.iter().chain(&self.meta_optional).any(|known| known == key)
    }
}

/// A job that somebody registered.
#[derive(Clone, Debug)]
pub struct Registered {
    pub spec: JobSpec,
    pub stop: bool,
    /// Changes with every registration and every stop (`JobModifyIndex`).
    pub job_modify_index: u64,
}

impl Nomad {
    /// Registers a job, or a new version of it; a stopped one lives again. Its children keep the
    /// spec they were dispatched with (`nomad/job_endpoint.go`, `Job.Dispatch`: the parent is
    /// copied).
    pub fn register(&mut self, key: JobKey, spec: JobSpec, now: Millis) {
        let job_modify_index = self.bump();
        self.note(now, What::Registered { job: key.id.clone() });
        self.jobs.insert(key, Registered { spec, stop: false, job_modify_index });
    }

    /// The parameterized job as it is now.
    #[must_use]
    pub fn job(&self, key: &JobKey) -> Option<&Registered> {
        self.jobs.get(key)
    }

    /// Stops a registered job, or forgets it. Its children live on, by design (GH-2263).
    pub(super) fn stop_registered(&mut self, key: &JobKey, purge: bool, now: Millis) {
        let index = self.bump();
        if purge {
            self.jobs.remove(key);
        } else if let Some(job) = self.jobs.get_mut(key) {
            job.stop = true;
            job.job_modify_index = index;
        }
        self.note(now, What::Stopped { job: key.id.clone(), purge });
    }
}
