//! The agent's configuration, as far as tests set it: Nomad's own keys, in JSON.
//!
//! A key that is not known here is passed over, for real configurations hold many that only tune a
//! real agent. Read next: `agent.rs`.

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::acl::{Lifetimes, lengths};

#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub(crate) struct Config {
    #[serde(skip)]
    pub dev: bool,
    pub name: String,
    pub region: String,
    pub datacenter: String,
    pub bind_addr: String,
    pub data_dir: PathBuf,
    pub ports: Ports,
    pub acl: Acl,
    pub client: Client,
    pub server: ServerPart,
    pub limits: Limits,
    pub tls: Option<Tls>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            dev: false,
            name: "stand-in".to_owned(),
            region: "global".to_owned(),
            datacenter: "dc1".to_owned(),
            bind_addr: "127.0.0.1".to_owned(),
            data_dir: std::env::temp_dir().join(format!("simulated-nomad-{}", std::process::id())),
            ports: Ports::default(),
            acl: Acl::default(),
            client: Client::default(),
            server: ServerPart::default(),
            limits: Limits::default(),
            tls: None,
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default)]
pub(crate) struct Ports {
    pub http: u16,
    pub rpc: u16,
    pub serf: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self { http: 4646, rpc: 4647, serf: 4648 }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Acl {
    pub enabled: bool,
    /// As Go writes lengths of time.
    pub token_min_expiration_ttl: Option<String>,
    pub token_max_expiration_ttl: Option<String>,
}

impl Acl {
    /// # Errors
    /// A length of time is none.
    pub fn lifetimes(&self) -> Result<Lifetimes, String> {
        let read = |text: &Option<String>| text.as_deref().map_or(Ok(0), lengths::parse);
        Ok(Lifetimes {
            least: read(&self.token_min_expiration_ttl)?,
            most: read(&self.token_max_expiration_ttl)?,
        })
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Client {
    /// None: as `-dev` says.
    pub enabled: Option<bool>,
    /// `host:port` of servers' RPC.
    pub servers: Vec<String>,
    /// MHz that the node claims.
    pub cpu_total_compute: Option<u64>,
    /// MB that the node claims.
    pub memory_total_mb: Option<u64>,
    pub disk_total_mb: Option<u64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ServerPart {
    /// None: as `-dev` says.
    pub enabled: Option<bool>,
    pub bootstrap_expect: Option<u64>,
    pub heartbeat_grace: Option<String>,
    pub min_heartbeat_ttl: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Limits {
    /// None: Nomad's 100. 0: no limit.
    pub http_max_conns_per_client: Option<usize>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Tls {
    pub http: bool,
    pub ca_file: PathBuf,
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
    pub verify_https_client: bool,
}

impl Config {
    /// `-dev`, `-config FILE`, `-config=FILE`.
    ///
    /// # Errors
    /// In words, for an argument or a file that cannot be read.
    pub fn from_arguments(arguments: &[String]) -> Result<Self, String> {
        let mut dev = false;
        let mut merged = Map::new();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let file = match argument.as_str() {
                "-dev" => {
                    dev = true;
                    continue;
                }
                "-config" => rest.next().ok_or("-config wants a file")?.clone(),
                other => match other.strip_prefix("-config=") {
                    Some(file) => file.to_owned(),
                    None => return Err(format!("the stand-in knows no argument {other}")),
                },
            };
            let text =
                std::fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
            let read: Map<String, Value> =
                serde_json::from_str(&text).map_err(|error| format!("{file}: {error}"))?;
            merge(&mut merged, read);
        }
        let mut config: Self =
            serde_json::from_value(Value::Object(merged)).map_err(|error| error.to_string())?;
        config.dev = dev;
        Ok(config)
    }
}

fn merge(into: &mut Map<String, Value>, other: Map<String, Value>) {
    for (key, value) in other {
        match (into.get_mut(&key), value) {
            (Some(Value::Object(known)), Value::Object(more)) => merge(known, more),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}
