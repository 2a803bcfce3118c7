//! `PUT /v1/job/:parent/dispatch`: who is refused with which words, and the idempotency token.
//!
//! Read next: `scheduling.rs`.

use std::collections::BTreeMap;

use rand::Rng;

use super::changes::Row;
use super::children::{Child, JobStatus};
use super::evaluations::Trigger;
use super::happenings::What;
use super::jobs::{JobKey, PayloadRule, Registered};
use super::model::{Millis, Nomad};

/// `job_max_priority`.
const MAX_PRIORITY: i64 = 100;
/// `DispatchPayloadSizeLimit` (`nomad/job_endpoint.go`), of the decoded payload.
const PAYLOAD_LIMIT: usize = 16_384;

#[derive(Clone, Debug, Default)]
pub struct DispatchCall {
    pub token: Option<String>,
    pub payload: Option<Vec<u8>>,
    pub meta: BTreeMap<String, String>,
    /// Comes into the child's id, before its time (`IdPrefixTemplate`).
    pub id_prefix: String,
    /// Otherwise the parent's.
    pub priority: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispatched {
    pub child: String,
    /// Empty: the token was known already, and nothing was made.
    pub evaluation: String,
    /// Of the child.
    pub create_index: u64,
    /// When the child was changed last.
    pub index: u64,
}

/// Nothing was made. Validation errors come as plain text with status 500.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub status: u16,
    pub text: String,
}

impl Refused {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { status: 500, text: text.into() }
    }
}

impl Nomad {
    /// Dispatches a parameterized job. Any child of that parent with the same token, whatever its
    /// status, is the answer instead of a new one; meta and payload are judged before that
    /// (`nomad/job_endpoint.go`, `Job.Dispatch`; `nomad/state/state_store.go`,
    /// `CheckIdempotencyToken`).
    ///
    /// # Errors
    /// In Nomad's own words.
    pub fn dispatch(
        &mut self,
        parent: &JobKey,
        call: DispatchCall,
        now: Millis,
    ) -> Result<Dispatched, Refused> {
        if self.knobs.dispatch_disabled {
            return Err(Refused {
                status: 403,
                text: "Job registration, dispatch, and scale are disabled by the scheduler \
                       configuration"
                    .to_owned(),
            });
        }
        let job =
            validate(parent, self.jobs.get(parent), self.children.contains_key(parent), &call)?;
        let (spec, definition) = (job.spec.clone(), job.definition.clone());
        if let Some((key, old)) = call.token.as_ref().and_then(|token| self.carrier(parent, token))
        {
            let in_a_race = now - old.submit_time < self.knobs.phantom_within;
            let (create_index, index) = (old.create_index, old.modify_index);
            let child = key.id.clone();
            if in_a_race && self.rng.random_bool(self.knobs.phantom) {
                let child = self.new_child_id(parent, &call.id_prefix, now);
                let (evaluation, index) = (self.draw_id(), self.index);
                return Ok(Dispatched { child, evaluation, create_index: index, index });
            }
            let evaluation = String::new();
            return Ok(Dispatched { child, evaluation, create_index, index });
        }
        let mut meta = spec.meta.clone();
        meta.extend(call.meta);
        let id = self.new_child_id(parent, &call.id_prefix, now);
        let key = JobKey { namespace: parent.namespace.clone(), id };
        let index = self.bump();
        self.note(
            now,
            What::Dispatched {
                child: key.id.clone(),
                token: call.token.clone().unwrap_or_default(),
            },
        );
        let child = Child {
            parent: parent.id.clone(),
            token: call.token,
            meta,
            payload: call.payload,
            priority: call.priority,
            spec,
            definition,
            stop: false,
            submit_time: now,
            create_index: index,
            modify_index: index,
            job_modify_index: index,
            version: 0,
            status: JobStatus::Pending,
            queued: BTreeMap::new(),
            allocations: Vec::new(),
        };
        if let Some(token) = child.token.clone() {
            self.tokens.insert((parent.clone(), token), key.clone());
        }
        self.children.insert(key.clone(), child);
        self.count_child(parent, None, Some(JobStatus::Pending));
        self.commit_at(index, "JobRegistered", vec![Row::Job(key.clone())]);
        let evaluation = self.new_evaluation(&key, Trigger::JobRegister, now);
        let row = Row::Evaluation(evaluation.clone());
        self.commit_at(index, "JobRegistered", vec![row]);
        self.schedule_collection(now);
        Ok(Dispatched { child: key.id, evaluation, create_index: index, index })
    }

    /// `<parent>/dispatch-<unix seconds>-<8 hex>` (`nomad/structs/structs.go`, `DispatchedID`).
    fn new_child_id(&mut self, parent: &JobKey, prefix: &str, now: Millis) -> String {
        let hex: u32 = self.rng.random();
        let dash = if prefix.is_empty() { "" } else { "-" };
        format!("{}/dispatch-{prefix}{dash}{}-{hex:08x}", parent.id, now.div_euclid(1_000))
    }
}

fn validate<'a>(
    parent: &JobKey,
    job: Option<&'a Registered>,
    is_ordinary: bool,
    call: &DispatchCall,
) -> Result<&'a Registered, Refused> {
    let id = &parent.id;
    let Some(job) = job else {
        return Err(Refused::new(if is_ordinary {
            format!("Specified job \"{id}\" is not a parameterized job")
        } else {
            "parameterized job not found".to_owned()
        }));
    };
    let spec = &job.spec;
    let Some(rule) = spec.payload else {
        return Err(Refused::new(format!("Specified job \"{id}\" is not a parameterized job")));
    };
    if job.stop {
        return Err(Refused::new(format!("Specified job \"{id}\" is stopped")));
    }
    let size = call.payload.as_ref().map_or(0, Vec::len);
    if rule == PayloadRule::Required && size == 0 {
        return Err(Refused::new("Payload is not provided but required by parameterized job"));
    }
    if rule == PayloadRule::Forbidden && size > 0 {
        return Err(Refused::new("Payload provided but forbidden by parameterized job"));
    }
    if size > PAYLOAD_LIMIT {
        return Err(Refused::new(format!(
            "Payload exceeds maximum size; {size} > {PAYLOAD_LIMIT}"
        )));
    }
    let foreign: Vec<_> =
        call.meta.keys().filter(|key| !spec.declares(key)).map(String::as_str).collect();
    if !foreign.is_empty() {
        return Err(Refused::new(format!(
            "Dispatch request included unpermitted metadata keys: [{}]",
            foreign.join(" ")
        )));
    }
    let missing: Vec<_> = spec
        .meta_required
        .iter()
        .filter(|key| !call.meta.contains_key(*key))
        .map(String::as_str)
        .collect();
    if !missing.is_empty() {
        return Err(Refused::new(format!(
            "Dispatch did not provide required meta keys: [{}]",
            missing.join(" ")
        )));
    }
    if call.priority.is_some_and(|priority| !(1..=MAX_PRIORITY).contains(&priority)) {
        return Err(Refused::new(format!(
            "dispatch job priority must be between [1, {MAX_PRIORITY}]"
        )));
    }
    Ok(job)
}
