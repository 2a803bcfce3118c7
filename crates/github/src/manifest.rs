//! An App from a manifest: a person confirms it on a page of GitHub's, which leads back with a code, and
//! the code is exchanged for the App's key and secrets: once, and within an hour.
//!
//! Source: docs.github.com, "Registering a GitHub App from a manifest".

use reqwest::Method;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};
use transport::Server;

use super::auth::Auth;
use super::error::Error;
use super::transport::{BuildError, Call, Client, Road};

/// Of a name (docs, "Registering a GitHub App").
pub const LONGEST_APP_NAME: usize = 34;

/// What an App is to be.
#[derive(Clone, Debug)]
pub struct Manifest {
    pub name: String,
    /// Its home page.
    pub url: String,
    pub hook_url: String,
    /// Where the browser goes with the code.
    pub redirect_url: String,
    /// Anyone may install it.
    pub public: bool,
    /// By GitHub's names.
    pub permissions: Vec<(&'static str, &'static str)>,
    pub events: Vec<&'static str>,
}

impl Manifest {
    /// As GitHub's page takes it, in the form's field `manifest`.
    pub fn json(&self) -> String {
        let permissions: serde_json::Map<String, Value> = self
            .permissions
            .iter()
            .map(|(name, level)| ((*name).to_owned(), json!(level)))
            .collect();
        json!({
            "name": self.name,
            "url": self.url,
            "hook_attributes": { "url": self.hook_url, "active": true },
            "redirect_url": self.redirect_url,
            "public": self.public,
            "default_permissions": permissions,
            "default_events": self.events,
        })
        .to_string()
    }
}

/// A new App, with what GitHub tells only once. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct Created {
    pub id: u64,
    pub slug: String,
    pub client_id: Option<String>,
    pub html_url: String,
    pub pem: SecretString,
    /// None: its webhook has none.
    pub webhook_secret: Option<SecretString>,
}

#[derive(Deserialize)]
struct WireCreated {
    id: u64,
    #[serde(default)]
    slug: String,
    client_id: Option<String>,
    #[serde(default)]
    html_url: String,
    pem: SecretString,
    webhook_secret: Option<SecretString>,
}

/// What an account is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct WireAccount {
    login: String,
    #[serde(default, rename = "type")]
    kind: String,
}

/// Asks GitHub as nobody in particular.
#[derive(Clone, Debug)]
pub struct Stranger(Client);

impl Stranger {
    /// A rustls crypto provider must be installed in the process.
    pub fn at(api: Server) -> Result<Stranger, BuildError> {
        Ok(Stranger(Client::by(Road::to(api)?, Auth::Nobody)))
    }

    /// `POST /app-manifests/:code/conversions`. `NotFound`: the code was used before, is older than an
    /// hour, or never was one.
    pub async fn exchange(&self, code: &str) -> Result<Created, Error> {
        let call = Call::new(Method::POST, vec!["app-manifests", code, "conversions"]);
        let (wire, _) = self.0.read::<WireCreated>(call).await?;
        let WireCreated { id, slug, client_id, html_url, pem, webhook_secret } = wire;
        Ok(Created { id, slug, client_id, html_url, pem, webhook_secret })
    }

    /// `GET /users/:login`: the account's login as it spells it, and whether it is an organization.
    pub async fn account(&self, login: &str) -> Result<(String, bool), Error> {
        let (wire, _) = self.0.read::<WireAccount>(Call::get(vec!["users", login])).await?;
        Ok((wire.login, wire.kind == "Organization"))
    }
}
