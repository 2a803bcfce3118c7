//! What an identity claims. A dispatched child claims to be its parent ([V]; Nomad
//! `structs/workload_id.go`): only `nomad_allocation_id` tells one child from another.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::proof::Standing;
use super::spec::IdentitySpec;
use crate::jobs::JobKey;
use crate::model::{Millis, Nomad, SECOND};

/// Who a task is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Workload {
    pub region: String,
    pub namespace: String,
    /// The parent's id, where it has one.
    pub job: String,
    pub group: String,
    pub task: String,
    pub allocation: String,
}

/// In seconds since 1970, as JWTs have their times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// A text where there is one, a list of several.
    #[serde(serialize_with = "one_or_many", deserialize_with = "many", default)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aud: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp: Option<i64>,
    pub iat: i64,
    pub jti: String,
    pub nbf: i64,
    pub nomad_allocation_id: String,
    pub nomad_job_id: String,
    pub nomad_namespace: String,
    pub nomad_task: String,
    pub sub: String,
}

impl Claims {
    /// `jti`: an id of its own for every signing.
    pub fn of(workload: &Workload, spec: &IdentitySpec, jti: String, now: Millis) -> Self {
        let Workload { region, namespace, job, group, task, allocation } = workload;
        let iat = now.div_euclid(SECOND);
        Self {
            aud: spec.audience(),
            exp: spec.ttl().map(|ttl| iat + ttl.div_euclid(SECOND)),
            iat,
            jti,
            nbf: iat,
            nomad_allocation_id: allocation.clone(),
            nomad_job_id: job.clone(),
            nomad_namespace: namespace.clone(),
            nomad_task: task.clone(),
            sub: format!("{region}:{namespace}:{job}:{group}:{task}:{}", spec.name()),
        }
    }
}

impl Claims {
    /// No claim of its own has it.
    pub fn group(&self) -> &str {
        self.sub.rsplit(':').nth(2).unwrap_or_default()
    }
}

impl Nomad {
    /// The id that a job's tasks claim as their job's.
    pub(crate) fn claimed_job(&self, key: &JobKey) -> String {
        let parent = self.child(key).map(|child| &child.parent).filter(|it| !it.is_empty());
        parent.unwrap_or(&key.id).clone()
    }

    /// The task of an allocation, as it may claim to be.
    pub(crate) fn workload(&self, region: &str, allocation: &str, task: &str) -> Option<Workload> {
        let child = &self.allocation(allocation)?.child;
        Some(Workload {
            region: region.to_owned(),
            namespace: child.namespace.clone(),
            job: self.claimed_job(child),
            group: self.child(child)?.definition.group().to_owned(),
            task: task.to_owned(),
            allocation: allocation.to_owned(),
        })
    }

    /// What is known of the allocation of a claim.
    pub(crate) fn standing(&self, allocation: &str) -> Standing {
        match self.allocation(allocation) {
            None => Standing::Unknown,
            Some(one) if one.client_status.is_terminal() => Standing::Over,
            Some(_) => Standing::Running,
        }
    }
}

fn one_or_many<S: Serializer>(all: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    match all {
        [one] => one.serialize(serializer),
        many => many.serialize(serializer),
    }
}

fn many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    match value {
        serde_json::Value::String(one) => Ok(vec![one]),
        many => serde_json::from_value(many).map_err(serde::de::Error::custom),
    }
}
