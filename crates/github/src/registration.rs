//! Registration tokens: what `config.sh` needs to register runners.
//!
//! Valid for an hour and for any number of runners; GitHub has no call to revoke one. Keeping and
//! sharing them is the caller's.

use jiff::Timestamp;
use reqwest::Method;
use secrecy::SecretString;
use serde::Deserialize;

use super::error::Error;
use super::transport::{Call, Client};
use super::wire;

/// Where runners belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunnersOf<'a> {
    /// `owner/name`.
    Repository(&'a str),
    Organization(&'a str),
}

impl<'a> RunnersOf<'a> {
    /// `…/actions/runners`, as path segments.
    pub(super) fn path(self) -> Vec<&'a str> {
        let mut path = match self {
            RunnersOf::Repository(name) => repository(name),
            RunnersOf::Organization(name) => vec!["orgs", name],
        };
        path.extend(["actions", "runners"]);
        path
    }
}

/// `repos/owner/name`. A name without exactly one slash leaves an empty segment, which the
/// transport answers with "not found".
pub(super) fn repository(full_name: &str) -> Vec<&str> {
    match full_name.split_once('/') {
        Some((owner, name)) if !name.contains('/') => vec!["repos", owner, name],
        _ => vec!["repos", full_name, ""],
    }
}

/// A credential. `Debug` does not show it.
#[derive(Clone, Debug)]
pub struct RegistrationToken {
    pub token: SecretString,
    /// By GitHub's clock; see [`Client::server_clock`].
    pub expires_at: Timestamp,
}

#[derive(Deserialize)]
struct WireToken {
    token: String,
    #[serde(deserialize_with = "wire::time")]
    expires_at: Timestamp,
}

impl Client {
    /// `POST …/actions/runners/registration-token`. Needs
    /// [`Operation::Runners`](super::Operation::Runners).
    pub async fn registration_token(&self, of: RunnersOf<'_>) -> Result<RegistrationToken, Error> {
        let mut path = of.path();
        path.push("registration-token");
        let (wire, _) = self.read::<WireToken>(Call::new(Method::POST, path)).await?;
        Ok(RegistrationToken { token: wire.token.into(), expires_at: wire.expires_at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use secrecy::ExposeSecret;
    use serde_json::json;
    use wiremock::matchers::{header, method, path};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    #[tokio::test]
    async fn a_token_is_asked_for_as_github_wants_it() {
        let server = MockServer::start().await;
        let agent = concat!("roustabout/", env!("CARGO_PKG_VERSION"));
        Mock::given(method("POST"))
            .and(path("/api/v3/orgs/my-org/actions/runners/registration-token"))
            .and(header("authorization", "Bearer ghp_s3cr3t"))
            .and(header("accept", "application/vnd.github+json"))
            .and(header("x-github-api-version", "2022-11-28"))
            .and(header("user-agent", agent))
            .respond_with(ResponseTemplate::new(201).set_body_json(json!({
                "token": "AAATOKEN", "expires_at": "2026-01-22T12:13:35.123-08:00"
            })))
            .mount(&server)
            .await;
        let client = testing::client(&format!("{}/api/v3", server.uri()));
        let token = client.registration_token(RunnersOf::Organization("my-org")).await.unwrap();
        assert_eq!(token.token.expose_secret(), "AAATOKEN");
        assert_eq!(token.expires_at.to_string(), "2026-01-22T20:13:35.123Z");
        assert!(!format!("{token:?} {client:?}").contains("AAATOKEN"));
    }

    #[tokio::test]
    async fn a_token_in_a_broken_answer_is_not_shown() {
        let server = MockServer::start().await;
        Mock::given(method("POST"))
            .respond_with(
                ResponseTemplate::new(201)
                    .set_body_string(r#"{"token": "AAATOKEN", "expires_at": "soon"}"#),
            )
            .mount(&server)
            .await;
        let client = testing::client(&server.uri());
        let error = client.registration_token(RunnersOf::Repository("o/r")).await.unwrap_err();
        assert!(matches!(error, Error::Protocol { .. }));
        assert!(!format!("{error} {error:?}").contains("AAATOKEN"));
    }

    #[tokio::test]
    async fn names_that_are_none_are_not_sent() {
        let server = MockServer::start().await;
        let client = testing::client(&server.uri());
        for name in ["o", "o/", "/r", "o/..", "../r", "o/r/x", ""] {
            let error = client.registration_token(RunnersOf::Repository(name)).await;
            assert!(matches!(error, Err(Error::NotFound { .. })), "{name}");
        }
        assert!(server.received_requests().await.unwrap().is_empty());
    }
}
