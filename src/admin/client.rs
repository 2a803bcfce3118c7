//! Asks a running daemon's private door, for the commands that show something.

use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use url::Url;

/// What went wrong, with what to do.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(
        "no roustabout answers at {url}: {reason}; is it running, and is the address right (--address, ROUSTABOUT_ADDR or [admin] listen)?"
    )]
    Away { url: Url, reason: String },
    #[error("{url} answered {status}: {text}")]
    Refused { url: Url, status: u16, text: String },
    #[error("{url} answered something else than roustabout would: {reason}")]
    Strange { url: Url, reason: String },
}

pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<SecretString>,
}

impl Client {
    pub fn new(base: Url, token: Option<SecretString>) -> Self {
        Self { http: reqwest::Client::new(), base, token }
    }

    /// `GET` of a path such as `/api/v1/status`.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let mut url = self.base.clone();
        url.set_path(path);
        let mut request = self.http.get(url.clone()).timeout(std::time::Duration::from_secs(10));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose_secret());
        }
        let away = |error: reqwest::Error| ClientError::Away {
            url: url.clone(),
            reason: root_cause(&error),
        };
        let answer = request.send().await.map_err(away)?;
        let status = answer.status();
        let text = answer.text().await.map_err(away)?;
        if !status.is_success() {
            return Err(ClientError::Refused { url, status: status.as_u16(), text });
        }
        serde_json::from_str(&text)
            .map_err(|error| ClientError::Strange { url, reason: error.to_string() })
    }
}

/// reqwest names the address and buries the reason; the reason is what helps.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
