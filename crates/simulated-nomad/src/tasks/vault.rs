//! A task's token of Vault: the client logs in there with an identity of the task, which the task itself is
//! not shown, and reads with it what templates name.
//!
//! From Nomad's documents and sources, not recorded: no Vault was beside the Nomad whose answers were. The token is
//! not renewed. (Nomad `client/allocrunner/taskrunner/vault_hook.go`.)

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::allocation::Shared;
use super::folder;
use super::group::{Task, Vault};
use super::servers::IdentityAsked;
use crate::config;
use crate::durations;
use crate::identity::IdentitySpec;

/// After a login that nobody answered, or that may succeed later.
const AGAIN: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(30);
/// Nanoseconds, in which lengths of time are read, in a millisecond.
const NANOS: i64 = 1_000_000;

/// Where tasks get their tokens.
#[derive(Clone, Debug)]
pub struct VaultAccess {
    address: String,
    mount: String,
    role: String,
    identity: IdentitySpec,
}

impl VaultAccess {
    /// Where the agent's configuration enables one.
    pub(crate) fn of(vault: &config::Vault) -> Option<Self> {
        let identity = &vault.default_identity;
        let ttl = identity.ttl.as_deref().and_then(|ttl| durations::parse(ttl).ok());
        vault.enabled.then(|| Self {
            address: vault.address.trim_end_matches('/').to_owned(),
            mount: vault.jwt_auth_backend_path.clone(),
            role: vault.create_from_role.clone(),
            identity: IdentitySpec::hidden(
                "vault_default",
                &identity.aud,
                ttl.map(|it| it / NANOS),
            ),
        })
    }
}

pub(super) struct VaultToken {
    address: String,
    token: String,
    in_environment: bool,
}

/// Why there is no token.
enum NoToken {
    Yet,
    Ever(String),
}

impl VaultToken {
    /// Asks until there is one.
    ///
    /// # Errors
    /// In words, where there never will be.
    pub async fn get(shared: &Shared, task: &Task, wanted: &Vault) -> Result<Self, String> {
        let access = shared.site().vault.as_ref().ok_or("Vault \"default\" is disabled")?;
        let token = loop {
            match login(shared, task, wanted, access).await {
                Ok(token) => break token,
                Err(NoToken::Ever(why)) => return Err(why),
                Err(NoToken::Yet) => tokio::time::sleep(AGAIN).await,
            }
        };
        if !wanted.disable_file {
            let file = shared.folder.secrets(&task.name).join("vault_token");
            folder::write(&file, token.as_bytes(), 0o600)
                .map_err(|error| format!("failed to write Vault token to disk: {error}"))?;
        }
        Ok(Self { address: access.address.clone(), token, in_environment: wanted.env })
    }

    /// What the task is shown of it.
    pub fn variables(&self) -> Option<(String, String)> {
        self.in_environment.then(|| ("VAULT_TOKEN".to_owned(), self.token.clone()))
    }

    /// The data of an entry; None: it is not there, or may not be read. Nomad asks again for either.
    pub async fn read(&self, path: &str) -> Option<Value> {
        let (status, mut answer) =
            ask(Method::GET, &self.address, path, Some(&self.token), None).await.ok()?;
        let data = answer["data"].take();
        // Of a deleted version there is metadata, and no data.
        let is_there =
            status.is_success() && !(data["metadata"].is_object() && data["data"].is_null());
        is_there.then_some(data)
    }
}

async fn login(
    shared: &Shared,
    task: &Task,
    wanted: &Vault,
    access: &VaultAccess,
) -> Result<String, NoToken> {
    let asked = IdentityAsked {
        allocation: shared.assignment.allocation.clone(),
        task: task.name.clone(),
        spec: access.identity.clone(),
    };
    let jwt = shared.server().identity(asked).await.map_err(|_| NoToken::Yet)?;
    let role = if wanted.role.is_empty() { &access.role } else { &wanted.role };
    let body = json!({ "role": role, "jwt": jwt });
    let path = format!("auth/{}/login", access.mount);
    let answered = ask(Method::PUT, &access.address, &path, None, Some(&body)).await;
    let (status, answer) = answered.map_err(|_| NoToken::Yet)?;
    match answer["auth"]["client_token"].as_str() {
        Some(token) => Ok(token.to_owned()),
        None if status.is_server_error() => Err(NoToken::Yet),
        None => {
            let errors = answer["errors"].as_array().into_iter().flatten();
            let errors: Vec<&str> = errors.filter_map(Value::as_str).collect();
            Err(NoToken::Ever(format!(
                "failed to derive Vault token for identity vault_default: failed to login with JWT: {status}: {}",
                errors.join(", ")
            )))
        }
    }
}

async fn ask(
    method: Method,
    address: &str,
    path: &str,
    token: Option<&str>,
    body: Option<&Value>,
) -> Result<(StatusCode, Value), reqwest::Error> {
    let client = reqwest::Client::builder().timeout(TIMEOUT).build()?;
    let mut request =
        client.request(method, format!("{address}/v1/{path}")).header("X-Vault-Request", "true");
    if let Some(token) = token {
        request = request.header("X-Vault-Token", token);
    }
    if let Some(body) = body {
        request = request.json(body);
    }
    let answer = request.send().await?;
    let status = answer.status();
    Ok((status, answer.json().await.unwrap_or_default()))
}
