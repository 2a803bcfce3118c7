//! Finding dispatched children by the idempotency token of their dispatch.
//!
//! The list shows no tokens, but the filter sees them (Nomad `nomad/job_endpoint.go` `Job.List`
//! filters whole jobs); [`job`](super::Client::job) tells a child's token. All of these need the
//! capability `list-jobs`; a child that Nomad has collected is not found.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use super::connection::Place;
use super::endpoint::Endpoint;
use super::error::Error;
use super::filter;
use super::job::JobStatus;
use super::transport::{Call, Client};
use super::wire::{self, Map};

/// Jobs a page.
const PAGE: u32 = 500;
/// A daemon has thousands of children at most; this ends a list that never does.
const MAX_PAGES: usize = 1000;

/// A dispatched child, as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildStub {
    pub id: String,
    pub parent_id: Option<String>,
    pub status: JobStatus,
    pub stop: bool,
    /// When it was dispatched, or stopped since.
    pub submit_time: Timestamp,
    /// Summed over its task groups.
    pub counts: AllocationCounts,
}

/// How many allocations are in which state (Nomad `TaskGroupSummary`). `queued` waits for room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AllocationCounts {
    pub queued: u64,
    pub starting: u64,
    pub running: u64,
    pub complete: u64,
    pub failed: u64,
    pub lost: u64,
    pub unknown: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireStub {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "ParentID", default, deserialize_with = "wire::or_default")]
    parent_id: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    status: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    stop: bool,
    #[serde(default, deserialize_with = "wire::or_default")]
    submit_time: i64,
    job_summary: Option<WireSummary>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireSummary {
    #[serde(default)]
    summary: Map<WireCounts>,
}

/// Nomad has shown negative counts (hashicorp/nomad#24669).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct WireCounts {
    queued: i64,
    starting: i64,
    running: i64,
    complete: i64,
    failed: i64,
    lost: i64,
    unknown: i64,
}

impl From<WireStub> for ChildStub {
    fn from(wire: WireStub) -> ChildStub {
        let groups: BTreeMap<_, _> = wire.job_summary.and_then(|s| s.summary).unwrap_or_default();
        let mut counts = AllocationCounts::default();
        let add = |sum: &mut u64, count: i64| *sum += u64::try_from(count).unwrap_or(0);
        for group in groups.values() {
            add(&mut counts.queued, group.queued);
            add(&mut counts.starting, group.starting);
            add(&mut counts.running, group.running);
            add(&mut counts.complete, group.complete);
            add(&mut counts.failed, group.failed);
            add(&mut counts.lost, group.lost);
            add(&mut counts.unknown, group.unknown);
        }
        ChildStub {
            id: wire.id,
            parent_id: wire::some(wire.parent_id),
            status: wire.status.as_str().into(),
            stop: wire.stop,
            submit_time: wire::time(wire.submit_time),
            counts,
        }
    }
}

impl Client {
    /// The child whose dispatch gave exactly this token. Tokens are per parent: without `parent`,
    /// several may match and the first is told.
    pub async fn child_by_token(
        &self,
        place: &Place,
        parent: Option<&str>,
        token: &str,
    ) -> Result<Option<ChildStub>, Error> {
        let filter = filter::equals("DispatchIdempotencyToken", token);
        Ok(self.children(place, parent, filter).await?.into_iter().next())
    }

    /// All children, of every parent in the namespace, whose token begins so.
    pub async fn children_by_token_prefix(
        &self,
        place: &Place,
        prefix: &str,
    ) -> Result<Vec<ChildStub>, Error> {
        let filter = filter::starts_with("DispatchIdempotencyToken", prefix);
        self.children(place, None, filter).await
    }

    async fn children(
        &self,
        place: &Place,
        parent: Option<&str>,
        filter: String,
    ) -> Result<Vec<ChildStub>, Error> {
        let mut children = Vec::new();
        let mut next = None;
        for _ in 0..MAX_PAGES {
            let mut call = Call::to(Endpoint::Jobs)
                .at(place)
                .query("filter", filter.as_str())
                .query("per_page", PAGE.to_string());
            if let Some(parent) = parent {
                call = call.query("prefix", format!("{parent}/dispatch-"));
            }
            if let Some(token) = next.take() {
                call = call.query("next_token", token);
            }
            let (page, answer) = self.read::<Option<Vec<WireStub>>>(call).await?;
            children.extend(page.unwrap_or_default().into_iter().map(ChildStub::from));
            next = answer.next_token;
            if next.is_none() {
                return Ok(children);
            }
        }
        let reason = "a list without end".to_owned();
        Err(Error::Protocol { request: "GET /v1/jobs".to_owned(), reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use serde_json::json;
    use wiremock::matchers::{path, query_param, query_param_is_missing};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    #[tokio::test]
    async fn a_token_is_looked_up_below_its_parent() {
        let server = MockServer::start().await;
        Mock::given(path("/v1/jobs"))
            .and(query_param("prefix", "gha/dispatch-"))
            .and(query_param("filter", r#"DispatchIdempotencyToken == "r-x@o/r\x22""#))
            .respond_with(ResponseTemplate::new(200).set_body_json(json!([{
                "ID": "gha/dispatch-1-ab", "ParentID": "gha", "Status": "running", "Stop": true,
                "SubmitTime": 5, "JobSummary": {"Summary": {
                    "a": {"Queued": 1, "Running": 2}, "b": {"Running": 1, "Lost": -3}}}
            }])))
            .mount(&server)
            .await;
        let client = testing::client(&server.uri());
        let found = client.child_by_token(client.place(), Some("gha"), "r-x@o/r\"").await;
        let child = found.unwrap().unwrap();
        assert!(child.stop);
        let counts = AllocationCounts { queued: 1, running: 3, ..Default::default() };
        assert_eq!(child.counts, counts);
    }

    #[tokio::test]
    async fn nothing_found_is_none() {
        let server = MockServer::start().await;
        Mock::given(path("/v1/jobs"))
            .respond_with(ResponseTemplate::new(200).set_body_string("null"))
            .mount(&server)
            .await;
        let client = testing::client(&server.uri());
        assert_eq!(client.child_by_token(client.place(), None, "t").await.unwrap(), None);
    }

    #[tokio::test]
    async fn all_pages_are_read() {
        let server = MockServer::start().await;
        let stub = |id: &str| json!([{"ID": id, "Status": "dead", "JobSummary": null}]);
        Mock::given(path("/v1/jobs"))
            .and(query_param_is_missing("next_token"))
            .and(query_param("filter", r#"DispatchIdempotencyToken matches "^r-""#))
            .respond_with(
                ResponseTemplate::new(200)
                    .insert_header("X-Nomad-NextToken", "default.b")
                    .set_body_json(stub("a")),
            )
            .mount(&server)
            .await;
        Mock::given(path("/v1/jobs"))
            .and(query_param("next_token", "default.b"))
            .respond_with(ResponseTemplate::new(200).set_body_json(stub("b")))
            .mount(&server)
            .await;
        let client = testing::client(&server.uri());
        let found = client.children_by_token_prefix(client.place(), "r-").await.unwrap();
        let ids: Vec<_> = found.iter().map(|c| c.id.as_str()).collect();
        assert_eq!(ids, ["a", "b"]);
    }
}
