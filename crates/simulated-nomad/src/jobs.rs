//! Registered jobs: the parameterized ones that are dispatched, and how they change meanwhile.
//!
//! Only what a dispatch and a placement look at is kept of a jobspec. Read next: `dispatching.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::changes::{Row, Subject};
use super::children::{Child, JobStatus};
use super::evaluations::Trigger;
use super::happenings::What;
use super::jobspec::{self, Definition};
use super::model::{Millis, Nomad, SECOND};
use super::tables::Table;
use super::wants::Wants;

/// How many versions of a job are kept (`job_tracked_versions`).
const TRACKED_VERSIONS: usize = 6;

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

/// A job that somebody registered, to be dispatched.
#[derive(Clone, Debug)]
pub struct Registered {
    pub spec: JobSpec,
    pub definition: Arc<Definition>,
    pub stop: bool,
    pub create_index: u64,
    pub modify_index: u64,
    /// Changes with every registration and every stop (`JobModifyIndex`).
    pub job_modify_index: u64,
}

impl Nomad {
    /// Registers a job that is only known by its spec: see [`Nomad::register_job`].
    pub fn register(&mut self, key: JobKey, spec: JobSpec, now: Millis) {
        let job = jobspec::of_spec(&key, &spec);
        self.register_job(key, spec, job, now);
    }

    /// Registers a job, or a new version of it; a stopped one lives again. Its children keep the
    /// spec they were dispatched with (`nomad/job_endpoint.go`, `Job.Dispatch`: the parent is
    /// copied). One that is not parameterized is looked at by the scheduler: the evaluation's id.
    pub fn register_job(
        &mut self,
        key: JobKey,
        spec: JobSpec,
        job: Value,
        now: Millis,
    ) -> Option<String> {
        if self.is_as_before(&key, &job) {
            // No new version; an ordinary job is looked at all the same.
            if !self.children.contains_key(&key) {
                return None;
            }
            let evaluation = self.new_evaluation(&key, Trigger::JobRegister, now);
            self.commit("JobRegistered", vec![Row::Evaluation(evaluation.clone())]);
            return Some(evaluation);
        }
        let stop = job["Stop"] == true;
        let repeats = job["Periodic"]["Enabled"] == true;
        let index = self.bump();
        let versions = self.versions.entry(key.clone()).or_default();
        let version = versions.first().map_or(0, |newest| newest.version + 1);
        let wants = Wants::read(&job);
        let submit_time = now;
        let definition = Definition { job, version, submit_time, job_modify_index: index, wants };
        let definition = Arc::new(definition);
        versions.insert(0, definition.clone());
        versions.truncate(TRACKED_VERSIONS);
        self.note(now, What::Registered { job: key.id.clone() });
        if spec.payload.is_none() && !repeats {
            return Some(self.register_ordinary(key, spec, definition, index, now));
        }
        let create_index = self.jobs.get(&key).map_or(index, |known| known.create_index);
        self.jobs.insert(
            key.clone(),
            Registered {
                spec,
                definition,
                stop,
                create_index,
                modify_index: index,
                job_modify_index: index,
            },
        );
        self.commit_at(index, "JobRegistered", vec![Row::Job(key)]);
        None
    }

    fn is_as_before(&self, key: &JobKey, job: &Value) -> bool {
        let stop = match (self.jobs.get(key), self.children.get(key)) {
            (Some(known), _) => known.stop,
            (_, Some(known)) => known.stop,
            _ => return false,
        };
        let newest = self.versions.get(key).and_then(|versions| versions.first());
        !stop && newest.is_some_and(|newest| newest.job == *job)
    }

    /// The job that has this key, be it parameterized or not, as it was registered last.
    #[must_use]
    pub fn definition(&self, key: &JobKey) -> Option<&Arc<Definition>> {
        let registered = self.jobs.get(key).map(|job| &job.definition);
        registered.or_else(|| self.children.get(key).map(|child| &child.definition))
    }

    /// A job that runs as it is has no parent, and otherwise lives as a child does.
    fn register_ordinary(
        &mut self,
        key: JobKey,
        spec: JobSpec,
        definition: Arc<Definition>,
        index: u64,
        now: Millis,
    ) -> String {
        let known = self.children.remove(&key);
        let child = Child {
            parent: String::new(),
            token: None,
            meta: spec.meta.clone(),
            payload: None,
            priority: None,
            spec,
            stop: false,
            submit_time: now,
            create_index: known.as_ref().map_or(index, |known| known.create_index),
            modify_index: index,
            job_modify_index: index,
            version: definition.version,
            definition,
            status: JobStatus::Pending,
            queued: BTreeMap::new(),
            allocations: known.map_or_else(Vec::new, |known| known.allocations),
        };
        self.children.insert(key.clone(), child);
        self.schedule_collection(now);
        self.commit_at(index, "JobRegistered", vec![Row::Job(key.clone())]);
        let evaluation = self.new_evaluation(&key, Trigger::JobRegister, now);
        let row = Row::Evaluation(evaluation.clone());
        self.commit_at(index, "JobRegistered", vec![row]);
        evaluation
    }

    /// The parameterized job as it is now.
    #[must_use]
    pub fn job(&self, key: &JobKey) -> Option<&Registered> {
        self.jobs.get(key)
    }

    /// All parameterized jobs.
    pub fn registered(&self) -> impl Iterator<Item = (&JobKey, &Registered)> {
        self.jobs.iter()
    }

    /// What the job was, newest first; nothing of a job that is not there.
    #[must_use]
    pub fn versions(&self, key: &JobKey) -> &[Arc<Definition>] {
        self.versions.get(key).map_or(&[], Vec::as_slice)
    }

    /// Stops a registered job, or forgets it. Its children live on, by design (GH-2263).
    pub(super) fn stop_registered(&mut self, key: &JobKey, purge: bool, now: Millis) -> u64 {
        let index = self.bump();
        if purge {
            self.versions.remove(key);
            self.counts.remove(key);
            if let Some(job) = self.jobs.remove(key) {
                self.write_too(Table::Jobs, index);
                self.write_too(Table::Allocations, index);
                let (key, job) = (key.clone(), Box::new(job));
                let subject = Subject::Registered { key, job, deleted: true };
                self.tell(index, "JobDeregistered", vec![subject]);
            }
        } else if let Some(job) = self.jobs.get_mut(key) {
            job.stop = true;
            job.modify_index = index;
            job.job_modify_index = index;
            job.definition = Arc::new(job.definition.stopped(index, now));
            let versions = self.versions.entry(key.clone()).or_default();
            versions.insert(0, job.definition.clone());
            versions.truncate(TRACKED_VERSIONS);
            self.commit_at(index, "JobDeregistered", vec![Row::Job(key.clone())]);
        }
        self.note(now, What::Stopped { job: key.id.clone(), purge });
        index
    }
}
