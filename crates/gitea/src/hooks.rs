//! Webhooks of repositories and organizations, to see whether one reaches us. Gitea's API tells
//! nothing of what they have delivered. Changing them is in `hook_changes`.

use secrecy::SecretString;
use serde::Deserialize;

use super::error::Error;
use super::owner::Owner;
use super::paging::Page;
use super::transport::{Call, Client};
use super::wire;

/// A webhook. Gitea never tells its secret.
#[derive(Clone, Debug)]
pub struct Hook {
    pub id: u64,
    /// `gitea`, `gogs`, `slack`, …: what its bodies look like.
    pub kind: String,
    /// Where it delivers.
    pub url: String,
    pub events: Vec<String>,
    pub active: bool,
    /// `json` or `form`.
    pub content_type: Option<String>,
    pub branch_filter: String,
    /// Sent with each delivery.
    pub authorization_header: SecretString,
}

impl Hook {
    /// It is sent when something happens to a job, if it is active.
    pub fn tells_of_jobs(&self) -> bool {
        self.kind == "gitea" && self.events.iter().any(|event| event == "workflow_job")
    }
}

#[derive(Deserialize)]
pub(super) struct WireHook {
    id: u64,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    active: bool,
    #[serde(default, deserialize_with = "wire::or_default")]
    events: Vec<String>,
    config: WireConfig,
    #[serde(default)]
    branch_filter: String,
    #[serde(default)]
    authorization_header: String,
}

#[derive(Deserialize)]
struct WireConfig {
    #[serde(default)]
    url: String,
    content_type: Option<String>,
}

impl Client {
    /// `GET …/hooks`, all pages. Only an owner or an administrator may.
    pub async fn hooks(&self, of: Owner<'_>) -> Result<Vec<Hook>, Error> {
        let mut path = of.path();
        path.push("hooks");
        let page =
            |wire: Vec<WireHook>| Page { items: wire.into_iter().map(read).collect(), total: None };
        Ok(self.pages(Call::get(path), page, |hook| hook.id).await?.items)
    }
}

pub(super) fn read(wire: WireHook) -> Hook {
    Hook {
        id: wire.id,
        kind: wire.kind,
        url: wire.config.url,
        events: wire.events,
        active: wire.active,
        content_type: wire.config.content_type,
        branch_filter: wire.branch_filter,
        authorization_header: wire.authorization_header.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::client;

    #[tokio::test]
    async fn only_a_hook_in_giteas_own_form_tells_of_jobs() {
        let hook = |id: u64, kind: &str, events: &[&str]| {
            json!({"id": id, "type": kind, "active": true, "events": events,
                "config": {"url": "http://door/webhook", "content_type": "json"}})
        };
        let server = wiremock::MockServer::start().await;
        let client = client(&server.uri());
        // A page that says nothing of a total is followed by one more.
        let page = |number: &str| {
            wiremock::Mock::given(wiremock::matchers::query_param("page", number.to_owned()))
        };
        let hooks = json!([
            hook(1, "gitea", &["push", "workflow_job"]),
            hook(2, "slack", &["workflow_job"]),
            hook(3, "gitea", &["workflow_run"]),
        ]);
        let answer = wiremock::ResponseTemplate::new(200);
        page("1").respond_with(answer.clone().set_body_json(hooks)).mount(&server).await;
        page("2").respond_with(answer.set_body_json(json!([]))).mount(&server).await;
        let hooks = client.hooks(Owner::Organization("o")).await.unwrap();
        let telling: Vec<u64> = hooks.iter().filter(|h| h.tells_of_jobs()).map(|h| h.id).collect();
        assert_eq!(telling, [1]);
        assert_eq!(hooks[0].content_type.as_deref(), Some("json"));
    }
}
