//! Registering a job, in JSON.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{Call, Reply, Written};
use super::refusal::Refusal;
use crate::jobs::JobKey;
use crate::jobspec;

/// The only namespace that there is.
const NAMESPACE: &str = "default";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Register {
    job: Value,
}

/// HCL is Nomad's own language, and Nomad the only one who reads it.
pub(super) fn parse() -> Reply {
    Err(Refusal::new(501, "the stand-in for Nomad reads no HCL; send it a job in JSON"))
}

pub(super) fn register(call: &Call) -> Reply {
    let Ok(Register { job }) = serde_json::from_slice(&call.body) else {
        return Err(Refusal::new(400, "Job must be specified"));
    };
    let read = jobspec::read(&job).map_err(|why| Refusal::new(501, why))?;
    if read.namespace != NAMESPACE {
        let namespace = read.namespace;
        let why = format!("job {:?} is in nonexistent namespace {namespace:?}", read.id);
        return Err(Refusal::new(500, why));
    }
    let key = JobKey { namespace: read.namespace, id: read.id };
    call.write(|view, _, now| {
        let plan = Some(Arc::new(read.plan));
        let evaluation = view.nomad.register_job(key, read.spec, job, plan, now);
        let index = view.nomad.index();
        // A parameterized job has no evaluation of its own.
        let eval_index = if evaluation.is_some() { index } else { 0 };
        let body = json!({
            "EvalID": evaluation.unwrap_or_default(), "EvalCreateIndex": eval_index,
            "JobModifyIndex": index, "Index": index,
            "Warnings": "", "KnownLeader": false, "LastContact": 0, "NextToken": "",
        });
        Ok(Written::new(index, body))
    })
}
