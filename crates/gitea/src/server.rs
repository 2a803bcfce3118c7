//! Which Gitea it is, who the token is, and what an owner is.

use jiff::Timestamp;
use serde::Deserialize;

use super::error::Error;
use super::transport::{Call, Client};

/// What decides about calls: `1.26.1+dev-5` is 1.26.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub text: String,
    /// Major and minor; None where the text begins otherwise.
    pub number: Option<(u32, u32)>,
}

impl From<String> for Version {
    fn from(text: String) -> Version {
        let mut parts = text.trim_start_matches('v').splitn(3, '.');
        let major = parts.next().and_then(|part| part.parse().ok());
        let minor = parts.next().and_then(|part| {
            let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok()
        });
        let number = major.zip(minor);
        Version { text, number }
    }
}

#[derive(Deserialize)]
struct WireVersion {
    version: String,
}

#[derive(Deserialize)]
struct WireUser {
    login: String,
}

#[derive(Deserialize)]
struct WireAnything {}

impl Client {
    /// `GET /version`, with Gitea's clock and ours. Needs no scope.
    pub async fn version(&self) -> Result<(Version, Option<(Timestamp, Timestamp)>), Error> {
        let (wire, answer) = self.read::<WireVersion>(Call::get(vec!["version"])).await?;
        let clocks = answer.date().map(|server| (server, self.clock().now()));
        Ok((wire.version.into(), clocks))
    }

    /// `GET /user`: the token's login. Needs `read:user`.
    pub async fn user(&self) -> Result<String, Error> {
        Ok(self.read::<WireUser>(Call::get(vec!["user"])).await?.0.login)
    }

    /// `GET /orgs/:name`: whether there is such an organization. Needs `read:organization`.
    pub async fn is_organization(&self, name: &str) -> Result<bool, Error> {
        match self.read::<WireAnything>(Call::get(vec!["orgs", name])).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::answering;

    #[test]
    fn versions() {
        let number = |text: &str| Version::from(text.to_owned()).number;
        assert_eq!(number("1.26.1"), Some((1, 26)));
        assert_eq!(number("v1.25.0+dev-12-gabc"), Some((1, 25)));
        assert_eq!(number("1.27rc1"), Some((1, 27)));
        for strange in ["", "main", "1", "1.x"] {
            assert_eq!(number(strange), None, "{strange}");
        }
    }

    #[tokio::test]
    async fn an_owner_that_is_no_organization_is_a_person() {
        let (client, _server) = answering("GET", "/orgs/octo", json!({"name": "octo"})).await;
        assert!(client.is_organization("octo").await.unwrap());
        assert!(!client.is_organization("me").await.unwrap());
    }
}
