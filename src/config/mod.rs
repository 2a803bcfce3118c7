//! The config: a TOML file, overridden by environment variables, with defaults, as typed settings. All
//! errors of a load are reported at once, each with file, key, what is wrong and how to fix it.
//!
//! Depends on no other module of the daemon and keeps no state: a reload loads again. Begin with
//! `keys.rs` (all keys) and `section.rs` (how they are read); each section of the file has a file here.

mod admin;
mod app;
mod ca_cert;
mod causes;
mod claims;
mod environment;
mod error;
mod find;
mod github;
mod in_vault;
mod keys;
mod labels;
mod layers;
mod log;
mod nomad;
mod not_yet;
mod placeholders;
mod pool;
mod pool_rules;
mod position;
mod report;
mod repositories;
mod runners;
mod schedule;
mod secrets;
mod section;
mod store;
mod suggest;
#[cfg(test)]
mod testing;
mod topics;
mod values;
mod vault;
mod warm;
mod webhook;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use admin::{Admin, Listen};
pub use app::{App, Secret};
pub use claims::{Claims, TlsFiles};
pub use environment::{Environment, SystemdCredential};
pub use error::{ConfigError, ConfigErrors};
pub use find::find_file;
pub use github::{By, Credential, ForgeKind, GitHub, github_api_url};
pub use in_vault::{VaultField, VaultSecret, VaultSecrets, Wish};
pub use keys::{Given, Key, known_keys};
pub use log::{Log, LogFormat};
pub use nomad::{Nomad, NomadAddress};
pub use not_yet::is_not_yet;
pub use placeholders::{CREDENTIAL_KEYS, META_KEYS, placeholders};
pub use pool::{CredentialKind, Delivery, Pool, ScopeKind};
pub use report::{HOSTED_RUNNERS, HostedRunner, Plan, Report};
pub use repositories::overlap;
pub use runners::Runners;
pub(crate) use secrets::token_in;
pub use store::Store;
pub use vault::{OneSecret, VAULT_PLACEHOLDERS, Vault, VaultLogin};
pub use webhook::{Webhook, public_url as webhook_url};

use section::{Context, Section};

/// The result of a load without errors.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub settings: Settings,
    /// What works, but is probably not meant.
    pub warnings: Vec<ConfigError>,
    /// Where each secret comes from.
    pub secrets: Vec<SecretPlace>,
    /// Keys that are set by a variable, and its name; including secrets.
    pub variables: Vec<(String, String)>,
    /// The file that was read.
    pub file: Option<PathBuf>,
}

/// Where a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretPlace {
    /// As errors name it: `webhook.secret`.
    pub key: String,
    pub from: Origin,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The config itself.
    Config,
    /// A file that the config names.
    File(PathBuf),
    /// A systemd credential, and the file that it is read from.
    Credential { name: String, file: PathBuf },
    /// A variable of the environment.
    Variable(String),
    /// A field of an entry in Vault.
    Vault(VaultField),
}

impl Origin {
    /// The file that contains it, if that is not the config.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Origin::File(file) | Origin::Credential { file, .. } => Some(file),
            Origin::Config | Origin::Variable(_) | Origin::Vault(_) => None,
        }
    }
}

/// All settings, validated. Secrets in it are not printed by `Debug`.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long requests in flight may still take after SIGTERM. May be zero.
    pub shutdown_grace: Duration,
    pub log: Log,
    pub webhook: Webhook,
    pub admin: Admin,
    pub store: Store,
    pub github: GitHub,
    pub nomad: Nomad,
    pub runners: Runners,
    pub report: Report,
    /// There where a pool needs it, at least.
    pub claims: Option<Claims>,
    /// There where a pool or a secret needs it, at least.
    pub vault: Option<Vault>,
    /// At least one; a job belongs to the first whose repositories and labels match.
    pub pools: Vec<Pool>,
}

/// A config as it was read, not yet understood.
#[derive(Clone)]
pub struct Source {
    /// As errors name it.
    name: String,
    text: String,
    file: PathBuf,
}

/// What a config wants of Vault before it can be loaded.
pub struct Wanted {
    /// Each once.
    pub wishes: BTreeSet<Wish>,
    /// Where to ask. `None`: `[vault]` is wrong, which the load tells.
    pub vault: Option<Vault>,
    /// How to log meanwhile; `None`: `[log]` is wrong.
    pub log: Option<Log>,
}

impl Source {
    /// Finds the file ([`find_file`]) and reads it, but not the secrets that it names.
    pub fn read(path: Option<&Path>, env: &Environment) -> Result<Self, ConfigErrors> {
        let (file, text) = found(path, env)?;
        Ok(Self { name: file.display().to_string(), text, file })
    }

    /// What it wants of Vault.
    pub fn wanted(&self, env: &Environment) -> Result<Wanted, ConfigErrors> {
        // Whatever else is wrong is told by the load.
        self.wanted_by(env, |root| drop(settings(root)))
    }

    /// What [`load_admin`](Self::load_admin) wants of it.
    pub fn wanted_by_admin(&self, env: &Environment) -> Result<Wanted, ConfigErrors> {
        self.wanted_by(env, |root| drop(admin::read(&root.section("admin"))))
    }

    fn wanted_by(
        &self,
        env: &Environment,
        read: impl FnOnce(&Section),
    ) -> Result<Wanted, ConfigErrors> {
        let (tree, positions, errors) = layers::merge(&self.text, &self.name, env)?;
        let context = Context::new(&self.name, positions, env, errors);
        let root = Section::root(&context, &tree);
        read(&root);
        let log = log::read(&root.section("log"));
        let wishes: BTreeSet<Wish> = context.wishes.borrow().iter().cloned().collect();
        let vault = vault::read(&root.section("vault"), !wishes.is_empty()).flatten();
        Ok(Wanted { wishes, vault, log })
    }

    /// `[admin]` and where the store is, for commands that call the daemon: this user may not be allowed to
    /// read the other secrets.
    pub fn load_admin(&self, env: &Environment) -> Result<AdminAlone, ConfigErrors> {
        let (tree, positions, errors) = layers::merge(&self.text, &self.name, env)?;
        let context = Context::new(&self.name, positions, env, errors);
        let root = Section::root(&context, &tree);
        let admin = admin::read(&root.section("admin"));
        let databases = store::read(&root.section("store")).map(|store| {
            let of_service = Path::new(SERVICE_STATE).join(&store.path);
            [store.path, of_service].into()
        });
        let mut errors = context.errors.into_inner();
        errors.retain(|error| error.key.split('.').next() == Some("admin"));
        match admin {
            Some(admin) if errors.is_empty() => {
                Ok(AdminAlone { admin, databases: databases.unwrap_or_default() })
            }
            _ => Err(ConfigErrors::new(errors)),
        }
    }

    /// Loads it, with the secrets that it names.
    pub fn load(&self, env: &Environment) -> Result<Loaded, ConfigErrors> {
        let mut loaded = from_text(&self.text, &self.name, env)?;
        loaded.file = Some(self.file.clone());
        Ok(loaded)
    }
}

/// Finds the file, reads it and the secrets it names, but for those in Vault.
pub fn load(path: Option<&Path>, env: &Environment) -> Result<Loaded, ConfigErrors> {
    Source::read(path, env)?.load(env)
}

/// The value of `$STATE_DIRECTORY` in our systemd unit (`StateDirectory=roustabout`). A shell does not
/// have that variable.
pub const SERVICE_STATE: &str = "/var/lib/roustabout";

/// What a command needs to call the daemon.
#[derive(Debug, Clone)]
pub struct AdminAlone {
    pub admin: Admin,
    /// Where the database may be, beside which the daemon keeps the token that it created: the path of
    /// the config, then that of the service.
    pub databases: Vec<PathBuf>,
}

fn found(path: Option<&Path>, env: &Environment) -> Result<(PathBuf, String), ConfigErrors> {
    let file = find_file(path, env)?;
    let text = std::fs::read_to_string(&file).map_err(|error| {
        ConfigError::whole_file(
            file.display().to_string(),
            format!("cannot read the config: {error}"),
            "it must be a text file that the user roustabout runs as can read",
        )
    })?;
    Ok((file, text))
}

/// Loads a text as if it were the content of the file `name`.
pub fn from_text(text: &str, name: &str, env: &Environment) -> Result<Loaded, ConfigErrors> {
    let (tree, positions, errors) = layers::merge(text, name, env)?;
    let context = Context::new(name, positions, env, errors);
    let settings = settings(&Section::root(&context, &tree));
    let errors = context.errors.into_inner();
    match settings {
        Some(settings) if errors.is_empty() => Ok(Loaded {
            settings,
            warnings: context.warnings.into_inner(),
            secrets: context.secrets.into_inner(),
            variables: context.variables.into_inner(),
            file: None,
        }),
        _ => Err(ConfigErrors::new(errors)),
    }
}

/// Reads every section, even if another one has errors.
fn settings(root: &Section) -> Option<Settings> {
    let shutdown_grace = root.duration("shutdown_grace");
    let log = log::read(&root.section("log"));
    let of_webhook = root.section("webhook");
    let (webhook, lacks_secret) = webhook::read(&of_webhook);
    let admin = admin::read(&root.section("admin"));
    let store = store::read(&root.section("store"));
    let of_github = root.section("github");
    let github = github::read(&of_github);
    let apps_sign = github::apps_sign(&of_github, github.as_ref());
    if lacks_secret && !apps_sign {
        webhook::report_missing_secret(&of_webhook);
    }
    let nomad = nomad::read(&root.section("nomad"));
    let runners = runners::read(&root.section("runners"));
    let report = report::read(&root.section("report"));
    let is_given = root.given("claims").is_some();
    let claims = claims::read(&root.section("claims"), is_given);
    let pools = pool::read(root, runners.as_ref(), github.as_ref(), is_given);
    let of_vault = root.section("vault");
    let keeps = |pools: &Vec<Pool>| pools.iter().any(|pool| pool.delivery == Delivery::Vault);
    let needs_vault = root.given("vault").is_some()
        || !root.context.wishes.borrow().is_empty()
        || pools.as_ref().is_some_and(keeps);
    let vault = vault::read(&of_vault, needs_vault);
    if let (Some(Some(vault)), Some(pools), Some(nomad)) = (&vault, &pools, &nomad) {
        vault::check_paths(&of_vault, vault, pools, &nomad.namespace);
    }
    Some(Settings {
        shutdown_grace: shutdown_grace?,
        log: log?,
        webhook: webhook?,
        admin: admin?,
        store: store?,
        github: github?,
        nomad: nomad?,
        runners: runners?,
        report: report?,
        claims: claims?,
        vault: vault?,
        pools: pools?,
    })
}
