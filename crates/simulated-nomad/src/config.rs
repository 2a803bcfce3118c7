//! The agent's configuration, as far as tests set it: Nomad's own keys, in JSON.
//!
//! A key that is not known here is passed over, for real configurations hold many that only tune a
//! real agent. A block may stand in a list, as JSON made from HCL has it. Read next: `agent.rs`,
//! `machine.rs` (what the node says of itself).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::acl::Lifetimes;
use crate::durations;
use crate::link::downstream::Heartbeats;

#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub(crate) struct Config {
    #[serde(skip)]
    pub dev: bool,
    pub name: String,
    pub region: String,
    pub datacenter: String,
    pub bind_addr: String,
    /// The stand-in writes no log; that it is a level is looked at as everywhere.
    pub log_level: String,
    pub data_dir: PathBuf,
    #[serde(deserialize_with = "block")]
    pub ports: Ports,
    #[serde(deserialize_with = "block")]
    pub acl: Acl,
    #[serde(deserialize_with = "block")]
    pub client: Client,
    #[serde(deserialize_with = "block")]
    pub server: ServerPart,
    #[serde(deserialize_with = "block")]
    pub limits: Limits,
    #[serde(deserialize_with = "block")]
    pub tls: Option<Tls>,
    #[serde(deserialize_with = "block")]
    pub vault: Vault,
    pub plugin: Value,
}

const LOG_LEVELS: [&str; 6] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "OFF"];

impl Default for Config {
    fn default() -> Self {
        Self {
            dev: true,
            name: "stand-in".to_owned(),
            region: "global".to_owned(),
            datacenter: "dc1".to_owned(),
            bind_addr: "127.0.0.1".to_owned(),
            log_level: "INFO".to_owned(),
            data_dir: std::env::temp_dir().join(format!("simulated-nomad-{}", std::process::id())),
            ports: Ports::default(),
            acl: Acl::default(),
            client: Client::default(),
            server: ServerPart::default(),
            limits: Limits::default(),
            tls: None,
            vault: Vault::default(),
            plugin: Value::Null,
        }
    }
}

/// One cluster; tasks log in by their identity.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub(crate) struct Vault {
    pub enabled: bool,
    pub address: String,
    pub jwt_auth_backend_path: String,
    pub create_from_role: String,
    #[serde(deserialize_with = "block")]
    pub default_identity: VaultIdentity,
}

impl Default for Vault {
    fn default() -> Self {
        Self {
            enabled: false,
            address: "https://vault.service.consul:8200".to_owned(),
            jwt_auth_backend_path: "jwt-nomad".to_owned(),
            create_from_role: String::new(),
            default_identity: VaultIdentity::default(),
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct VaultIdentity {
    pub aud: Vec<String>,
    /// As Go writes lengths of time.
    pub ttl: Option<String>,
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
        let read = |text: &Option<String>| text.as_deref().map_or(Ok(0), durations::parse);
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
    pub node_class: String,
    pub node_pool: Option<String>,
    /// MHz that the node claims.
    pub cpu_total_compute: Option<u64>,
    /// MB that the node claims.
    pub memory_total_mb: Option<u64>,
    pub disk_total_mb: Option<u64>,
    #[serde(deserialize_with = "block")]
    pub meta: BTreeMap<String, Value>,
    #[serde(deserialize_with = "block")]
    pub options: BTreeMap<String, Value>,
    #[serde(deserialize_with = "block")]
    pub host_volume: BTreeMap<String, Value>,
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

impl ServerPart {
    /// Nomad's own are ten seconds each.
    ///
    /// # Errors
    /// A length of time is none.
    pub fn heartbeats(&self) -> Result<Heartbeats, String> {
        let read = |text: &Option<String>| -> Result<Duration, String> {
            let said = text.as_deref().filter(|it| !it.is_empty());
            let nanos = durations::parse(said.unwrap_or("10s"))?;
            Ok(Duration::from_nanos(u64::try_from(nanos).unwrap_or_default()))
        };
        Ok(Heartbeats { ttl: read(&self.min_heartbeat_ttl)?, grace: read(&self.heartbeat_grace)? })
    }
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
        let level = config.log_level.to_uppercase();
        if !LOG_LEVELS.contains(&level.as_str()) {
            return Err(format!(
                "Invalid log level: {level}. Valid log levels are: {LOG_LEVELS:?}"
            ));
        }
        Ok(config)
    }

    pub fn is_server(&self) -> bool {
        self.server.enabled.unwrap_or(self.dev)
    }

    pub fn is_client(&self) -> bool {
        self.client.enabled.unwrap_or(self.dev)
    }

    /// Whether the plugin of that name is configured with `enabled`.
    pub fn enables(&self, plugin: &str) -> bool {
        let found = flat(&self.plugin).filter_map(|all| all.get(plugin));
        let settings = found.flat_map(flat).filter_map(|one| one.get("config")).flat_map(flat);
        settings.filter_map(|one| one.get("enabled")).any(|it| it == &Value::Bool(true))
    }
}

/// A block and one in a list are the same.
fn flat(value: &Value) -> Box<dyn Iterator<Item = &Map<String, Value>> + '_> {
    match value {
        Value::Array(all) => Box::new(all.iter().flat_map(flat)),
        Value::Object(one) => Box::new(std::iter::once(one)),
        _ => Box::new(std::iter::empty()),
    }
}

fn block<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<T, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let value = if value.is_array() {
        let mut whole = Map::new();
        flat(&value).for_each(|one| merge(&mut whole, one.clone()));
        Value::Object(whole)
    } else {
        value
    };
    serde_json::from_value(value).map_err(D::Error::custom)
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: Value) -> Config {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_block_may_stand_in_a_list() {
        let config = read(json!({
            "ports": [{"http": 1}],
            "client": [{"enabled": true, "meta": [{"rack": "r1"}], "host_volume": {"v": {"path": "/"}}}],
            "plugin": [{"raw_exec": [{"config": [{"enabled": true}]}]}],
        }));
        assert_eq!((config.ports.http, config.ports.rpc), (1, 4647));
        assert_eq!(config.client.meta["rack"], "r1");
        assert!(config.client.host_volume.contains_key("v"));
        assert!(config.enables("raw_exec") && !config.enables("exec"));
    }

    #[test]
    fn an_agent_is_what_it_says_and_both_where_dev_says_so() {
        let with = |dev, server: Value, client: Value| {
            let config = Config { dev, ..read(json!({"server": server, "client": client})) };
            (config.is_server(), config.is_client())
        };
        assert_eq!(with(true, json!({}), json!({})), (true, true));
        assert_eq!(with(false, json!({}), json!({})), (false, false));
        assert_eq!(with(false, json!({"enabled": true}), json!({})), (true, false));
    }

    #[test]
    fn later_files_win_key_by_key() {
        let mut merged = Map::new();
        for one in [json!({"acl": {"enabled": true}, "name": "a"}), json!({"acl": {"x": 1}})] {
            merge(&mut merged, one.as_object().unwrap().clone());
        }
        assert_eq!(Value::Object(merged), json!({"acl": {"enabled": true, "x": 1}, "name": "a"}));
    }
}
