//! Making, changing and deleting webhooks. Reading them is in `hooks`.

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::error::Error;
use super::hooks::{Hook, WireHook, read};
use super::owner::Owner;
use super::transport::{Call, Client};

/// `…/hooks`, as path segments.
fn path(of: Owner<'_>) -> Vec<&str> {
    let mut path = of.path();
    path.push("hooks");
    path
}

impl Client {
    /// `POST …/hooks`: one in Gitea's own form, that sends JSON.
    pub async fn create_hook(
        &self,
        of: Owner<'_>,
        url: &str,
        secret: &SecretString,
        events: &[&str],
    ) -> Result<Hook, Error> {
        let secret = secret.expose_secret();
        let config = json!({ "url": url, "content_type": "json", "secret": secret });
        let body = json!({ "type": "gitea", "active": true, "events": events, "config": config });
        let call = Call { body: Some(body), ..Call::new(Method::POST, path(of)) };
        Ok(read(self.read::<WireHook>(call).await?.0))
    }

    /// `PATCH …/hooks/:id`: it sends JSON, is active, and its secret stays, for Gitea cannot change that.
    /// What else it has is told again, for Gitea forgets what is left out.
    pub async fn update_hook(
        &self,
        of: Owner<'_>,
        hook: &Hook,
        events: &[&str],
    ) -> Result<(), Error> {
        let id = hook.id.to_string();
        let mut path = path(of);
        path.push(&id);
        let body = json!({
            "active": true,
            "events": events,
            "config": { "url": hook.url, "content_type": "json" },
            "branch_filter": hook.branch_filter,
            "authorization_header": hook.authorization_header.expose_secret(),
        });
        let call = Call { body: Some(body), ..Call::new(Method::PATCH, path) };
        self.call(call).await.map(drop)
    }

    /// `DELETE …/hooks/:id`; one that is gone already is deleted.
    pub async fn delete_hook(&self, of: Owner<'_>, id: u64) -> Result<(), Error> {
        let id = id.to_string();
        let mut path = path(of);
        path.push(&id);
        match self.call(Call::new(Method::DELETE, path)).await {
            Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use wiremock::matchers::{body_json, method, path};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::*;
    use crate::testing::client;

    #[tokio::test]
    async fn what_a_hook_has_beside_is_kept() {
        let shown = json!({"id": 7, "type": "gitea", "active": false, "events": ["push"],
            "branch_filter": "main", "authorization_header": "Basic hush",
            "config": {"url": "http://door/webhook", "content_type": "form"}});
        let server = MockServer::start().await;
        let wanted = json!({"active": true, "events": ["workflow_job"], "branch_filter": "main",
            "authorization_header": "Basic hush",
            "config": {"url": "http://door/webhook", "content_type": "json"}});
        Mock::given(method("PATCH"))
            .and(path("/api/v1/orgs/o/hooks/7"))
            .and(body_json(&wanted))
            .respond_with(ResponseTemplate::new(200).set_body_json(&shown))
            .expect(1)
            .mount(&server)
            .await;
        let client = client(&server.uri());
        let hook = read(serde_json::from_value(shown).unwrap());
        assert!(!format!("{hook:?}").contains("hush"));
        client.update_hook(Owner::Organization("o"), &hook, &["workflow_job"]).await.unwrap();
        client.delete_hook(Owner::Repository("o/r"), 9).await.unwrap();
    }
}
