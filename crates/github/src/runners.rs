//! Registered runners: list and delete.
//!
//! What GitHub says of a runner lags: `busy` was seen false for up to a minute and more after a
//! job began, and a delete to succeed on a runner at work (actions/runner#4422). A runner that is
//! not listed may still be at work, for a job consumes an ephemeral registration.

use reqwest::Method;
use serde::Deserialize;

use super::error::Error;
use super::paging::Pages;
use super::registration::RunnersOf;
use super::transport::{Call, Client};
use super::wire;

/// A registered runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runner {
    pub id: u64,
    pub name: String,
    /// `online` or `offline`.
    pub status: String,
    pub busy: bool,
    pub labels: Vec<String>,
    /// Of its program, once it has connected. Older Enterprise Servers do not tell it.
    pub version: Option<String>,
}

/// What became of a delete. None of them proves that no job runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteOutcome {
    /// 204: it will be given no new job.
    Deleted,
    /// 422: it is running a job and stays.
    Busy,
    /// 404: there is none such, or the token may not see it.
    NotFound,
}

#[derive(Deserialize)]
struct WireRunners {
    runners: Vec<WireRunner>,
}

#[derive(Deserialize)]
struct WireRunner {
    id: u64,
    name: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    busy: bool,
    #[serde(default, deserialize_with = "wire::or_default")]
    labels: Vec<WireLabel>,
    #[serde(default)]
    version: Option<String>,
}

#[derive(Deserialize)]
struct WireLabel {
    name: String,
}

impl From<WireRunner> for Runner {
    fn from(wire: WireRunner) -> Runner {
        Runner {
            id: wire.id,
            name: wire.name,
            status: wire.status,
            busy: wire.busy,
            labels: wire.labels.into_iter().map(|l| l.name).collect(),
            version: wire.version,
        }
    }
}

impl Client {
    /// `GET …/actions/runners`, all pages; with `name`, only the runner of exactly that name.
    pub async fn runners(
        &self,
        of: RunnersOf<'_>,
        name: Option<&str>,
    ) -> Result<Vec<Runner>, Error> {
        let mut call = Call::get(of.path());
        if let Some(name) = name {
            call = call.query("name", name);
        }
        let mut all = self
            .pages(call, |p: WireRunners| p.runners.into_iter().map(Runner::from).collect())
            .await?;
        // Older Enterprise Servers ignore the parameter.
        all.retain(|runner| name.is_none_or(|name| runner.name == name));
        Ok(all)
    }

    /// All runners of the scope, for what is known of them already.
    pub async fn runners_again<T>(
        &self,
        of: RunnersOf<'_>,
        known: &mut Pages<T>,
        keep: impl Fn(Runner) -> T,
    ) -> Result<(), Error> {
        let items = |p: WireRunners| p.runners.into_iter().map(Runner::from).collect();
        self.pages_again(Call::get(of.path()), known, items, keep).await
    }

    /// `GET …/actions/runners/:id`.
    pub async fn runner(&self, of: RunnersOf<'_>, id: u64) -> Result<Runner, Error> {
        let id = id.to_string();
        let mut path = of.path();
        path.push(&id);
        let (wire, _) = self.read::<WireRunner>(Call::get(path)).await?;
        Ok(wire.into())
    }

    /// `DELETE …/actions/runners/:id`.
    pub async fn delete_runner(&self, of: RunnersOf<'_>, id: u64) -> Result<DeleteOutcome, Error> {
        let id = id.to_string();
        let mut path = of.path();
        path.push(&id);
        match self.call(Call::new(Method::DELETE, path)).await {
            Ok(_) => Ok(DeleteOutcome::Deleted),
            // Its only documented cause: "Runner … is still running a job".
            Err(Error::Unprocessable { .. }) => Ok(DeleteOutcome::Busy),
            Err(Error::NotFound { .. }) => Ok(DeleteOutcome::NotFound),
            Err(other) => Err(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use serde_json::json;
    use wiremock::matchers::{method, path, query_param, query_param_is_missing};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    fn page(names: &[&str]) -> ResponseTemplate {
        let runner = |name: &&str| {
            json!({"id": 1, "name": name, "os": "linux", "status": "online", "busy": true,
                "labels": [{"id": 1, "name": "x64", "type": "custom"}]})
        };
        let runners: Vec<_> = names.iter().map(runner).collect();
        ResponseTemplate::new(200).set_body_json(json!({"total_count": 9, "runners": runners}))
    }

    #[tokio::test]
    async fn all_pages_are_followed() {
        let server = MockServer::start().await;
        let base = format!("{}/repos/o/r/actions/runners", server.uri());
        let link = format!("<{base}?page=2>; rel=\"next\", <{base}?page=2>; rel=\"last\"");
        let at = || Mock::given(method("GET")).and(path("/repos/o/r/actions/runners"));
        at().and(query_param("per_page", "100"))
            .and(query_param_is_missing("page"))
            .respond_with(page(&["a"]).insert_header("link", link))
            .mount(&server)
            .await;
        let back = format!("<{base}?page=1>; rel=\"prev\"");
        at().and(query_param("page", "2"))
            .respond_with(page(&["b"]).insert_header("link", back))
            .mount(&server)
            .await;
        let client = testing::client(&server.uri());
        let all = client.runners(RunnersOf::Repository("o/r"), None).await.unwrap();
        let names: Vec<_> = all.iter().map(|r| r.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(all[0].labels, ["x64"]);
    }

    #[tokio::test]
    async fn the_token_follows_no_page_to_another_origin() {
        let server = MockServer::start().await;
        let elsewhere = MockServer::start().await;
        let link = format!("<{}/x>; rel=\"next\"", elsewhere.uri());
        Mock::given(method("GET"))
            .respond_with(page(&["a"]).insert_header("link", link))
            .mount(&server)
            .await;
        let client = testing::client(&server.uri());
        let error = client.runners(RunnersOf::Organization("o"), None).await.unwrap_err();
        assert!(matches!(error, Error::Protocol { .. }), "{error}");
        assert!(elsewhere.received_requests().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_name_is_matched_whole() {
        let server = MockServer::start().await;
        Mock::given(query_param("name", "r-1"))
            .respond_with(page(&["r-1", "r-12"]))
            .mount(&server)
            .await;
        let client = testing::client(&server.uri());
        let all = client.runners(RunnersOf::Organization("o"), Some("r-1")).await.unwrap();
        assert_eq!(all.len(), 1);
    }

    #[tokio::test]
    async fn a_delete_has_three_outcomes() {
        for (status, outcome) in [
            (204, DeleteOutcome::Deleted),
            (422, DeleteOutcome::Busy),
            (404, DeleteOutcome::NotFound),
        ] {
            let server = MockServer::start().await;
            Mock::given(method("DELETE"))
                .and(path("/repos/o/r/actions/runners/5"))
                .respond_with(ResponseTemplate::new(status))
                .mount(&server)
                .await;
            let client = testing::client(&server.uri());
            let of = RunnersOf::Repository("o/r");
            assert_eq!(client.delete_runner(of, 5).await.unwrap(), outcome);
        }
    }
}
