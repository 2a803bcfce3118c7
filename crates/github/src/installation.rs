//! An App's installation on one account, and its tokens: each for one use and no more, minted when
//! it is needed, renewed before its end, in memory only, one request in flight for each.
//!
//! Source: docs.github.com/en/rest/apps; that a new token may be refused for some seconds, and that
//! a reinstalled App has another id: octokit/auth-app.js.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Method;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::app::Inner;
use super::auth::Auth;
use super::error::Error;
use super::paging::Pages;
use super::repositories::{Repository, WireRepository};
use super::transport::{Answer, Call, Client, parse};
use super::wire;

/// A token lives for an hour; one that lives no longer than this is replaced.
const MARGIN: Duration = Duration::from_secs(5 * 60);
/// For so long after it was minted a token may be refused somewhere (octokit: five seconds).
const YOUNG: Duration = Duration::from_secs(10);
/// How often one that is so young is tried again, a second later, then two.
const TRIES: u32 = 3;

/// What a token may do: what one kind of use needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grant {
    /// Look at repositories, runs and jobs of the whole installation.
    Read,
    /// Register, list and delete runners of one repository, `owner/name`.
    RunnersOfRepository(String),
    /// The same for the organization's.
    RunnersOfOrganization,
    /// Cancel runs of one repository, `owner/name`.
    CancelRuns(String),
}

impl Grant {
    /// By GitHub's names of permissions.
    pub fn permissions(&self) -> &'static [(&'static str, &'static str)] {
        match self {
            Grant::Read => &[("actions", "read"), ("metadata", "read")],
            Grant::RunnersOfRepository(_) => &[("administration", "write"), ("metadata", "read")],
            Grant::RunnersOfOrganization => &[("organization_self_hosted_runners", "write")],
            Grant::CancelRuns(_) => &[("actions", "write"), ("metadata", "read")],
        }
    }

    fn repository(&self) -> Option<&str> {
        match self {
            Grant::RunnersOfRepository(name) | Grant::CancelRuns(name) => Some(name),
            Grant::Read | Grant::RunnersOfOrganization => None,
        }
    }

    /// For people.
    fn wanted(&self) -> String {
        let all = self.permissions().iter().filter(|(name, _)| *name != "metadata");
        let all: Vec<String> = all.map(|(name, level)| format!("{name}: {level}")).collect();
        match self.repository() {
            Some(name) => format!("{} on {name}", all.join(", ")),
            None => all.join(", "),
        }
    }
}

/// Where an App is installed, and what it was granted there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    pub id: u64,
    pub account: Account,
    /// All repositories of the account, or some that were selected.
    pub all_repositories: bool,
    /// `read`, `write` or `admin` by name: what the account has accepted, which may be less than
    /// the App asks for by now.
    pub permissions: BTreeMap<String, String>,
    pub events: Vec<String>,
    pub suspended_at: Option<Timestamp>,
}

/// Whose it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Account {
    #[serde(default)]
    pub login: String,
    /// `User`, `Organization`.
    #[serde(default, rename = "type")]
    pub kind: String,
}

#[derive(Deserialize)]
pub(super) struct WireInstallation {
    id: u64,
    account: Option<Account>,
    #[serde(default)]
    repository_selection: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    permissions: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "wire::or_default")]
    events: Vec<String>,
    #[serde(default, deserialize_with = "wire::maybe_time")]
    suspended_at: Option<Timestamp>,
}

impl From<WireInstallation> for Installation {
    fn from(wire: WireInstallation) -> Installation {
        Installation {
            id: wire.id,
            account: wire.account.unwrap_or_default(),
            all_repositories: wire.repository_selection == "all",
            permissions: wire.permissions,
            events: wire.events,
            suspended_at: wire.suspended_at,
        }
    }
}

#[derive(Deserialize)]
struct WireToken {
    token: String,
    #[serde(deserialize_with = "wire::time")]
    expires_at: Timestamp,
}

#[derive(Deserialize)]
struct WireRepositories {
    repositories: Vec<WireRepository>,
}

impl Client {
    /// `GET /installation/repositories`: what the installation may see. By an installation's token
    /// only.
    pub async fn installation_repositories_again<T>(
        &self,
        known: &mut Pages<T>,
        keep: impl Fn(Repository) -> T,
    ) -> Result<(), Error> {
        let items = |page: WireRepositories| {
            page.repositories.into_iter().map(Repository::from).collect::<Vec<_>>()
        };
        let keep = |repository: Repository| {
            if let Auth::Installation(narrowed) = self.auth() {
                narrowed.installed.is_called(&repository.full_name, repository.id);
            }
            keep(repository)
        };
        let call = Call::get(vec!["installation", "repositories"]);
        self.pages_again(call, known, items, keep).await
    }
}

/// One account of an App.
pub(super) struct Installed {
    app: Weak<Inner>,
    owner: String,
    /// Limit, budget and clock of all its tokens.
    pub standing: Client,
    id: Once<u64>,
    /// Ids of repositories by name in lower case.
    repositories: Mutex<BTreeMap<String, u64>>,
    grants: Mutex<BTreeMap<Grant, Arc<Narrowed>>>,
}

impl Installed {
    pub fn new(app: Weak<Inner>, owner: &str, standing: Client) -> Installed {
        Installed {
            app,
            owner: owner.to_owned(),
            standing,
            id: Once::default(),
            repositories: Mutex::default(),
            grants: Mutex::default(),
        }
    }

    pub fn narrowed(self: &Arc<Self>, grant: Grant) -> Arc<Narrowed> {
        let mut grants = lock(&self.grants);
        let made = || {
            let token = Once::default();
            Arc::new(Narrowed { installed: self.clone(), grant: grant.clone(), token })
        };
        grants.entry(grant.clone()).or_insert_with(made).clone()
    }

    /// It has that id by now, or none that is known, or other permissions or repositories: the rest
    /// is asked for anew.
    pub(super) async fn renew(&self, id: Option<u64>) {
        self.id.set(id).await;
        lock(&self.repositories).clear();
        let grants = std::mem::take(&mut *lock(&self.grants));
        // Clients that are in use hold theirs still.
        for narrowed in grants.into_values() {
            narrowed.token.forget().await;
        }
    }

    fn is_called(&self, full_name: &str, id: u64) {
        lock(&self.repositories).insert(full_name.to_ascii_lowercase(), id);
    }

    fn app(&self) -> Result<Arc<Inner>, Error> {
        // Clients outlive their App only while everything is dropped.
        let gone = || Error::NotInstalled { owner: self.owner.clone() };
        self.app.upgrade().ok_or_else(gone)
    }

    async fn id(&self, grant: &Grant) -> Result<u64, Error> {
        self.id
            .get(|_| true, async {
                Ok(self.app()?.find(&self.owner, grant.repository()).await?.id)
            })
            .await
    }

    async fn repository_id(self: &Arc<Self>, full_name: &str) -> Result<u64, Error> {
        let key = full_name.to_ascii_lowercase();
        if let Some(id) = lock(&self.repositories).get(&key) {
            return Ok(*id);
        }
        let reading = self.standing.with_auth(Auth::Installation(self.narrowed(Grant::Read)));
        // The way is round: a call by one token asks by another.
        let found = Box::pin(reading.repository(full_name)).await?;
        self.is_called(full_name, found.id);
        Ok(found.id)
    }
}

/// An installation's token of one grant.
pub(super) struct Narrowed {
    installed: Arc<Installed>,
    grant: Grant,
    token: Once<Token>,
}

#[derive(Clone)]
struct Token {
    secret: SecretString,
    made: Instant,
    ends: Instant,
}

impl Narrowed {
    pub(super) async fn call(&self, client: &Client, call: &Call<'_>) -> Result<Answer, Error> {
        let mut renewed = false;
        let mut tries = 0;
        loop {
            let token = self.token().await?;
            let answer = client.call_by(call, Some(&token.secret)).await;
            match answer {
                // Not everywhere at GitHub it is known yet.
                Err(Error::Unauthorized { .. })
                    if token.made.elapsed() < YOUNG && tries + 1 < TRIES =>
                {
                    tokio::time::sleep(Duration::from_secs(1 << tries)).await;
                    tries += 1;
                }
                // Revoked, or uninstalled: then minting says so.
                Err(Error::Unauthorized { .. }) if !renewed => {
                    renewed = true;
                    self.token.forget_if(|known| known.made == token.made).await;
                }
                Err(Error::Forbidden { message, .. }) if is_suspended(&message) => {
                    self.token.forget().await;
                    return Err(Error::Suspended { owner: self.installed.owner.clone() });
                }
                Err(Error::NotFound { request }) => {
                    // Perhaps another repository has the name by now.
                    if let Some(name) = self.grant.repository() {
                        let name = name.to_ascii_lowercase();
                        lock(&self.installed.repositories).remove(&name);
                    }
                    return Err(Error::NotFound { request });
                }
                answer => return answer,
            }
        }
    }

    async fn token(&self) -> Result<Token, Error> {
        self.token.get(|token| token.ends > Instant::now() + MARGIN, self.mint()).await
    }

    async fn mint(&self) -> Result<Token, Error> {
        let (app, owner) = (self.installed.app()?, || self.installed.owner.clone());
        let mut before = None;
        loop {
            let id = self.installed.id(&self.grant).await?;
            if before == Some(id) {
                return Err(Error::NotInstalled { owner: owner() });
            }
            let body = self.asked().await?;
            match app.mint(id, body).await {
                Ok((minted, now)) => {
                    let lives = minted.expires_at.duration_since(now);
                    let made = Instant::now();
                    let lives = Duration::try_from(lives).unwrap_or_default();
                    return Ok(Token { secret: minted.token, made, ends: made + lives });
                }
                // Uninstalled, and perhaps installed again under another id.
                Err(Error::NotFound { .. }) => {
                    before = Some(id);
                    self.installed.id.forget_if(|known| *known == id).await;
                }
                Err(Error::Forbidden { message, .. }) if is_suspended(&message) => {
                    return Err(Error::Suspended { owner: owner() });
                }
                Err(Error::Forbidden { message, .. } | Error::Unprocessable { message, .. }) => {
                    let wanted = self.grant.wanted();
                    if let Some(name) = self.grant.repository() {
                        let name = name.to_ascii_lowercase();
                        lock(&self.installed.repositories).remove(&name);
                    }
                    return Err(Error::NotGranted { owner: owner(), wanted, message });
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn asked(&self) -> Result<Value, Error> {
        let permissions: BTreeMap<_, _> = self.grant.permissions().iter().copied().collect();
        Ok(match self.grant.repository() {
            Some(name) => {
                let id = self.installed.repository_id(name).await?;
                json!({ "permissions": permissions, "repository_ids": [id] })
            }
            None => json!({ "permissions": permissions }),
        })
    }
}

/// GitHub's words for it: `This installation has been suspended`.
fn is_suspended(message: &str) -> bool {
    message.contains("installation has been suspended")
}

struct Minted {
    token: SecretString,
    expires_at: Timestamp,
}

impl Inner {
    /// A new token, and what time it is at GitHub.
    async fn mint(&self, installation: u64, body: Value) -> Result<(Minted, Timestamp), Error> {
        let id = installation.to_string();
        let path = vec!["app", "installations", &id, "access_tokens"];
        let call = Call::new(Method::POST, path).body(body);
        // Not by `Client::call`, which would lead back here.
        let answer = self.signer.call(&self.client, &call).await?;
        let wire: WireToken = parse(call.name(), &answer)?;
        let ours = self.client.clock().now();
        let now = self.client.server_clock().map_or(ours, |(server, _)| server);
        Ok((Minted { token: wire.token.into(), expires_at: wire.expires_at }, now))
    }

    /// `GET /users/…/installation`, `GET /orgs/…/installation`, and for an account that is called
    /// otherwise by now `GET /repos/…/installation`, which redirects.
    pub(super) async fn find(
        &self,
        owner: &str,
        repository: Option<&str>,
    ) -> Result<Installation, Error> {
        let mut paths =
            vec![vec!["users", owner, "installation"], vec!["orgs", owner, "installation"]];
        if let Some((owner, name)) = repository.and_then(|name| name.split_once('/')) {
            paths.push(vec!["repos", owner, name, "installation"]);
        }
        for path in paths {
            let call = Call::get(path);
            match self.signer.call(&self.client, &call).await {
                Ok(answer) => {
                    let found: WireInstallation = parse(call.name(), &answer)?;
                    let found = Installation::from(found);
                    return match found.suspended_at {
                        None => Ok(found),
                        Some(_) => Err(Error::Suspended { owner: owner.to_owned() }),
                    };
                }
                Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        // GitHub says the same where it does not know the App at all.
        let call = Call::get(vec!["app"]);
        match self.signer.call(&self.client, &call).await {
            Err(Error::NotFound { request }) => Err(Error::AppUnknown { request }),
            Err(error) => Err(error),
            Ok(_) => Err(Error::NotInstalled { owner: owner.to_owned() }),
        }
    }
}

/// A value that is asked for when it is wanted, by one at a time: whoever waited meanwhile gets the
/// same answer, be it a refusal.
struct Once<T> {
    slot: tokio::sync::Mutex<Slot<T>>,
    /// How many failures there were.
    failures: AtomicU64,
}

struct Slot<T> {
    value: Option<T>,
    failed: Option<Error>,
}

impl<T> Default for Once<T> {
    fn default() -> Self {
        let slot = tokio::sync::Mutex::new(Slot { value: None, failed: None });
        Once { slot, failures: AtomicU64::new(0) }
    }
}

impl<T: Clone> Once<T> {
    async fn get(
        &self,
        is_good: impl Fn(&T) -> bool,
        ask: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let came = self.failures.load(Ordering::Acquire);
        let mut slot = self.slot.lock().await;
        if let Some(value) = slot.value.as_ref().filter(|value| is_good(value)) {
            return Ok(value.clone());
        }
        if let Some(error) = &slot.failed
            && self.failures.load(Ordering::Acquire) > came
        {
            return Err(error.clone());
        }
        match ask.await {
            Ok(value) => {
                *slot = Slot { value: Some(value.clone()), failed: None };
                Ok(value)
            }
            Err(error) => {
                *slot = Slot { value: None, failed: Some(error.clone()) };
                self.failures.fetch_add(1, Ordering::Release);
                Err(error)
            }
        }
    }

    async fn set(&self, value: Option<T>) {
        self.slot.lock().await.value = value;
    }

    async fn forget(&self) {
        self.forget_if(|_| true).await;
    }

    async fn forget_if(&self, is_so: impl Fn(&T) -> bool) {
        let mut slot = self.slot.lock().await;
        if slot.value.as_ref().is_some_and(is_so) {
            slot.value = None;
        }
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    // Maps are whole after every single operation, whatever panicked beside.
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
