//! The registration token: what `gitea-runner register` needs.

use reqwest::Method;
use secrecy::SecretString;
use serde::Deserialize;

use super::error::Error;
use super::owner::Owner;
use super::transport::{Call, Client};

#[derive(Deserialize)]
struct WireToken {
    token: String,
}

impl Client {
    /// `POST …/actions/runners/registration-token`: makes the first one, and from then on tells
    /// the same, which has no end, until somebody resets it. Needs a token with `write:repository`
    /// or `write:organization`, of somebody who owns it.
    pub async fn registration_token(&self, of: Owner<'_>) -> Result<SecretString, Error> {
        let path = of.actions(&["runners", "registration-token"]);
        Ok(self.read::<WireToken>(Call::new(Method::POST, path)).await?.0.token.into())
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;
    use serde_json::json;

    use super::*;
    use crate::testing::answering;

    #[tokio::test]
    async fn a_token_is_asked_for_by_owner_and_is_a_secret() {
        for (of, at) in [
            (Owner::Repository("o/r"), "/repos/o/r/actions/runners/registration-token"),
            (Owner::Organization("o"), "/orgs/o/actions/runners/registration-token"),
        ] {
            let (client, _server) = answering("POST", at, json!({"token": "abc"})).await;
            let token = client.registration_token(of).await.unwrap();
            assert_eq!(token.expose_secret(), "abc");
            assert!(!format!("{token:?}").contains("abc"));
        }
    }
}
