//! One job by id: a parameterized job, or a dispatched child of one.
//!
//! Lists of children are in `children`, many at once in `statuses`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;

use super::connection::Place;
use super::endpoint::Endpoint;
use super::error::Error;
use super::transport::{Call, Client};
use super::wire::{self, Map};

/// Nomad's own judgement of a job. `Dead` does not say success, and after a stop it comes at
/// once, while an allocation may run on for its `kill_timeout`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobStatus {
    Pending,
    Running,
    Dead,
    /// One that we do not know.
    Other(String),
}

impl From<&str> for JobStatus {
    fn from(text: &str) -> JobStatus {
        match text {
            "pending" => JobStatus::Pending,
            "running" => JobStatus::Running,
            "dead" => JobStatus::Dead,
            other => JobStatus::Other(other.to_owned()),
        }
    }
}

/// Whether a dispatch may carry a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadRule {
    Optional,
    Required,
    Forbidden,
}

/// What a parameterized job wants of a dispatch. Meta keys are exact; others are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameterized {
    pub payload: PayloadRule,
    pub meta_required: Vec<String>,
    pub meta_optional: Vec<String>,
}

/// A task group, as far as it decides what becomes of a dispatch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// How many allocations it has.
    pub count: u64,
    /// Another allocation takes the place of one that failed.
    pub reschedules: bool,
    /// A main task that failed is started again in its allocation.
    pub restarts: bool,
    /// One of its tasks gets the dispatch's payload, as a file.
    pub takes_payload: bool,
    /// A template of one of its tasks reads a Nomad Variable.
    pub reads_variables: bool,
    /// One of its tasks gets a token of Vault.
    pub has_vault: bool,
    /// Workload identities that its tasks are shown.
    pub identities: Vec<Identity>,
}

/// An `identity` block of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub audience: Vec<String>,
    /// It expires.
    pub ends: bool,
}

/// A job, as far as a dispatcher cares.
#[derive(Clone, Debug)]
pub struct Job {
    pub id: String,
    /// The parameterized job, where this is a dispatched child.
    pub parent_id: Option<String>,
    /// `batch`, `service`, `system`, `sysbatch`.
    pub kind: String,
    pub status: JobStatus,
    /// Somebody stopped it. A stopped parameterized job takes no dispatch.
    pub stop: bool,
    /// Changes with every registration of the job.
    pub job_modify_index: u64,
    pub version: u64,
    /// Of a child: when it was dispatched, or stopped since.
    pub submit_time: Timestamp,
    pub parameterized: Option<Parameterized>,
    pub groups: Vec<Group>,
    /// Of a child: the token that its dispatch gave.
    pub dispatch_idempotency_token: Option<String>,
    /// Values are hidden, for some dispatch a credential by meta.
    pub meta: BTreeMap<String, SecretString>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireJob {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "ParentID", default, deserialize_with = "wire::or_default")]
    parent_id: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    r#type: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    status: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    stop: bool,
    #[serde(default, deserialize_with = "wire::or_default")]
    job_modify_index: u64,
    #[serde(default, deserialize_with = "wire::or_default")]
    version: u64,
    #[serde(default, deserialize_with = "wire::or_default")]
    submit_time: i64,
    parameterized_job: Option<WireParameterized>,
    #[serde(default, deserialize_with = "wire::or_default")]
    task_groups: Vec<WireGroup>,
    #[serde(default, deserialize_with = "wire::or_default")]
    dispatched: bool,
    #[serde(default, deserialize_with = "wire::or_default")]
    dispatch_idempotency_token: String,
    #[serde(default)]
    meta: Map<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireParameterized {
    #[serde(default, deserialize_with = "wire::or_default")]
    payload: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    meta_required: Vec<String>,
    #[serde(default, deserialize_with = "wire::or_default")]
    meta_optional: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireGroup {
    #[serde(default, deserialize_with = "wire::or_default")]
    count: u64,
    reschedule_policy: Option<WireAttempts>,
    restart_policy: Option<WireAttempts>,
    #[serde(default, deserialize_with = "wire::or_default")]
    tasks: Vec<WireTask>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireAttempts {
    #[serde(default, deserialize_with = "wire::or_default")]
    attempts: u64,
    #[serde(default, deserialize_with = "wire::or_default")]
    unlimited: bool,
}

impl WireAttempts {
    fn any(policy: Option<Self>) -> bool {
        policy.is_some_and(|policy| policy.unlimited || policy.attempts > 0)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireTask {
    /// Only that it is there matters.
    dispatch_payload: Option<serde::de::IgnoredAny>,
    /// Of prestart, poststart and poststop tasks.
    lifecycle: Option<serde::de::IgnoredAny>,
    restart_policy: Option<WireAttempts>,
    vault: Option<serde::de::IgnoredAny>,
    #[serde(default, deserialize_with = "wire::or_default")]
    identities: Vec<WireIdentity>,
    #[serde(default, deserialize_with = "wire::or_default")]
    templates: Vec<WireTemplate>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireTemplate {
    #[serde(default, deserialize_with = "wire::or_default")]
    embedded_tmpl: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireIdentity {
    #[serde(default, deserialize_with = "wire::or_default")]
    audience: Vec<String>,
    #[serde(default, deserialize_with = "wire::or_default")]
    env: bool,
    #[serde(default, deserialize_with = "wire::or_default")]
    file: bool,
    #[serde(rename = "TTL", default, deserialize_with = "wire::or_default")]
    ttl: i64,
}

impl From<WireGroup> for Group {
    fn from(wire: WireGroup) -> Group {
        let shown = wire.tasks.iter().flat_map(|task| &task.identities);
        let shown = shown.filter(|identity| identity.env || identity.file);
        let identities =
            shown.map(|it| Identity { audience: it.audience.clone(), ends: it.ttl > 0 }).collect();
        let mut main = wire.tasks.iter().filter(|task| task.lifecycle.is_none());
        Group {
            count: wire.count,
            reschedules: WireAttempts::any(wire.reschedule_policy),
            restarts: main
                .any(|task| WireAttempts::any(task.restart_policy.or(wire.restart_policy))),
            takes_payload: wire.tasks.iter().any(|task| task.dispatch_payload.is_some()),
            reads_variables: wire
                .tasks
                .iter()
                .flat_map(|task| &task.templates)
                .any(|template| template.embedded_tmpl.contains("nomadVar")),
            has_vault: wire.tasks.iter().any(|task| task.vault.is_some()),
            identities,
        }
    }
}

impl From<WireJob> for Job {
    fn from(wire: WireJob) -> Job {
        // A child keeps its parent's parameterized block, but cannot be dispatched itself
        // (Nomad `structs.Job.IsParameterized`).
        let meta = wire.meta.unwrap_or_default().into_iter();
        let parameterized = wire.parameterized_job.filter(|_| !wire.dispatched);
        Job {
            id: wire.id,
            parent_id: wire::some(wire.parent_id),
            kind: wire.r#type,
            status: wire.status.as_str().into(),
            stop: wire.stop,
            job_modify_index: wire.job_modify_index,
            version: wire.version,
            submit_time: wire::time(wire.submit_time),
            parameterized: parameterized.map(|p| Parameterized {
                payload: match p.payload.as_str() {
                    "required" => PayloadRule::Required,
                    "forbidden" => PayloadRule::Forbidden,
                    _ => PayloadRule::Optional,
                },
                meta_required: p.meta_required,
                meta_optional: p.meta_optional,
            }),
            groups: wire.task_groups.into_iter().map(Group::from).collect(),
            dispatch_idempotency_token: wire::some(wire.dispatch_idempotency_token),
            meta: meta.map(|(key, value)| (key, value.into())).collect(),
        }
    }
}

impl Client {
    /// Whether Nomad is there, has a leader, and lets the token read jobs of that place: asks for a job
    /// that there is not, for a question about the leader alone needs no token.
    pub async fn may_read(&self, place: &Place) -> Result<(), Error> {
        match self.call(Call::to(Endpoint::Job("roustabout-may-read")).at(place)).await {
            Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// `GET /v1/job/:id`. Needs the capability `read-job`.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a job that does not exist, or no longer: Nomad collects dead
    /// children some four hours after their submit time.
    pub async fn job(&self, place: &Place, id: &str) -> Result<Job, Error> {
        let (job, _) = self.read::<WireJob>(Call::to(Endpoint::Job(id)).at(place)).await?;
        Ok(job.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use serde_json::json;
    use wiremock::matchers::{header, method, path, query_param};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    #[tokio::test]
    async fn a_child_is_read_and_its_id_encoded() {
        let server = MockServer::start().await;
        Mock::given(method("GET"))
            .and(path("/v1/job/gha%2Fdispatch-1-ab"))
            .and(query_param("namespace", "ci"))
            .and(query_param("region", "eu"))
            .and(header("x-nomad-token", "s3cr3t"))
            .respond_with(ResponseTemplate::new(200).set_body_json(json!({
                "ID": "gha/dispatch-1-ab", "ParentID": "gha", "Type": "batch",
                "Status": "pending", "Stop": false, "JobModifyIndex": 7, "Version": 0,
                "SubmitTime": 1_700_000_000_000_000_000_i64, "Dispatched": true,
                "ParameterizedJob": {"Payload": "", "MetaRequired": null, "MetaOptional": ["a"]},
                "DispatchIdempotencyToken": "roustabout-x@o/r", "Meta": {"runner_token": "AAA1"}
            })))
            .mount(&server)
            .await;
        let client = testing::client(&server.uri());
        client.set_token(Some(SecretString::from("s3cr3t")));
        let place = Place { namespace: "ci".into(), region: Some("eu".into()) };
        let job = client.job(&place, "gha/dispatch-1-ab").await.unwrap();
        assert_eq!(job.parent_id.as_deref(), Some("gha"));
        assert_eq!(job.status, JobStatus::Pending);
        assert_eq!(job.dispatch_idempotency_token.as_deref(), Some("roustabout-x@o/r"));
        assert_eq!(job.submit_time.as_second(), 1_700_000_000);
        assert_eq!(job.parameterized, None);
        assert!(!format!("{job:?}").contains("AAA1"));
    }

    #[tokio::test]
    async fn a_parent_tells_its_rules_and_nulls_are_empty() {
        let server = MockServer::start().await;
        Mock::given(path("/v1/job/gha"))
            .respond_with(ResponseTemplate::new(200).set_body_json(json!({
                "ID": "gha", "ParentID": "", "Type": "batch", "Status": "strange", "Meta": null,
                "ParameterizedJob": {"Payload": "required", "MetaRequired": ["k"],
                                     "MetaOptional": null},
                "TaskGroups": [
                    {"Count": 2, "ReschedulePolicy": {"Attempts": 0, "Unlimited": true},
                     "RestartPolicy": {"Attempts": 0}, "Tasks": [
                        {"DispatchPayload": {"File": "token"}, "Lifecycle": {"Hook": "prestart"},
                         "RestartPolicy": {"Attempts": 3}, "Identities": [
                            {"Name": "a", "Audience": ["a"], "Env": true, "TTL": 3_600_000_000_000_i64},
                            {"Name": "b", "Audience": ["b"]}]},
                        {"DispatchPayload": null, "Lifecycle": null, "RestartPolicy": null}]},
                    {"Count": 1, "ReschedulePolicy": null, "RestartPolicy": {"Attempts": 3},
                     "Tasks": [{}]}]
            })))
            .mount(&server)
            .await;
        let client = testing::client(&server.uri());
        let job = client.job(client.place(), "gha").await.unwrap();
        assert_eq!(job.status, JobStatus::Other("strange".into()));
        let rules = job.parameterized.unwrap();
        assert_eq!(rules.payload, PayloadRule::Required);
        assert_eq!(rules.meta_required, ["k"]);
        let group = |count, reschedules, restarts, takes_payload| Group {
            count,
            reschedules,
            restarts,
            takes_payload,
            reads_variables: false,
            has_vault: false,
            identities: if takes_payload {
                vec![Identity { audience: vec!["a".into()], ends: true }]
            } else {
                vec![]
            },
        };
        assert_eq!(job.groups, [group(2, true, false, true), group(1, false, true, false)]);
        assert_eq!(job.dispatch_idempotency_token, None);
    }

    #[tokio::test]
    async fn each_failure_has_its_kind() {
        for (status, body, shown) in [
            (404, "job not found", "GET /v1/job/gha: not found"),
            (403, "Permission denied", "GET /v1/job/gha: Permission denied (is the ACL"),
            (401, "Unauthorized", "GET /v1/job/gha: Unauthorized (is the ACL"),
            (500, "rpc error: rpc error: No cluster leader", "/gha: 500: No cluster leader"),
            (200, "{", "GET /v1/job/gha: unexpected answer"),
            (307, "", "unexpected answer: a redirect (307)"),
            (429, "Your IP is issuing too many concurrent connections", "too many connections"),
        ] {
            let server = MockServer::start().await;
            Mock::given(method("GET"))
                .respond_with(ResponseTemplate::new(status).set_body_string(body))
                .mount(&server)
                .await;
            let client = testing::client(&server.uri());
            let error = client.job(client.place(), "gha").await.unwrap_err();
            assert!(error.to_string().contains(shown), "{error}");
            assert_eq!(matches!(error, Error::NotFound { .. }), status == 404);
        }
    }

    #[tokio::test]
    async fn ids_that_a_url_would_swallow_are_not_sent() {
        let server = MockServer::start().await;
        let client = testing::client(&server.uri());
        for id in ["", ".", ".."] {
            assert!(client.job(client.place(), id).await.is_err());
        }
        assert!(server.received_requests().await.unwrap().is_empty());
    }
}
