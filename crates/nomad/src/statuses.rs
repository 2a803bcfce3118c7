//! The state of many known jobs in one call, waiting for a change where the caller wants it.
//!
//! `POST /v1/jobs/statuses`, since Nomad 1.8.0 (Nomad `nomad/job_endpoint_statuses.go`). Failure
//! reasons are not in it: see `evaluation` (not placed) and `allocation` (placed).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::allocation::ClientStatus;
use super::connection::Place;
use super::endpoint::Endpoint;
use super::error::Error;
use super::job::JobStatus;
use super::transport::{Call, Client, TIMEOUT};
use super::wire;

/// Nomad's own limit.
const MAX_WAIT: Duration = Duration::from_secs(600);

/// What was asked for and exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses {
    /// For the next call with the *same* ids: it covers only these jobs.
    pub index: u64,
    pub jobs: Vec<ChildStatus>,
}

/// One job and its allocations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildStatus {
    pub id: String,
    pub status: JobStatus,
    pub stop: bool,
    pub allocations: Vec<AllocStub>,
}

/// An allocation, in short. More than one means that Nomad replaced the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllocStub {
    pub id: String,
    pub client_status: ClientStatus,
    pub node_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct WireRequest<'a> {
    jobs: Vec<WireId<'a>>,
}

#[derive(Serialize)]
struct WireId<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    #[serde(rename = "Namespace")]
    namespace: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireStatus {
    #[serde(rename = "ID")]
    id: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    status: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    stop: bool,
    #[serde(default, deserialize_with = "wire::or_default")]
    allocs: Vec<WireAlloc>,
}

#[derive(Deserialize)]
struct WireAlloc {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "ClientStatus", default, deserialize_with = "wire::or_default")]
    client_status: String,
    #[serde(rename = "NodeID", default, deserialize_with = "wire::or_default")]
    node_id: String,
}

impl From<WireStatus> for ChildStatus {
    fn from(wire: WireStatus) -> ChildStatus {
        let allocation = |a: WireAlloc| AllocStub {
            id: a.id,
            client_status: a.client_status.as_str().into(),
            node_id: a.node_id,
        };
        ChildStatus {
            id: wire.id,
            status: wire.status.as_str().into(),
            stop: wire.stop,
            allocations: wire.allocs.into_iter().map(allocation).collect(),
        }
    }
}

impl Client {
    /// The state of these jobs. Needs the capability `read-job`.
    ///
    /// With `index` (of the answer before, for the same ids) it blocks until one of them changes
    /// or `wait` (at most 10 min) and up to a sixteenth more have passed; a return does not mean
    /// a change. After a change of `ids` ask without `index`: a new one may be older than it.
    /// An id that is absent from the answer was collected or never was; older Nomads also leave
    /// out jobs that changed in one and the same index (hashicorp/nomad#28132), so ask
    /// [`job`](Self::job) before concluding anything.
    ///
    /// # Errors
    /// [`Error::Unsupported`] before Nomad 1.8.
    pub async fn statuses(
        &self,
        place: &Place,
        ids: &[String],
        index: Option<u64>,
        wait: Duration,
    ) -> Result<Statuses, Error> {
        if ids.is_empty() {
            // Nomad refuses an empty list with 400.
            return Ok(Statuses { index: 0, jobs: Vec::new() });
        }
        let request = "POST /v1/jobs/statuses";
        let jobs = ids.iter().map(|id| WireId { id, namespace: &place.namespace }).collect();
        let body = serde_json::to_vec(&WireRequest { jobs })
            .map_err(|e| Error::Protocol { request: request.to_owned(), reason: e.to_string() })?;
        // Nomad sets the page to the number of ids itself; its next token then means nothing.
        let mut call = Call::to(Endpoint::Statuses)
            .at(place)
            .query("include_children", "true")
            .query("per_page", ids.len().to_string())
            .body(body);
        if let Some(index) = index {
            let wait = wait.min(MAX_WAIT);
            call = call.query("index", index.to_string());
            call = call.query("wait", format!("{}ms", wait.as_millis()));
            call.timeout = wait + wait / 16 + TIMEOUT;
        }
        match self.read::<Option<Vec<WireStatus>>>(call).await {
            Ok((jobs, answer)) => Ok(Statuses {
                index: answer.index,
                jobs: jobs.unwrap_or_default().into_iter().map(ChildStatus::from).collect(),
            }),
            Err(Error::NotFound { request }) => Err(Error::Unsupported { request }),
            Err(other) => Err(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use serde_json::json;
    use wiremock::matchers::{body_json, method, path, query_param};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    fn ids() -> Vec<String> {
        vec!["gha/dispatch-1-ab".to_owned(), "gone".to_owned()]
    }

    #[tokio::test]
    async fn a_blocking_question_and_its_answer() {
        let server = MockServer::start().await;
        Mock::given(method("POST"))
            .and(path("/v1/jobs/statuses"))
            .and(query_param("include_children", "true"))
            .and(query_param("index", "41"))
            .and(query_param("wait", "30000ms"))
            .and(body_json(json!({"Jobs": [
                {"ID": "gha/dispatch-1-ab", "Namespace": "default"},
                {"ID": "gone", "Namespace": "default"}
            ]})))
            .respond_with(
                ResponseTemplate::new(200).insert_header("X-Nomad-Index", "42").set_body_json(
                    json!([{"ID": "gha/dispatch-1-ab", "Namespace": "default", "Stop": false,
                        "Status": "running", "Allocs": [
                            {"ID": "a1", "ClientStatus": "running", "NodeID": "n1"}]}]),
                ),
            )
            .mount(&server)
            .await;
        let client = testing::client(&server.uri());
        let wait = Duration::from_secs(30);
        let statuses = client.statuses(client.place(), &ids(), Some(41), wait).await.unwrap();
        assert_eq!(statuses.index, 42);
        assert_eq!(statuses.jobs.len(), 1);
        assert_eq!(statuses.jobs[0].allocations[0].client_status, ClientStatus::Running);
    }

    #[tokio::test]
    async fn an_old_agent_is_told_apart() {
        for status in [404, 405] {
            let server = MockServer::start().await;
            Mock::given(method("POST"))
                .respond_with(ResponseTemplate::new(status).set_body_string("Invalid method"))
                .mount(&server)
                .await;
            let client = testing::client(&server.uri());
            let error = client.statuses(client.place(), &ids(), None, Duration::ZERO).await;
            assert!(matches!(error, Err(Error::Unsupported { .. })), "{error:?}");
        }
    }

    #[tokio::test]
    async fn no_ids_ask_nothing() {
        let client = testing::client(&testing::closed_port().await);
        let statuses = client.statuses(client.place(), &[], Some(3), Duration::ZERO).await;
        assert_eq!(statuses.unwrap().jobs, []);
    }
}
