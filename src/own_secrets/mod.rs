//! The daemon's own secrets that are in Vault: read before a config is loaded, and read again when another
//! version is there. [`Keeper::load`] loads a config with them. Secrets in files are read by the load itself; `files`
//! sees when they change.
//!
//! `connection` makes the client, `reading` reads what a config wants; `Keeper` remembers what was read,
//! so that an unreachable Vault takes nothing from a daemon that runs.

mod connection;
mod files;
mod reading;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

pub use connection::client;
pub use files::Files;
use reading::{Reading, Unread};

use crate::config::{
    AdminAlone, ConfigErrors, Environment, Loaded, Settings, Source, Vault, VaultField,
    VaultSecret, VaultSecrets, Wanted,
};
use crate::vault::Client;

/// How often Vault is asked whether there is another version.
const LOOK: Duration = Duration::from_secs(20);
/// Not sooner than this after the look before, however often somebody was refused with a secret.
const LOOK_AT_MOST: Duration = Duration::from_secs(5);

/// Why a config is not loaded.
#[derive(Debug)]
pub enum NotLoaded {
    /// It is wrong, or what it names in Vault is.
    Wrong(ConfigErrors),
    /// Vault does not answer, and nothing is known of a secret.
    Away(String),
}

/// What was read of Vault, and from which version.
#[derive(Default)]
pub struct Keeper {
    /// The client, and the section that it was made from.
    client: Option<(Vault, Client)>,
    /// Those before that one, whose tokens nobody has ended yet.
    before: Vec<Client>,
    known: BTreeMap<VaultField, VaultSecret>,
    /// Of each entry that is wanted, which version was read; `None`: it could not be.
    versions: BTreeMap<(String, String), Option<u64>>,
    /// When a value before is not to be accepted any more.
    until: Option<Instant>,
    trouble: Option<String>,
    last_look: Option<Instant>,
}

impl Keeper {
    /// Loads a config with what it wants of Vault. Where Vault does not answer, or does not show a secret any
    /// more, what was read before stands.
    pub async fn load(&mut self, source: &Source, env: &Environment) -> Result<Loaded, NotLoaded> {
        let wanted = source.wanted(env).map_err(NotLoaded::Wrong)?;
        let Some(vault) = wanted.vault.filter(|_| !wanted.wishes.is_empty()) else {
            // Nothing is in Vault, or `[vault]` is wrong, which the load tells.
            self.forget_all();
            return source.load(env).map_err(NotLoaded::Wrong);
        };
        let client = match self.client(vault) {
            Ok(client) => client,
            Err(why) => {
                let failed =
                    wanted.wishes.iter().map(|wish| (wish.field.clone(), Err(why.clone())));
                return load(source, env, failed.collect());
            }
        };
        let reading = Reading::of(&client, &wanted.wishes).await;
        self.last_look = Some(Instant::now());
        self.until = reading.until;
        let mut secrets = VaultSecrets::new();
        let mut trouble = None;
        for (field, read) in reading.secrets {
            let secret = match (read, self.known.get(&field)) {
                (Ok(secret), _) => Ok(secret),
                (Err(Unread::Away(why) | Unread::Refused(why)), Some(known)) => {
                    trouble = Some(why);
                    Ok(known.clone())
                }
                (Err(Unread::Away(why)), None) => return Err(NotLoaded::Away(why)),
                (Err(Unread::Refused(why)), None) | (Err(Unread::Wrong(why)), _) => Err(why),
            };
            secrets.insert(field, secret);
        }
        self.trouble = trouble;
        self.versions = reading.versions;
        let known = secrets
            .iter()
            .filter_map(|(field, read)| Some((field.clone(), read.as_ref().ok()?.clone())));
        let known: BTreeMap<_, _> = known.collect();
        let loaded = load(source, env, secrets)?;
        // Only what a config was loaded with: one that is wrong changes nothing.
        self.known = known;
        Ok(loaded)
    }

    /// Why Vault could not be asked at the last look.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Returns when there is another version of a secret, or when an old one is not to be accepted any more;
    /// or when Vault is in trouble, or out of it. `true`: load again. `refused` is notified when somebody was
    /// refused with a secret: there may be another version.
    pub async fn changed(&mut self, refused: &Notify) -> bool {
        let client = self.client.as_ref().filter(|_| !self.versions.is_empty());
        let Some((_, client)) = client else { return std::future::pending().await };
        let client = client.clone();
        loop {
            let last = self.last_look.unwrap_or_else(Instant::now);
            tokio::select! {
                () = tokio::time::sleep_until(last + LOOK) => {}
                () = refused.notified() => {
                    tokio::time::sleep_until(last + LOOK_AT_MOST).await;
                }
                () = until(self.until) => return true,
            }
            let looked = reading::look(&client, &self.versions).await;
            self.last_look = Some(Instant::now());
            match looked {
                Ok(true) => return true,
                Ok(false) if self.trouble.take().is_some() => return false,
                Ok(false) => {}
                Err(why) => {
                    let is_new = self.trouble.replace(why).is_none();
                    if is_new {
                        return false;
                    }
                }
            }
        }
    }

    /// Ends the session at Vault.
    pub async fn leave(&self) {
        for client in self.before.iter().chain(self.client.as_ref().map(|(_, client)| client)) {
            client.leave().await;
        }
    }

    /// Ends the sessions of clients that nobody uses since this config is in effect.
    pub fn leave_those_before(&mut self, settings: &Settings) {
        if settings.vault.is_none() {
            self.before.extend(self.client.take().map(|(_, client)| client));
        }
        let before = std::mem::take(&mut self.before);
        if !before.is_empty() {
            // A Vault that is gone holds up no reload.
            tokio::spawn(async move {
                for client in before {
                    client.leave().await;
                }
            });
        }
    }

    /// The client of `[vault]`, of which there is one: each login leaves a token behind, and a SecretID may be good
    /// for one login only.
    pub fn client_for(&mut self, settings: &Settings) -> anyhow::Result<Option<Client>> {
        let client = settings.vault.clone().map(|vault| self.client(vault));
        client.transpose().map_err(anyhow::Error::msg)
    }

    fn client(&mut self, vault: Vault) -> Result<Client, String> {
        if let Some((before, client)) = &self.client
            && *before == vault
        {
            return Ok(client.clone());
        }
        let client = client(&vault).map_err(|error| format!("{error:#}"))?;
        let before = self.client.replace((vault, client.clone()));
        self.before.extend(before.map(|(_, client)| client));
        Ok(client)
    }

    /// All that was read.
    fn forget_all(&mut self) {
        let before = std::mem::take(&mut self.before);
        *self = Self { client: self.client.take(), before, ..Self::default() };
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

fn load(source: &Source, env: &Environment, secrets: VaultSecrets) -> Result<Loaded, NotLoaded> {
    source.load(&env.clone().with_vault(Arc::new(secrets))).map_err(NotLoaded::Wrong)
}

/// Loads a config once, for a command that ends. Where Vault does not answer, that is an error of each key.
pub async fn load_once(source: &Source, env: &Environment) -> Result<Loaded, ConfigErrors> {
    source.load(&asked_once(source.wanted(env)?, env).await)
}

/// The same for a command that calls the daemon.
pub async fn load_admin(source: &Source, env: &Environment) -> Result<AdminAlone, ConfigErrors> {
    source.load_admin(&asked_once(source.wanted_by_admin(env)?, env).await)
}

async fn asked_once(wanted: Wanted, env: &Environment) -> Environment {
    let Wanted { wishes, vault: Some(vault), .. } = wanted else { return env.clone() };
    if wishes.is_empty() {
        return env.clone();
    }
    let secrets: VaultSecrets = match client(&vault) {
        Ok(client) => {
            let reading = Reading::of(&client, &wishes).await;
            client.leave().await;
            let told = |unread| match unread {
                Unread::Away(why) | Unread::Refused(why) | Unread::Wrong(why) => why,
            };
            reading.secrets.into_iter().map(|(field, read)| (field, read.map_err(told))).collect()
        }
        Err(error) => {
            let why = format!("{error:#}");
            wishes.into_iter().map(|wish| (wish.field, Err(why.clone()))).collect()
        }
    };
    env.clone().with_vault(Arc::new(secrets))
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;
    use transport::{Answering, Exchange, Request, Response, Transport, Whole};

    use super::*;
    use crate::config::{OneSecret, VaultLogin};
    use crate::vault::{Login, Secret};

    /// The second version of every entry is there.
    struct Second;

    impl Exchange for Second {
        fn send(&self, request: Request) -> Answering<'_, Response> {
            let text = match request.url.path().contains("/metadata/") {
                true => r#"{"data": {"current_version": 2}}"#,
                false => r#"{"data": {"ttl": 0}}"#,
            };
            let (status, headers) = (StatusCode::OK, reqwest::header::HeaderMap::new());
            Box::pin(async move { Ok(Response { status, headers, body: Whole::of(text) }) })
        }
    }

    /// One that has read the first.
    fn keeper() -> Keeper {
        let address: url::Url = "http://vault.test".parse().expect("it is one");
        let login = VaultLogin::Token(OneSecret::Value("t".into()));
        let vault = Vault {
            address: address.clone(),
            namespace: None,
            login,
            ca_cert_file: None,
            mount: "secret".to_owned(),
            path: "{runner_name}".to_owned(),
        };
        let login = Login::Token(Secret::Value("t".into()));
        let client = Client::over(Transport::new(Second), address, None, login);
        let place = ("kv".to_owned(), "github".to_owned());
        Keeper {
            client: Some((vault, client.expect("nothing is wrong with it"))),
            versions: BTreeMap::from([(place, Some(1))]),
            last_look: Some(Instant::now()),
            ..Keeper::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn another_version_is_looked_for_sooner_where_a_secret_was_refused() {
        let (begun, refused) = (Instant::now(), Notify::new());
        assert!(keeper().changed(&refused).await);
        assert_eq!(begun.elapsed(), LOOK);
        let begun = Instant::now();
        refused.notify_one();
        assert!(keeper().changed(&refused).await);
        assert_eq!(begun.elapsed(), LOOK_AT_MOST);
    }
}
