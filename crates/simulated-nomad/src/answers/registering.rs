//! Registering a job, and judging one without registering it.
//!
//! Read next: `jobspec/submitted.rs`; what a plan answers is in `planning.rs`.

use serde_json::{Map, Value, json};

use super::call::{Admitted, Call, Reply, Stated, Written};
use super::gojson;
use super::operator;
use super::refusal::Refusal;
use crate::http::View;
use crate::jobs::JobKey;
use crate::jobspec::{self, Problems, Shape, Submitted, Surroundings};

/// The body of a request about a job.
pub(super) struct Body {
    pub job: Map<String, Value>,
    pub rest: Map<String, Value>,
}

impl Body {
    /// # Errors
    /// In Go's words, or in Nomad's where there is no job.
    pub fn read(call: &Call, shape: &Shape) -> Result<Self, Refusal> {
        let refused = |why: String| Refusal::new(400, why);
        let value = value(&call.body).map_err(refused)?;
        let mut rest = jobspec::asked(shape, &value, "").map_err(refused)?;
        let Some(Value::Object(job)) = rest.remove("Job") else {
            return Err(Refusal::new(400, "Job must be specified"));
        };
        if job["ID"].is_null() {
            return Err(Refusal::new(400, "Job ID hasn't been provided"));
        }
        Ok(Self { job, rest })
    }

    pub fn stated(&self) -> Stated {
        let said = |of: &Map<String, Value>, key: &str| {
            of[key].as_str().filter(|it| !it.is_empty()).map(str::to_owned)
        };
        let either = |key: &str| said(&self.rest, key).or_else(|| said(&self.job, key));
        Stated { namespace: either("Namespace"), region: either("Region") }
    }

    pub fn id(&self) -> &str {
        self.job["ID"].as_str().unwrap_or_default()
    }
}

/// Judges a job in the namespace that was asked for.
pub(super) fn judged(view: &View<'_>, job: Map<String, Value>, admitted: &Admitted) -> Submitted {
    let namespace = admitted.namespace.as_str();
    let pools: Vec<&str> = view.nomad.node_pools().map(|pool| pool.name.as_str()).collect();
    let around = Surroundings { node_pools: &pools, vault: view.nomad.has_vault };
    let mut submitted = jobspec::submitted(job, namespace, &admitted.region, &around);
    if view.nomad.namespace(namespace).is_none() {
        let id = submitted.job["ID"].as_str().unwrap_or_default();
        let why = format!("job {id:?} is in nonexistent namespace {namespace:?}");
        submitted.problems.add(why);
    }
    submitted
}

/// # Errors
/// With everything that is wrong.
pub(super) fn good(problems: &Problems) -> Result<(), Refusal> {
    problems.text().map_or(Ok(()), |why| Err(Refusal::new(500, why)))
}

pub(super) fn register(call: &Call, id: Option<&str>) -> Reply {
    let body = Body::read(call, &jobspec::REGISTER)?;
    if id.is_some_and(|id| id != body.id()) {
        return Err(Refusal::new(400, "Job ID does not match name"));
    }
    let enforced = (body.rest["EnforceIndex"] == true)
        .then(|| body.rest["JobModifyIndex"].as_u64().unwrap_or_default());
    let stated = body.stated();
    call.write_as(&stated, |view, admitted, now| {
        let submitted = judged(view, body.job, admitted);
        good(&submitted.problems)?;
        let id = submitted.job["ID"].as_str().unwrap_or_default();
        let key = JobKey::new(&admitted.namespace, id);
        operator::takes_jobs(view, &admitted.caller)?;
        may_follow(view, &key, &submitted.job, enforced)?;
        let job = Value::Object(submitted.job);
        let evaluation = view.nomad.register_job(key.clone(), jobspec::read(&job), job, now);
        let job_index = view.nomad.versions(&key).first().map_or(0, |it| it.job_modify_index);
        let of_job = view.nomad.evaluations_of(&key);
        let looked_at = { of_job }.find(|it| evaluation.as_ref() == Some(&it.id));
        let eval_index = looked_at.map_or(0, |it| it.create_index);
        let index = job_index.max(eval_index);
        let body = json!({
            "EvalID": evaluation.unwrap_or_default(), "EvalCreateIndex": eval_index,
            "JobModifyIndex": job_index, "Index": index, "Warnings": submitted.warnings,
            "KnownLeader": false, "LastContact": 0, "NextToken": "",
        });
        Ok(Written::new(index, body))
    })
}

/// Whether the job may take the place of the one that is there.
fn may_follow(
    view: &View<'_>,
    key: &JobKey,
    job: &Map<String, Value>,
    enforced: Option<u64>,
) -> Result<(), Refusal> {
    let refused = |why: String| Err(Refusal::new(500, why));
    let known = view.nomad.definition(key);
    if let Some(asked) = enforced {
        let enforcing = format!("Enforcing job modify index {asked}");
        match known.map(|known| known.job_modify_index) {
            Some(_) if asked == 0 => return refused(format!("{enforcing}: job already exists")),
            Some(index) if index != asked => {
                return refused(format!(
                    "{enforcing}: job exists with conflicting job modify index: {index}"
                ));
            }
            None if asked != 0 => return refused(format!("{enforcing}: job does not exist")),
            _ => {}
        }
    }
    let Some(known) = known.map(|known| &known.job) else { return Ok(()) };
    if known["Type"] != job["Type"] {
        let (old, new) = (&known["Type"], &job["Type"]);
        return refused(format!("cannot update job from type {old} to {new}"));
    }
    for (field, what) in [("Periodic", "periodic"), ("ParameterizedJob", "parameterized")] {
        match (known[field].is_null(), job[field].is_null()) {
            (false, true) => {
                return refused(format!("cannot update {what} job to being non-{what}"));
            }
            (true, false) => {
                return refused(format!("cannot update non-{what} job to being {what}"));
            }
            _ => {}
        }
    }
    Ok(())
}

pub(super) fn validate(call: &Call) -> Reply {
    let body = Body::read(call, &jobspec::VALIDATE)?;
    let stated = body.stated();
    call.write_as(&stated, |view, admitted, _| {
        let submitted = judged(view, body.job, admitted);
        let problems = submitted.problems.each();
        let body = json!({
            "DriverConfigValidated": true,
            "Error": submitted.problems.text().unwrap_or_default(),
            "ValidationErrors": if problems.is_empty() { None } else { Some(problems) },
            "Warnings": submitted.warnings,
        });
        Ok(Written { index: None, body: Some(body) })
    })
}

pub(super) fn parse(call: &Call) -> Reply {
    call.write(|_, _, _| {
        let refused = |why: String| Refusal::new(400, why);
        let value = value(&call.body).map_err(refused)?;
        let asked = jobspec::asked(&jobspec::PARSE, &value, "").map_err(refused)?;
        let text = |key: &str| asked[key].as_str().unwrap_or_default();
        if text("JobHCL").is_empty() {
            return Err(Refusal::new(400, "Job spec is empty"));
        }
        let mut job = jobspec::parse(text("JobHCL"), text("Variables"))
            .map_err(|why| Refusal::new(400, format!("Failed to parse job: {why}")))?;
        if asked["Canonicalize"] == true {
            jobspec::canonicalize(&mut job);
        }
        Ok(Written { index: None, body: Some(job.into()) })
    })
}

/// The body's JSON.
fn value(body: &[u8]) -> Result<Value, String> {
    if body.is_empty() {
        return Err("Request body is empty".to_owned());
    }
    gojson::value(body)
}
