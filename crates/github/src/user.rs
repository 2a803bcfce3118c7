//! Who the token is, what it may do as far as GitHub tells, and what is left of its rate limit.

use jiff::Timestamp;
use jiff::fmt::strtime;
use reqwest::header::HeaderMap;
use serde::Deserialize;

use super::error::Error;
use super::transport::{Call, Client};

/// The token's user and what the answer's headers say of the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub login: String,
    /// Of a classic token (`X-OAuth-Scopes`); None for a fine-grained one, which does not tell.
    pub scopes: Option<Vec<String>>,
    /// None: it has no end, or GitHub does not say.
    pub expires_at: Option<Timestamp>,
}

/// The primary rate limit of ordinary calls (resource `core`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests an hour.
    pub limit: u64,
    pub remaining: u64,
    /// When it is full again, by GitHub's clock.
    pub reset: Timestamp,
}

#[derive(Deserialize)]
struct WireUser {
    login: String,
}

#[derive(Deserialize)]
struct WireLimits {
    resources: WireResources,
}

#[derive(Deserialize)]
struct WireResources {
    core: WireLimit,
}

#[derive(Deserialize)]
struct WireLimit {
    limit: u64,
    remaining: u64,
    reset: i64,
}

impl Client {
    /// `GET /user`. For personal access tokens; an App's installation token gets 403.
    pub async fn user(&self) -> Result<User, Error> {
        let (wire, answer) = self.read::<WireUser>(Call::get(vec!["user"])).await?;
        let scopes = header(&answer.headers, "x-oauth-scopes").map(|list| {
            list.split(',').map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned).collect()
        });
        let expires_at = header(&answer.headers, "github-authentication-token-expiration");
        Ok(User { login: wire.login, scopes, expires_at: expires_at.and_then(expiration) })
    }

    /// `GET /rate_limit`, which costs nothing. It is held back like any other call.
    pub async fn rate_limit(&self) -> Result<RateLimit, Error> {
        let (wire, _) = self.read::<WireLimits>(Call::get(vec!["rate_limit"])).await?;
        let core = wire.resources.core;
        let reset = Timestamp::from_second(core.reset).unwrap_or(Timestamp::UNIX_EPOCH);
        Ok(RateLimit { limit: core.limit, remaining: core.remaining, reset })
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// `2026-12-01 10:00:00 UTC`; also seen with a numeric offset.
fn expiration(text: &str) -> Option<Timestamp> {
    let text = text.trim().replace(" UTC", " +0000");
    strtime::parse("%Y-%m-%d %H:%M:%S %z", text).ok()?.to_timestamp().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use serde_json::json;
    use wiremock::matchers::path;
    use wiremock::{Mock, MockServer, ResponseTemplate};

    #[tokio::test]
    async fn a_classic_token_tells_scopes_and_end() {
        let server = MockServer::start().await;
        Mock::given(path("/user"))
            .respond_with(
                ResponseTemplate::new(200)
                    .insert_header("x-oauth-scopes", "repo, admin:org")
                    .insert_header(
                        "github-authentication-token-expiration",
                        "2026-12-01 10:00:00 UTC",
                    )
                    .insert_header("date", "Fri, 15 Jan 2027 08:00:00 GMT")
                    .set_body_json(json!({"login": "octocat", "id": 1})),
            )
            .mount(&server)
            .await;
        let client = testing::client(&server.uri());
        assert_eq!(client.server_clock(), None);
        let user = client.user().await.unwrap();
        assert_eq!(user.scopes.unwrap(), ["repo", "admin:org"]);
        assert_eq!(user.expires_at.unwrap().to_string(), "2026-12-01T10:00:00Z");
        let (server_time, _) = client.clone().server_clock().unwrap();
        assert_eq!(server_time.as_second(), 1_800_000_000);
    }

    #[tokio::test]
    async fn a_fine_grained_token_tells_no_scopes() {
        let server = MockServer::start().await;
        Mock::given(path("/user"))
            .respond_with(ResponseTemplate::new(200).set_body_json(json!({"login": "o"})))
            .mount(&server)
            .await;
        let user = testing::client(&server.uri()).user().await.unwrap();
        assert_eq!((user.scopes, user.expires_at), (None, None));
    }

    #[test]
    fn an_expiration_with_an_offset_is_read() {
        let read = expiration("2023-07-24 10:07:05 -0700").unwrap();
        assert_eq!(read.to_string(), "2023-07-24T17:07:05Z");
        assert_eq!(expiration("never"), None);
    }

    #[tokio::test]
    async fn the_limit_is_read() {
        let server = MockServer::start().await;
        Mock::given(path("/rate_limit"))
            .respond_with(ResponseTemplate::new(200).set_body_json(json!({
                "resources": {"core": {"limit": 5000, "used": 1, "remaining": 4999, "reset": 9}}
            })))
            .mount(&server)
            .await;
        let limit = testing::client(&server.uri()).rate_limit().await.unwrap();
        assert_eq!((limit.limit, limit.remaining), (5000, 4999));
    }
}
