//! Webhooks of repositories and organizations, to see whether one reaches us. What they have
//! delivered is in `deliveries`, changing them in `hook_changes`.

use serde::Deserialize;
use serde_json::Value;

use super::error::Error;
use super::paging::Pages;
use super::registration;
use super::transport::{Call, Client};
use super::wire;

/// A webhook. GitHub never tells its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    pub id: u64,
    /// Where it delivers.
    pub url: String,
    pub events: Vec<String>,
    pub active: bool,
    /// `json` or `form`.
    pub content_type: Option<String>,
    /// `1` where GitHub does not verify the receiver's certificate.
    pub insecure_ssl: Option<String>,
    pub last_response: Option<LastResponse>,
}

impl Hook {
    /// It is sent when something happens to a job, if it is active.
    pub fn tells_of_jobs(&self) -> bool {
        self.events.iter().any(|event| event == "workflow_job" || event == "*")
    }
}

/// How the last delivery went. `code` is None before the first.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct LastResponse {
    pub code: Option<u16>,
    pub status: Option<String>,
    pub message: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct WireHook {
    id: u64,
    #[serde(default)]
    active: bool,
    #[serde(default, deserialize_with = "wire::or_default")]
    events: Vec<String>,
    config: WireConfig,
    last_response: Option<LastResponse>,
}

#[derive(Deserialize)]
struct WireConfig {
    #[serde(default, deserialize_with = "wire::or_default")]
    url: String,
    content_type: Option<String>,
    /// A text or a number.
    #[serde(default)]
    insecure_ssl: Value,
}

impl Client {
    /// `GET /repos/…/hooks`, all pages. Needs [`Operation::Hooks`](super::Operation::Hooks).
    pub async fn hooks(&self, repo: &str) -> Result<Vec<Hook>, Error> {
        let mut path = registration::repository(repo);
        path.push("hooks");
        self.pages(Call::get(path), read).await
    }

    /// `GET /orgs/…/hooks`, all pages. Needs "Webhooks: read" of the organization.
    pub async fn organization_hooks(&self, login: &str) -> Result<Vec<Hook>, Error> {
        self.pages(Call::get(vec!["orgs", login, "hooks"]), read).await
    }

    /// The same, for what is known of them already.
    pub async fn organization_hooks_again(
        &self,
        login: &str,
        known: &mut Pages<Hook>,
    ) -> Result<(), Error> {
        self.pages_again(Call::get(vec!["orgs", login, "hooks"]), known, read, |hook| hook).await
    }
}

fn read(page: Vec<WireHook>) -> Vec<Hook> {
    page.into_iter().map(read_one).collect()
}

pub(super) fn read_one(wire: WireHook) -> Hook {
    let insecure_ssl = match wire.config.insecure_ssl {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    Hook {
        id: wire.id,
        url: wire.config.url,
        events: wire.events,
        active: wire.active,
        content_type: wire.config.content_type,
        insecure_ssl,
        last_response: wire.last_response,
    }
}

#[cfg(test)]
mod tests {
    use crate::testing;
    use serde_json::json;
    use wiremock::matchers::path;
    use wiremock::{Mock, MockServer, ResponseTemplate};

    #[tokio::test]
    async fn hooks_are_read() {
        let server = MockServer::start().await;
        Mock::given(path("/repos/o/r/hooks"))
            .respond_with(ResponseTemplate::new(200).set_body_json(json!([
                {"id": 1, "active": true, "events": ["workflow_job"],
                 "config": {"url": "https://x/webhook", "content_type": "json", "secret": "********"},
                 "last_response": {"code": null, "status": "unused", "message": null}}
            ])))
            .mount(&server)
            .await;
        let hooks = testing::client(&server.uri()).hooks("o/r").await.unwrap();
        assert_eq!(hooks[0].url, "https://x/webhook");
        assert_eq!(hooks[0].last_response.as_ref().unwrap().code, None);
    }
}
