//! The agent's own configuration: loopback, free ports, much room, nothing of the machine's.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};

use serde_json::json;
use url::Url;

use super::{AgentError, AgentOptions, Tls};
use crate::account::Account;

/// Three ports on loopback.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    http: u16,
    rpc: u16,
    serf: u16,
}

impl Ports {
    /// Ports that are free now. They are held together, so that they differ.
    pub(super) fn free() -> io::Result<Self> {
        let any = (Ipv4Addr::LOCALHOST, 0);
        let http = TcpListener::bind(any)?;
        let rpc = TcpListener::bind(any)?;
        let serf = TcpListener::bind(any)?;
        let ports = Self {
            http: http.local_addr()?.port(),
            rpc: rpc.local_addr()?.port(),
            serf: serf.local_addr()?.port(),
        };
        // Gossip wants the same number on UDP.
        UdpSocket::bind((Ipv4Addr::LOCALHOST, ports.serf))?;
        Ok(ports)
    }

    pub(super) fn address(self, scheme: &str) -> Url {
        let text = format!("{scheme}://127.0.0.1:{}/", self.http);
        Url::parse(&text).expect("http or https and a port make a URL")
    }
}

/// Writes the configuration files, in the order in which Nomad merges them.
pub(super) fn write(
    folder: &Path,
    options: &AgentOptions,
    account: &Account,
    ports: &Ports,
) -> Result<Vec<PathBuf>, AgentError> {
    let mut configs = vec![(folder.join("agent.json"), ours(folder, options, ports))];
    if let Some(tls) = &options.tls {
        configs.push((folder.join("tls.json"), with_tls(folder, tls, account)?));
    }
    if let Some(extra) = &options.extra_config {
        configs.push((folder.join("extra.json"), extra.clone()));
    }
    for (file, config) in &configs {
        fs::write(file, config.to_string()).map_err(AgentError::file("write", file))?;
    }
    Ok(configs.into_iter().map(|(file, _)| file).collect())
}

/// The files are copied: the agent may run as somebody who cannot read the key where it is.
fn with_tls(folder: &Path, tls: &Tls, account: &Account) -> Result<serde_json::Value, AgentError> {
    let copy = |from: &Path, name: &str| -> Result<PathBuf, AgentError> {
        let to = folder.join(name);
        fs::copy(from, &to).map_err(AgentError::file("copy", from))?;
        account.give(&to)?;
        Ok(to)
    };
    Ok(json!({ "tls": {
        "http": true,
        "ca_file": copy(&tls.ca_cert, "tls-ca.pem")?,
        "cert_file": copy(&tls.cert, "tls-cert.pem")?,
        "key_file": copy(&tls.key, "tls-key.pem")?,
        "verify_https_client": tls.verify_clients,
    } }))
}

fn ours(folder: &Path, options: &AgentOptions, ports: &Ports) -> serde_json::Value {
    let mut config = json!({
        "bind_addr": "127.0.0.1",
        "ports": { "http": ports.http, "rpc": ports.rpc, "serf": ports.serf },
        "data_dir": folder,
        "log_level": "INFO",
        "disable_update_check": true,
        "acl": { "enabled": options.acl },
        // 0 is no limit: the daemon and many tasks all come from one address.
        "limits": { "http_max_conns_per_client": 0 },
        // A Consul on this machine must not hear of an agent that is gone in a minute.
        "consul": {
            "auto_advertise": false,
            "server_auto_join": false,
            "client_auto_join": false,
        },
        "client": {
            // Beside the data folder unless said, so in /tmp itself, where others meet it.
            "alloc_mounts_dir": folder.join("mounts"),
            "cpu_total_compute": options.total_cpu,
            "memory_total_mb": options.total_memory,
            "disk_total_mb": 1_000_000,
            // Else ended tasks and their logs vanish at once on a disk that is 80 % full.
            "gc_disk_usage_threshold": 99,
            "gc_inode_usage_threshold": 99,
            "gc_max_allocs": 10_000,
            // The clouds' are slow where there is no cloud, and one ends the agent.
            "options": {
                "fingerprint.denylist": "env_aws,env_gce,env_azure,env_digitalocean",
            },
        },
        "plugin": [{ "raw_exec": [{ "config": [{ "enabled": true }] }] }],
    });
    if options.persistent {
        // What -dev would have said.
        config["advertise"] =
            json!({ "http": "127.0.0.1", "rpc": "127.0.0.1", "serf": "127.0.0.1" });
        config["server"] = json!({ "enabled": true, "bootstrap_expect": 1, "raft_multiplier": 1 });
        let client = &mut config["client"];
        client["enabled"] = true.into();
        client["servers"] = json!([format!("127.0.0.1:{}", ports.rpc)]);
        client["network_interface"] = "lo".into();
    }
    config
}
