//! What a client says of its node: what its configuration claims, and what is found on this machine.
//!
//! Only `raw_exec` is offered. Read next: `nodes.rs`.

use std::collections::{BTreeMap, BTreeSet};

use rustix::system::uname;
use serde_json::Value;

use crate::VERSION;
use crate::config::Config;
use crate::nodes::NodeSpec;
use crate::tasks::{Site, VaultAccess};

/// The node of this machine.
pub(crate) fn node(config: &Config) -> NodeSpec {
    let client = &config.client;
    let cores = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let cpu_mhz = client.cpu_total_compute.unwrap_or(cores * MHZ_OF_A_CORE);
    let memory_mb = client.memory_total_mb.unwrap_or_else(memory_mb);
    let text = |all: &BTreeMap<String, Value>| -> BTreeMap<String, String> {
        all.iter().map(|(name, value)| (name.clone(), plain(value))).collect()
    };
    let drivers = drivers(config, &text(&client.options));
    let mut attributes = attributes(config, cores, cpu_mhz, memory_mb);
    for driver in &drivers {
        attributes.insert(format!("attr.driver.{driver}"), "1".to_owned());
    }
    NodeSpec {
        name: config.name.clone(),
        datacenter: config.datacenter.clone(),
        pool: client.node_pool.clone().unwrap_or_else(|| "default".to_owned()),
        class: client.node_class.clone(),
        http_address: format!("{}:{}", config.bind_addr, config.ports.http),
        cpu_mhz,
        cores,
        memory_mb,
        disk_mb: client.disk_total_mb.unwrap_or(DISK_MB),
        attributes,
        meta: text(&client.meta),
        drivers,
        host_volumes: client.host_volume.keys().cloned().collect(),
        ..NodeSpec::default()
    }
}

/// What tasks learn of it; `environment` is what they inherit.
pub(crate) fn site(
    config: &Config,
    id: &str,
    node: &NodeSpec,
    environment: BTreeMap<String, String>,
) -> Site {
    let mut facts = node.attributes.clone();
    let own = [
        ("node.unique.id", id),
        ("node.unique.name", &node.name),
        ("node.datacenter", &node.datacenter),
        ("node.region", &config.region),
        ("node.class", &node.class),
        ("node.pool", &node.pool),
    ];
    facts.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
    facts.extend(node.meta.iter().map(|(name, value)| (format!("meta.{name}"), value.clone())));
    let (region, datacenter) = (config.region.clone(), node.datacenter.clone());
    let vault = VaultAccess::of(&config.vault);
    Site { environment, region, datacenter, facts, vault }
}

/// The node's id: the one that the client has kept, else this, which it keeps from now on. In dev mode
/// there is nothing to keep.
///
/// # Errors
/// In words, where that file cannot be read or written.
pub(crate) fn id(config: &Config, new: String) -> Result<String, String> {
    let folder = config.data_dir.join("client");
    if config.dev || !config.is_client() {
        return Ok(new);
    }
    let file = folder.join("client-id");
    let keep = || match std::fs::read_to_string(&file) {
        Ok(kept) if kept.len() == new.len() => Ok(kept),
        _ => {
            std::fs::create_dir_all(&folder)?;
            std::fs::write(&file, &new)?;
            Ok(new.clone())
        }
    };
    keep().map_err(|error: std::io::Error| format!("{}: {error}", file.display()))
}

/// Where nothing is claimed; only bookkeeping depends on it.
const MHZ_OF_A_CORE: u64 = 2_000;
const DISK_MB: u64 = 100_000;

/// What tasks may ask to be told by.
const SIGNALS: &str = "SIGABRT,SIGALRM,SIGBUS,SIGCHLD,SIGCONT,SIGFPE,SIGHUP,SIGILL,SIGINT,SIGIO,\
                       SIGIOT,SIGKILL,SIGNULL,SIGPIPE,SIGPROF,SIGPWR,SIGQUIT,SIGSEGV,SIGSTKFLT,\
                       SIGSTOP,SIGSYS,SIGTERM,SIGTRAP,SIGTSTP,SIGTTIN,SIGTTOU,SIGURG,SIGUSR1,\
                       SIGUSR2,SIGWINCH,SIGXCPU,SIGXFSZ";

/// `-dev` offers `raw_exec` by itself; lists of drivers in the options narrow that.
fn drivers(config: &Config, options: &BTreeMap<String, String>) -> BTreeSet<String> {
    let listed = |name: &str| {
        let list = options.get(name).filter(|list| !list.is_empty())?;
        Some(list.split(',').any(|one| one.trim() == "raw_exec"))
    };
    let enabled = config.dev || config.enables("raw_exec");
    let allowed = listed("driver.allowlist").unwrap_or(true);
    let denied = listed("driver.denylist").unwrap_or(false);
    (enabled && allowed && !denied).then(|| "raw_exec".to_owned()).into_iter().collect()
}

fn attributes(config: &Config, cores: u64, cpu: u64, memory: u64) -> BTreeMap<String, String> {
    let system = uname();
    let words = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    let host = words(system.nodename());
    let (os, os_version) = distribution();
    let found = [
        ("arch", arch().to_owned()),
        ("cpu.arch", arch().to_owned()),
        ("cpu.numcores", cores.to_string()),
        ("cpu.totalcompute", cpu.to_string()),
        ("cpu.usablecompute", cpu.to_string()),
        ("kernel.arch", words(system.machine())),
        ("kernel.name", std::env::consts::OS.to_owned()),
        ("kernel.version", words(system.release())),
        ("memory.totalbytes", (memory * 1024 * 1024).to_string()),
        ("nomad.revision", String::new()),
        ("nomad.version", VERSION.to_owned()),
        ("os.name", os),
        ("os.signals", SIGNALS.to_owned()),
        ("os.version", os_version),
        ("unique.hostname", host),
        ("unique.network.ip-address", config.bind_addr.clone()),
        ("unique.storage.volume", "/".to_owned()),
    ];
    let found = found.into_iter().filter(|(_, value)| !value.is_empty());
    found.map(|(name, value)| (format!("attr.{name}"), value)).collect()
}

/// Nomad has Go's names for what Rust calls otherwise.
fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn memory_mb() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kilobytes = total.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.map_or(1_024, |kilobytes| kilobytes / 1_024)
}

/// Name and version of the system, as it calls itself.
fn distribution() -> (String, String) {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_default().trim_matches('"').to_owned()
    };
    (value("ID"), value("VERSION_ID"))
}

/// Numbers and truth values in `meta` and `options` are text to whoever reads them.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn it_says_what_it_is_configured_to() {
        let config: Config = serde_json::from_value(json!({
            "name": "n", "datacenter": "dc2",
            "client": {
                "cpu_total_compute": 8_000, "memory_total_mb": 7, "node_pool": "p",
                "meta": {"rack": "r1", "slots": 3},
            },
        }))
        .unwrap();
        let node = node(&config);
        assert_eq!((node.cpu_mhz, node.memory_mb), (8_000, 7));
        assert_eq!((node.name.as_str(), node.datacenter.as_str()), ("n", "dc2"));
        assert_eq!((node.pool.as_str(), node.meta["slots"].as_str()), ("p", "3"));
        assert_eq!(node.attributes["attr.kernel.name"], "linux");
    }

    #[test]
    fn raw_exec_is_there_where_it_is_enabled_and_not_denied() {
        let has = |dev, config: Value| {
            let config = Config { dev, ..serde_json::from_value(config).unwrap() };
            node(&config).drivers.contains("raw_exec")
        };
        assert!(has(true, json!({})) && !has(false, json!({})));
        let plugin = json!([{"raw_exec": [{"config": [{"enabled": true}]}]}]);
        assert!(has(false, json!({"plugin": plugin})));
        assert!(!has(true, json!({"client": {"options": {"driver.denylist": "exec, raw_exec"}}})));
        assert!(!has(true, json!({"client": {"options": {"driver.allowlist": "docker"}}})));
    }
}
