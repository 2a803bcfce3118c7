//! Making, changing and deleting webhooks. Reading them is in `hooks`.

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::error::Error;
use super::hooks::{Hook, WireHook, read_one};
use super::registration::{self, RunnersOf};
use super::transport::{Call, Client};

/// A webhook as it is to be. It sends JSON.
#[derive(Clone, Debug)]
pub struct HookSettings<'a> {
    pub url: &'a str,
    pub secret: &'a SecretString,
    pub events: &'a [&'a str],
    /// `"0"`, or `"1"` where GitHub does not verify the receiver's certificate.
    pub insecure_ssl: &'a str,
}

impl HookSettings<'_> {
    fn body(&self) -> Value {
        json!({
            "active": true,
            "events": self.events,
            "config": {
                "url": self.url,
                "content_type": "json",
                "insecure_ssl": self.insecure_ssl,
                "secret": self.secret.expose_secret(),
            },
        })
    }
}

/// `…/hooks`, as path segments.
fn path(of: RunnersOf<'_>) -> Vec<&str> {
    let mut path = match of {
        RunnersOf::Repository(name) => registration::repository(name),
        RunnersOf::Organization(login) => vec!["orgs", login],
    };
    path.push("hooks");
    path
}

impl Client {
    /// `POST …/hooks`. Needs [`Operation::ChangeHooks`](super::Operation::ChangeHooks). An equal one is
    /// answered with [`Error::Unprocessable`].
    pub async fn create_hook(
        &self,
        of: RunnersOf<'_>,
        settings: &HookSettings<'_>,
    ) -> Result<Hook, Error> {
        let mut body = settings.body();
        body["name"] = "web".into();
        let call = Call::new(Method::POST, path(of)).body(body);
        Ok(read_one(self.read::<WireHook>(call).await?.0))
    }

    /// `PATCH …/hooks/:id`, with everything: a secret that is left out is removed (GitHub's docs, "Update
    /// a repository webhook").
    pub async fn update_hook(
        &self,
        of: RunnersOf<'_>,
        id: u64,
        settings: &HookSettings<'_>,
    ) -> Result<Hook, Error> {
        let id = id.to_string();
        let mut path = path(of);
        path.push(&id);
        let call = Call::new(Method::PATCH, path).body(settings.body());
        Ok(read_one(self.read::<WireHook>(call).await?.0))
    }

    /// `DELETE …/hooks/:id`; one that is gone already is deleted.
    pub async fn delete_hook(&self, of: RunnersOf<'_>, id: u64) -> Result<(), Error> {
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
    use super::*;
    use crate::testing;
    use wiremock::matchers::{body_json, header, method, path};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    #[tokio::test]
    async fn the_secret_goes_with_every_change() {
        let server = MockServer::start().await;
        let secret = SecretString::from("hush");
        let settings = HookSettings {
            url: "https://x/webhook",
            secret: &secret,
            events: &["workflow_job"],
            insecure_ssl: "1",
        };
        assert!(!format!("{settings:?}").contains("hush"));
        let config = json!({"url": "https://x/webhook", "content_type": "json",
            "insecure_ssl": "1", "secret": "hush"});
        let mut wanted = json!({"active": true, "events": ["workflow_job"], "config": config});
        let shown = json!({"id": 7, "active": true, "events": ["workflow_job"],
            "config": {"url": "https://x/webhook", "content_type": "json", "insecure_ssl": "1"}});
        Mock::given(method("PATCH"))
            .and(path("/orgs/o/hooks/7"))
            .and(header("content-type", "application/json"))
            .and(body_json(&wanted))
            .respond_with(ResponseTemplate::new(200).set_body_json(&shown))
            .expect(1)
            .mount(&server)
            .await;
        wanted["name"] = "web".into();
        Mock::given(method("POST"))
            .and(path("/repos/o/r/hooks"))
            .and(body_json(&wanted))
            .respond_with(ResponseTemplate::new(201).set_body_json(&shown))
            .expect(1)
            .mount(&server)
            .await;
        let client = testing::client(&server.uri());
        let changed = client.update_hook(RunnersOf::Organization("o"), 7, &settings).await.unwrap();
        assert_eq!((changed.id, changed.insecure_ssl.as_deref()), (7, Some("1")));
        client.create_hook(RunnersOf::Repository("o/r"), &settings).await.unwrap();
        // The mock server knows none: 404.
        client.delete_hook(RunnersOf::Repository("o/r"), 9).await.unwrap();
    }
}
