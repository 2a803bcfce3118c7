//! Registered runners: list, look at, disable, delete.
//!
//! `busy` says that the runner has sent a task's log or state within 10 s: it is false for a job
//! that was only just given out, and true for a while after one. Which job names the runner is in
//! `jobs`. An ephemeral runner's registration is gone before its job is told to have ended.

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::error::Error;
use super::owner::Owner;
use super::paging::Page;
use super::transport::{Call, Client};

/// A registered runner.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Runner {
    pub id: u64,
    pub name: String,
    #[serde(default)]
    pub busy: bool,
    /// It is given no job. None: this Gitea (before 1.26) cannot disable runners.
    pub disabled: Option<bool>,
}

#[derive(Deserialize)]
struct WireRunners {
    runners: Option<Vec<Runner>>,
    total_count: Option<u64>,
}

impl Client {
    /// `GET …/actions/runners`, all pages, of exactly this owner.
    pub async fn runners(&self, of: Owner<'_>) -> Result<Vec<Runner>, Error> {
        let call = Call::get(of.actions(&["runners"]));
        let request = call.name();
        let page =
            |p: WireRunners| Page { items: p.runners.unwrap_or_default(), total: p.total_count };
        self.pages(call, page, |runner| runner.id).await?.whole(&request)
    }

    /// `GET …/actions/runners/:id`.
    pub async fn runner(&self, of: Owner<'_>, id: u64) -> Result<Runner, Error> {
        let id = id.to_string();
        Ok(self.read(Call::get(of.actions(&["runners", &id]))).await?.0)
    }

    /// `PATCH …/actions/runners/:id`: from the answer on it is given no new job. Since 1.26.
    pub async fn disable_runner(&self, of: Owner<'_>, id: u64) -> Result<(), Error> {
        let id = id.to_string();
        let mut call = Call::new(Method::PATCH, of.actions(&["runners", &id]));
        call.body = Some(json!({"disabled": true}));
        self.call(call).await.map(drop)
    }

    /// `DELETE …/actions/runners/:id`: also of one that is at work, whose job then hangs until
    /// Gitea's zombie timeout.
    pub async fn delete_runner(&self, of: Owner<'_>, id: u64) -> Result<(), Error> {
        let id = id.to_string();
        self.call(Call::new(Method::DELETE, of.actions(&["runners", &id]))).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use wiremock::matchers::{body_json, method, path};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::*;
    use crate::testing::{answering, client};

    #[tokio::test]
    async fn an_old_gitea_does_not_say_whether_a_runner_is_disabled() {
        let runner = |disabled: serde_json::Value| {
            let mut runner = json!({"id": 3, "name": "r", "status": "online", "busy": true,
                "ephemeral": true, "labels": [{"id": 0, "name": "linux", "type": "custom"}]});
            if !disabled.is_null() {
                runner["disabled"] = disabled;
            }
            runner
        };
        let at = "/repos/o/r/actions/runners/3";
        for (said, understood) in [(json!(null), None), (json!(false), Some(false))] {
            let (client, _server) = answering("GET", at, runner(said)).await;
            let seen = client.runner(Owner::Repository("o/r"), 3).await.unwrap();
            assert_eq!((seen.busy, seen.disabled), (true, understood));
        }
    }

    #[tokio::test]
    async fn a_runner_is_disabled_and_deleted_by_its_id() {
        let server = MockServer::start().await;
        Mock::given(method("PATCH"))
            .and(path("/api/v1/orgs/o/actions/runners/3"))
            .and(body_json(json!({"disabled": true})))
            .respond_with(ResponseTemplate::new(200).set_body_json(json!({})))
            .expect(1)
            .mount(&server)
            .await;
        Mock::given(method("DELETE"))
            .and(path("/api/v1/orgs/o/actions/runners/3"))
            .respond_with(ResponseTemplate::new(204))
            .expect(1)
            .mount(&server)
            .await;
        let client = client(&server.uri());
        client.disable_runner(Owner::Organization("o"), 3).await.unwrap();
        client.delete_runner(Owner::Organization("o"), 3).await.unwrap();
    }
}
