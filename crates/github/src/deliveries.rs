//! A hook's log of deliveries, an organization's or an App's: what GitHub has sent, and what failed. Kept for
//! three days (seven on Enterprise Server); GitHub does not send again by itself.
//!
//! Source: docs.github.com/en/rest/orgs/webhooks, `…/apps/webhooks`; OpenAPI `hook-delivery-item`.

use std::collections::BTreeSet;

use jiff::Timestamp;
use reqwest::StatusCode;
use serde::Deserialize;

use super::conditional::Conditional;
use super::error::Error;
use super::transport::{self, Call, Client, Target};
use super::wire;

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

/// Whose log it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogOf {
    /// A hook's of an organization.
    Organization { login: String, hook: String },
    /// The App's own, of all its installations; by its JWT only.
    App,
}

impl LogOf {
    pub fn organization(login: &str, hook: u64) -> LogOf {
        LogOf::Organization { login: login.to_owned(), hook: hook.to_string() }
    }

    fn path(&self) -> Vec<&str> {
        match self {
            LogOf::Organization { login, hook } => vec!["orgs", login, "hooks", hook, "deliveries"],
            LogOf::App => vec!["app", "hook", "deliveries"],
        }
    }
}

/// What is new in a log, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct New {
    pub deliveries: Vec<Delivery>,
    /// It was not read to the one that is known, for there was too much.
    pub cut: bool,
}

impl New {
    /// The newest attempt of each event that no attempt has delivered: every attempt is a delivery
    /// of its own, with the `guid` of the first.
    pub fn failed(&self) -> impl Iterator<Item = &Delivery> {
        let delivered: BTreeSet<&str> =
            self.deliveries.iter().filter(|one| !one.failed()).map(|one| &*one.guid).collect();
        let mut seen = BTreeSet::new();
        self.deliveries
            .iter()
            .filter(move |one| !delivered.contains(&*one.guid) && seen.insert(&*one.guid))
    }
}

impl Client {
    /// `GET …/deliveries`, newest first, down to and without the delivery `after`; if the newest are
    /// others than when `etag` was told. Reads at most `pages` pages of a hundred.
    pub async fn deliveries_after(
        &self,
        log: &LogOf,
        after: Option<u64>,
        etag: Option<&str>,
        pages: usize,
    ) -> Result<Conditional<New>, Error> {
        let mut call = Call::get(log.path()).query("per_page", "100");
        call.etag = etag;
        let request = call.name();
        let mut answer = self.call(call).await?;
        if answer.status == StatusCode::NOT_MODIFIED {
            return Ok(Conditional::Unchanged);
        }
        let etag = answer.etag();
        let mut deliveries: Vec<Delivery> = Vec::new();
        for page in 1.. {
            for delivery in transport::parse::<Vec<Delivery>>(request.clone(), &answer)? {
                if after.is_some_and(|after| delivery.id <= after) {
                    return Ok(Conditional::Fresh { value: New { deliveries, cut: false }, etag });
                }
                deliveries.push(delivery);
            }
            let Some(next) = answer.next() else { break };
            if page >= pages {
                return Ok(Conditional::Fresh { value: New { deliveries, cut: true }, etag });
            }
            let mut call = Call::get(Vec::new());
            call.target = Target::Url(next);
            answer = self.call(call).await?;
        }
        Ok(Conditional::Fresh { value: New { deliveries, cut: false }, etag })
    }

    /// `GET …/deliveries/:id`: the payload that was sent, as JSON.
    pub async fn delivered_payload(
        &self,
        log: &LogOf,
        delivery: u64,
    ) -> Result<Option<serde_json::Value>, Error> {
        let delivery = delivery.to_string();
        let mut path = log.path();
        path.push(&delivery);
        Ok(self.read::<WireWhole>(Call::get(path)).await?.0.request.payload)
    }
}

#[cfg(test)]
mod tests {
    use super::{Delivery, LogOf, New};
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
        let log = LogOf::organization("o", 9);
        let read = async |pages| {
            let new = client.deliveries_after(&log, Some(2), None, pages).await.unwrap();
            let Conditional::Fresh { value: new, .. } = new else { panic!("{new:?}") };
            (new.deliveries.iter().map(|d| d.id).collect::<Vec<_>>(), new.cut)
        };
        assert_eq!(read(100).await, (vec![5, 4, 3], false));
        assert_eq!(read(1).await, (vec![5, 4], true));
    }

    #[test]
    fn an_event_has_failed_where_no_attempt_of_it_has_succeeded() {
        let one = |id, guid: &str, status: &str| {
            let mut one = delivery(id, status);
            one["guid"] = guid.into();
            serde_json::from_value::<Delivery>(one).unwrap()
        };
        let deliveries = vec![
            one(6, "twice", "timed out"),
            one(5, "mended", "OK"),
            one(4, "once", "Invalid HTTP Response: 503"),
            one(3, "mended", "timed out"),
            one(2, "twice", "timed out"),
            one(1, "good", "OK"),
        ];
        let new = New { deliveries, cut: false };
        assert_eq!(new.failed().map(|one| one.id).collect::<Vec<_>>(), [6, 4]);
    }
}
