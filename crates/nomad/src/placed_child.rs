//! An allocation by its id, with the dispatched job that it runs.

use serde::Deserialize;

use super::allocation::ClientStatus;
use super::endpoint::Endpoint;
use super::error::Error;
use super::transport::{Call, Client};
use super::wire::{self, Map};

/// Whose allocation it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedChild {
    pub allocation: String,
    pub namespace: String,
    pub child: String,
    /// `None`: its job was not dispatched.
    pub parent: Option<String>,
    pub group: String,
    pub client_status: ClientStatus,
    /// `run`, `stop` or `evict`.
    pub desired_status: String,
    pub idempotency_token: Option<String>,
    /// The names of what it was dispatched with.
    pub meta_keys: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WirePlaced {
    #[serde(rename = "ID")]
    id: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    namespace: String,
    #[serde(rename = "JobID", default, deserialize_with = "wire::or_default")]
    job_id: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    task_group: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    client_status: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    desired_status: String,
    job: Option<WireJob>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireJob {
    #[serde(rename = "ParentID", default, deserialize_with = "wire::or_default")]
    parent_id: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    dispatch_idempotency_token: String,
    #[serde(default)]
    meta: Map<serde::de::IgnoredAny>,
}

impl From<WirePlaced> for PlacedChild {
    fn from(wire: WirePlaced) -> PlacedChild {
        let job = wire.job;
        let of_job = |text: fn(&WireJob) -> &String| {
            job.as_ref().map(text).filter(|text| !text.is_empty()).cloned()
        };
        PlacedChild {
            allocation: wire.id,
            namespace: wire.namespace,
            child: wire.job_id,
            parent: of_job(|job| &job.parent_id),
            idempotency_token: of_job(|job| &job.dispatch_idempotency_token),
            group: wire.task_group,
            client_status: wire.client_status.as_str().into(),
            desired_status: wire.desired_status,
            meta_keys: job.and_then(|job| job.meta).unwrap_or_default().into_keys().collect(),
        }
    }
}

impl Client {
    /// `GET /v1/allocation/:id`. Needs the capability `read-job` in the allocation's namespace; without it
    /// Nomad answers 500, as if it did not know the allocation.
    pub async fn placed_child(
        &self,
        region: Option<&str>,
        allocation: &str,
    ) -> Result<PlacedChild, Error> {
        let mut call = Call::to(Endpoint::Allocation(allocation));
        if let Some(region) = region {
            call = call.query("region", region);
        }
        let (wire, _) = self.read::<WirePlaced>(call).await?;
        Ok(wire.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use serde_json::json;
    use wiremock::matchers::path;
    use wiremock::{Mock, MockServer, ResponseTemplate};

    #[tokio::test]
    async fn an_allocation_tells_whose_child_it_runs() {
        let server = MockServer::start().await;
        Mock::given(path("/v1/allocation/a-1"))
            .respond_with(ResponseTemplate::new(200).set_body_json(json!({
                "ID": "a-1", "Namespace": "ci", "JobID": "gha/dispatch-1-ab", "TaskGroup": "runner",
                "ClientStatus": "pending", "DesiredStatus": "run",
                "Job": {"ParentID": "gha", "DispatchIdempotencyToken": "roustabout-x@o/r",
                        "Meta": {"runner_name": "x"}}
            })))
            .mount(&server)
            .await;
        let placed = testing::client(&server.uri()).placed_child(None, "a-1").await.unwrap();
        assert_eq!(placed.parent.as_deref(), Some("gha"));
        assert_eq!(placed.idempotency_token.as_deref(), Some("roustabout-x@o/r"));
        assert_eq!((placed.namespace.as_str(), placed.group.as_str()), ("ci", "runner"));
        assert_eq!(
            (placed.client_status, placed.meta_keys),
            (ClientStatus::Pending, vec!["runner_name".to_owned()])
        );
    }
}
