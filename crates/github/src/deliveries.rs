//! An organization hook's log of deliveries: what GitHub has sent, and what failed. Kept for
//! three days (seven on Enterprise Server); GitHub does not send again by itself.
//!
//! Source: docs.github.com/en/rest/orgs/webhooks; OpenAPI `hook-delivery-item`.

use jiff::Timestamp;
use reqwest::StatusCode;
use serde::Deserialize;

use super::conditional::Conditional;
use super::error::Error;
use super::transport::{self, Call, Client, Target};
use super::wire;

/// Pages of a hundred that are read at most: three days of a busy organization.
const MAX_PAGES: usize = 100;

/// One delivery, without what was sent.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Delivery {
    pub id: u64,
    /// Shared by all deliveries of the same event.
    pub guid: String,
    #[serde(deserialize_with = "wire::time")]
    pub delivered_at: Timestamp,
    /// `OK`, or what went wrong.
    pub status: String,
    pub event: String,
    pub action: Option<String>,
}

impl Delivery {
    pub fn failed(&self) -> bool {
        self.status != "OK"
    }
}

#[derive(Deserialize)]
struct WireWhole {
    request: WireRequest,
}

#[derive(Deserialize)]
struct WireRequest {
    payload: Option<serde_json::Value>,
}

impl Client {
    /// `GET /orgs/…/hooks/:id/deliveries`, newest first, down to and without the delivery `after`;
    /// if the newest are others than when `etag` was told.
    pub async fn deliveries_after(
        &self,
        login: &str,
        hook: u64,
        after: Option<u64>,
        etag: Option<&str>,
    ) -> Result<Conditional<Vec<Delivery>>, Error> {
        let id = hook.to_string();
        let path = vec!["orgs", login, "hooks", &id, "deliveries"];
        let mut call = Call::get(path).query("per_page", "100");
        call.etag = etag;
        let request = call.name();
        let mut answer = self.call(call).await?;
        if answer.status == StatusCode::NOT_MODIFIED {
            return Ok(Conditional::Unchanged);
        }
        let etag = answer.etag();
        let mut all: Vec<Delivery> = Vec::new();
        for _ in 0..MAX_PAGES {
            for delivery in transport::parse::<Vec<Delivery>>(request.clone(), &answer)? {
                if after.is_some_and(|after| delivery.id <= after) {
                    return Ok(Conditional::Fresh { value: all, etag });
                }
                all.push(delivery);
            }
            let Some(next) = answer.next() else { break };
            let mut call = Call::get(Vec::new());
            call.target = Target::Url(next);
            answer = self.call(call).await?;
        }
        Ok(Conditional::Fresh { value: all, etag })
    }

    /// `GET /orgs/…/hooks/:id/deliveries/:id`: the payload that was sent, as JSON.
    pub async fn delivered_payload(
        &self,
        login: &str,
        hook: u64,
        delivery: u64,
    ) -> Result<Option<serde_json::Value>, Error> {
        let (hook, delivery) = (hook.to_string(), delivery.to_string());
        let path = vec!["orgs", login, "hooks", &hook, "deliveries", &delivery];
        Ok(self.read::<WireWhole>(Call::get(path)).await?.0.request.payload)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Conditional, testing};
    use serde_json::json;
    use wiremock::matchers::{path, query_param, query_param_is_missing};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    fn delivery(id: u64, status: &str) -> serde_json::Value {
        json!({"id": id, "guid": format!("g{id}"), "delivered_at": "2026-01-01T00:00:00Z",
            "status": status, "event": "workflow_job", "action": "queued"})
    }

    #[tokio::test]
    async fn deliveries_are_read_down_to_the_one_that_is_known() {
        let server = MockServer::start().await;
        let list = "/orgs/o/hooks/9/deliveries";
        let next = format!("<{}{list}?cursor=3>; rel=\"next\"", server.uri());
        Mock::given(path(list))
            .and(query_param_is_missing("cursor"))
            .respond_with(
                ResponseTemplate::new(200)
                    .insert_header("link", next)
                    .set_body_json(json!([delivery(5, "OK"), delivery(4, "timed out")])),
            )
            .mount(&server)
            .await;
        Mock::given(path(list))
            .and(query_param("cursor", "3"))
            .respond_with(
                ResponseTemplate::new(200)
                    .set_body_json(json!([delivery(3, "OK"), delivery(2, "OK")])),
            )
            .mount(&server)
            .await;
        let client = testing::client(&server.uri());
        let new = client.deliveries_after("o", 9, Some(2), None).await.unwrap();
        let Conditional::Fresh { value: new, .. } = new else { panic!("{new:?}") };
        assert_eq!(new.iter().map(|d| d.id).collect::<Vec<_>>(), [5, 4, 3]);
        assert_eq!(new.iter().map(|d| d.failed()).collect::<Vec<_>>(), [false, true, false]);
    }
}
