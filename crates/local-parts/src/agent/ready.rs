//! When an agent can run tasks: it has a leader and a keyring, and its node runs `raw_exec`.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use reqwest::Client;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::Url;

use super::{AgentError, Tls};
use crate::random;

/// Asks one agent. Every answer but yes is what is still missing, in words.
pub(super) struct Probe {
    address: Url,
    http: Client,
}

impl Probe {
    pub(super) fn new(address: Url, tls: Option<&Tls>) -> Result<Self, AgentError> {
        // The agent is on loopback: a proxy would not find it.
        let mut builder = Client::builder().no_proxy().timeout(Duration::from_secs(5));
        if let Some(tls) = tls {
            let read = |path: &Path| fs::read(path).map_err(AgentError::file("read", path));
            let identity = [read(&tls.cert)?, b"\n".to_vec(), read(&tls.key)?].concat();
            let pem = |error: reqwest::Error| {
                let source = io::Error::new(io::ErrorKind::InvalidData, error);
                AgentError::file("use the certificate", &tls.cert)(source)
            };
            // Whom the certificate is for is the business of those who connect, not of the wait.
            builder = builder
                .identity(reqwest::Identity::from_pem(&identity).map_err(pem)?)
                .tls_danger_accept_invalid_certs(true);
        }
        let http = builder.build().expect("a client whose certificates were read");
        Ok(Self { address, http })
    }

    pub(super) async fn leader(&self) -> Result<(), String> {
        let keys = self.get("/.well-known/jwks.json", None).await?;
        match keys["keys"].as_array() {
            Some(keys) if !keys.is_empty() => Ok(()),
            _ => Err("it has no leader with a keyring".to_owned()),
        }
    }

    pub(super) async fn node(&self, token: Option<&SecretString>) -> Result<(), String> {
        let nodes = self.get("/v1/nodes", token).await?;
        let node = &nodes[0];
        if node["Status"] != "ready" || node["SchedulingEligibility"] != "eligible" {
            return Err("its node is not ready".to_owned());
        }
        if node["Drivers"]["raw_exec"]["Healthy"] != true {
            return Err("its raw_exec driver is not healthy".to_owned());
        }
        Ok(())
    }

    /// Turns a secret of our making into the first management token.
    pub(super) async fn bootstrap(&self) -> Result<SecretString, String> {
        let token = SecretString::from(random_uuid());
        let body = json!({ "BootstrapSecret": token.expose_secret() });
        let request = self.http.post(self.url("/v1/acl/bootstrap")).json(&body);
        let answer = request.send().await.map_err(|error| error.to_string())?;
        if answer.status().is_success() {
            return Ok(token);
        }
        Err(format!("{} {}", answer.status(), answer.text().await.unwrap_or_default().trim()))
    }

    async fn get(&self, path: &str, token: Option<&SecretString>) -> Result<Value, String> {
        let mut request = self.http.get(self.url(path));
        if let Some(token) = token {
            request = request.header("X-Nomad-Token", token.expose_secret());
        }
        let answer = request.send().await.map_err(|_| "it does not answer".to_owned())?;
        let status = answer.status();
        if !status.is_success() {
            return Err(format!("{path} answers {status}"));
        }
        answer.json().await.map_err(|_| format!("{path} does not answer with JSON"))
    }

    fn url(&self, path: &str) -> Url {
        self.address.join(path).expect("a constant path")
    }
}

/// Nomad wants a version 4 UUID as the secret.
fn random_uuid() -> String {
    let mut bytes = random::<16>();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex::encode(bytes);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}
