//! The runner's requests to the simulated GitHub.
//!
//! Repeats what could not be sent, for a while: the real one outlives a short absence of the server.
//! Read next: `simulated/protocol.rs`.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::Failure;

/// Longer than the server holds a poll.
const REQUEST: Duration = Duration::from_secs(30);
/// How often a request that got no answer is sent again, and the longest pause between.
const ATTEMPTS: u32 = 12;
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
}

impl Client {
    /// For the server that `url` (`config.sh --url`) is a page of.
    pub(super) fn new(url: &str) -> Result<Self, Failure> {
        let invalid = |_| Failure::Usage(format!("Invalid URL: {url}"));
        let base = Url::parse(url).and_then(|url| url.join("/_simulated/")).map_err(invalid)?;
        // Plain HTTP to this machine: no certificates, no proxy.
        let http = reqwest::Client::builder()
            .timeout(REQUEST)
            .no_proxy()
            .tls_certs_only([])
            .build()
            .map_err(|error| Failure::Usage(error.to_string()))?;
        Ok(Self { http, base })
    }

    /// Posts to `path` under `/_simulated/`.
    pub(super) async fn post<R: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<R, Failure> {
        let mut pause = Duration::from_millis(250);
        let mut attempt = 1;
        loop {
            match self.post_once(path, body).await {
                Err(Failure::Unreachable { .. } | Failure::Refused { status: 500.., .. })
                    if attempt < ATTEMPTS =>
                {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    async fn post_once<R: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<R, Failure> {
        let url = self.base.join(path).map_err(|error| Failure::Usage(error.to_string()))?;
        let unreachable = |error: reqwest::Error| Failure::Unreachable {
            url: self.base.to_string(),
            reason: error.to_string(),
        };
        let response = self.http.post(url).json(body).send().await.map_err(unreachable)?;
        let status = response.status();
        if !status.is_success() {
            let body: serde_json::Value = response.json().await.unwrap_or_default();
            let message = body["message"].as_str().unwrap_or("no message").to_owned();
            return Err(Failure::Refused { status: status.as_u16(), message });
        }
        response.json().await.map_err(unreachable)
    }
}
