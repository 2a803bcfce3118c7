//! A GitHub App: who it is, where it is installed, its webhook, and clients that ask as one of its
//! installations. Read `installation` next.
//!
//! Source: docs.github.com/en/rest/apps, and `…/apps/webhooks`; OpenAPI `integration`,
//! `webhook-config`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use clock::Clock;
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use transport::{Server, Transport};
use url::Url;

use super::auth::{Auth, Signer};
use super::error::Error;
use super::installation::{Account, Grant, Installation, Installed, WireInstallation};
use super::jwt::AppKey;
use super::transport::{BuildError, Call, Client, Road};
use super::wire;

/// An App by its key. Clones share installations, tokens and limits.
#[derive(Clone)]
pub struct App(Arc<Inner>);

pub(super) struct Inner {
    road: Road,
    /// By the App's own JWT.
    pub client: Client,
    pub signer: Arc<Signer>,
    /// By owner in lower case.
    owners: Mutex<BTreeMap<String, Arc<Installed>>>,
}

/// What an App is registered as.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Registered {
    pub id: u64,
    #[serde(default)]
    pub slug: String,
    #[serde(default)]
    pub name: String,
    pub client_id: Option<String>,
    pub owner: Option<Account>,
    #[serde(default)]
    pub html_url: String,
    /// What it asks for. What an installation has accepted may be less.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub permissions: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "wire::or_default")]
    pub events: Vec<String>,
}

/// An App's webhook. GitHub never tells its secret.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct HookConfig {
    #[serde(default, deserialize_with = "wire::or_default")]
    pub url: String,
    /// `json` or `form`.
    pub content_type: Option<String>,
    /// Asterisks, where there is one.
    pub secret: Option<String>,
}

impl App {
    /// `issuer` is its client id or its id. Opens nothing yet. A rustls crypto provider must be
    /// installed in the process.
    pub fn new(api: Server, issuer: &str, key: AppKey) -> Result<App, BuildError> {
        Ok(App::by(Road::to(api)?, issuer, key))
    }

    /// As [`new`](Self::new), by another way than HTTP and another clock.
    pub fn over(wire: Transport, api_url: Url, issuer: &str, key: AppKey, clock: Clock) -> App {
        App::by(Road { wire, clock, base: api_url }, issuer, key)
    }

    fn by(road: Road, issuer: &str, key: AppKey) -> App {
        let signer = Arc::new(Signer::new(issuer.to_owned(), key));
        let client = Client::by(road.clone(), Auth::App(signer.clone()));
        App(Arc::new(Inner { road, client, signer, owners: Mutex::default() }))
    }

    /// Asks as the installation that covers `on` (an owner, or `owner/name`), by tokens that may do
    /// no more than that. All clients of one owner share its limit and budget.
    pub fn client(&self, on: &str, grant: Grant) -> Client {
        let installed = self.installed(on);
        installed.standing.with_auth(Auth::Installation(installed.narrowed(grant)))
    }

    /// What is known of the owner's installation is asked for anew: it has changed, and has that id
    /// now, if GitHub said so.
    pub fn renew(&self, owner: &str, id: Option<u64>) -> impl Future<Output = ()> + Send + use<> {
        let installed = self.installed(owner);
        async move { installed.renew(id).await }
    }

    fn installed(&self, on: &str) -> Arc<Installed> {
        let owner = on.split_once('/').map_or(on, |(owner, _)| owner);
        let mut owners = self.0.owners.lock().unwrap_or_else(PoisonError::into_inner);
        let made = || {
            let standing = Client::by(self.0.road.clone(), Auth::Nobody);
            Arc::new(Installed::new(Arc::downgrade(&self.0), owner, standing))
        };
        owners.entry(owner.to_ascii_lowercase()).or_insert_with(made).clone()
    }

    /// Its client id or its id.
    pub fn issuer(&self) -> &str {
        self.0.signer.issuer()
    }

    /// By the App's own JWT.
    pub fn own(&self) -> &Client {
        &self.0.client
    }

    /// `GET /app`.
    pub async fn registered(&self) -> Result<Registered, Error> {
        match self.0.client.read(Call::get(vec!["app"])).await {
            Ok((found, _)) => Ok(found),
            Err(Error::NotFound { request }) => Err(Error::AppUnknown { request }),
            Err(error) => Err(error),
        }
    }

    /// The installation on that account.
    pub async fn installation(&self, owner: &str) -> Result<Installation, Error> {
        self.0.find(owner, None).await
    }

    /// `GET /app/installations`, suspended ones too.
    pub async fn installations(&self) -> Result<Vec<Installation>, Error> {
        let items = |page: Vec<WireInstallation>| page.into_iter().map(Into::into).collect();
        self.0.client.pages(Call::get(vec!["app", "installations"]), items).await
    }

    /// `GET /app/hook/config`.
    pub async fn hook_config(&self) -> Result<HookConfig, Error> {
        Ok(self.0.client.read(Call::get(vec!["app", "hook", "config"])).await?.0)
    }

    /// `POST /app/hook/deliveries/:id/attempts`: sends it once more, signed with the secret of today.
    pub async fn deliver_again(&self, delivery: u64) -> Result<(), Error> {
        let delivery = delivery.to_string();
        let path = vec!["app", "hook", "deliveries", &delivery, "attempts"];
        self.0.client.call(Call::new(Method::POST, path)).await.map(|_| ())
    }

    /// `PATCH /app/hook/config`: from now on deliveries are signed with that.
    pub async fn set_hook_secret(&self, secret: &SecretString) -> Result<(), Error> {
        let call = Call::new(Method::PATCH, vec!["app", "hook", "config"]);
        let body = json!({ "secret": secret.expose_secret(), "content_type": "json" });
        self.0.client.call(call.body(body)).await.map(|_| ())
    }
}
