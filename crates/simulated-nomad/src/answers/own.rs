//! `GET /v1/agent/self`: the agent's configuration, itself as a member of the servers, and some counts.
//!
//! Read next: `agent.rs`, `../config.rs`.

use serde_json::{Map, Value, json};

use super::agent::{member, rpc_address};
use super::call::{Call, Reply, Stated};
use crate::acl::Acl;
use crate::config::Config;
use crate::standing::Standing;
use crate::{MARK, VERSION};

pub(super) fn own(call: &Call) -> Reply {
    let acl = call.server.view(|view, now| {
        call.admit(view, &Stated::default(), now).map(|_| acl(view.nomad.acl()))
    })?;
    let config = call.server.config();
    let mut whole = settings(config);
    whole.insert("ACL".to_owned(), acl);
    whole.insert(MARK.to_owned(), true.into());
    Ok(call.json(&json!({"config": whole, "member": member(config), "stats": counts(call)})))
}

fn acl(acl: &Acl) -> Value {
    const CACHED: u64 = 30_000_000_000;
    json!({
        "Enabled": acl.enabled, "TokenTTL": CACHED, "PolicyTTL": CACHED, "RoleTTL": CACHED,
        "ReplicationToken": "", "TokenMinExpirationTTL": acl.lifetimes.least,
        "TokenMaxExpirationTTL": acl.lifetimes.most,
    })
}

fn settings(config: &Config) -> Map<String, Value> {
    let (address, ports) = (&config.bind_addr, &config.ports);
    let tls = config.tls.clone().unwrap_or_default();
    let advertised = |port: u16| format!("{address}:{port}");
    let all = json!({
        "Addresses": {"HTTP": address, "RPC": address, "Serf": address},
        "AdvertiseAddrs": {
            "HTTP": advertised(ports.http), "RPC": advertised(ports.rpc),
            "Serf": advertised(ports.serf),
        },
        "BindAddr": address, "Client": client(config), "DataDir": config.data_dir,
        "Datacenter": config.datacenter, "DevMode": config.dev, "DisableUpdateCheck": true,
        "EnableDebug": config.dev, "EnableSyslog": false, "HTTPAPIResponseHeaders": {},
        "LeaveOnInt": false, "LeaveOnTerm": false,
        "Limits": {
            "HTTPMaxConnsPerClient": config.limits.http_max_conns_per_client.unwrap_or(100),
            "HTTPSHandshakeTimeout": "5s", "RPCHandshakeTimeout": "5s",
            "RPCMaxConnsPerClient": 100,
        },
        "LogLevel": "INFO", "LogJson": false, "NodeName": config.name,
        "Ports": {"HTTP": ports.http, "RPC": ports.rpc, "Serf": ports.serf},
        "Region": config.region, "Server": server(config), "SyslogFacility": "LOCAL0",
        "TLSConfig": {
            "EnableHTTP": tls.http, "EnableRPC": false, "CAFile": tls.ca_file,
            "CertFile": tls.cert_file, "KeyFile": if tls.http { "<redacted>" } else { "" },
            "VerifyHTTPSClient": tls.verify_https_client, "VerifyServerHostname": false,
            "TLSMinVersion": "", "TLSCipherSuites": "", "RPCUpgradeMode": false,
        },
        "Telemetry": {
            "CollectionInterval": "1s", "DisableHostname": false, "PrometheusMetrics": false,
            "PublishAllocationMetrics": false, "PublishNodeMetrics": false,
        },
        "Version": {
            "Version": VERSION, "VersionMetadata": "", "VersionPrerelease": "",
            "Revision": "", "BuildDate": null,
        },
    });
    all.as_object().cloned().unwrap_or_default()
}

fn client(config: &Config) -> Value {
    let client = &config.client;
    json!({
        "Enabled": config.is_client(), "AllocDir": config.data_dir.join("alloc"), "StateDir": "",
        "Servers": client.servers, "NodeClass": client.node_class,
        "NodePool": client.node_pool.as_deref().unwrap_or("default"),
        "Meta": client.meta, "Options": client.options,
        "CpuCompute": client.cpu_total_compute.unwrap_or(0),
        "MemoryMB": client.memory_total_mb.unwrap_or(0),
        "DiskTotalMB": client.disk_total_mb.unwrap_or(0), "HostVolumes": client.host_volume,
        "GCInterval": 60_000_000_000_u64, "GCMaxAllocs": 50, "GCParallelDestroys": 2,
        "GCDiskUsageThreshold": 80, "GCInodeUsageThreshold": 70, "MaxKillTimeout": "30s",
        "NetworkInterface": "", "NetworkSpeed": 0, "DisableRemoteExec": false, "NoHostUUID": true,
        "BridgeNetworkName": "", "CNIPath": "/opt/cni/bin", "CNIConfigDir": "/opt/cni/config",
        "CgroupParent": "", "BindWildcardDefaultHostNetwork": true,
    })
}

fn server(config: &Config) -> Value {
    let server = &config.server;
    let expected = server.bootstrap_expect.unwrap_or(u64::from(config.dev));
    json!({
        "Enabled": config.is_server(), "BootstrapExpect": expected, "DataDir": "",
        "HeartbeatGrace": server.heartbeat_grace.as_deref().unwrap_or("0s"),
        "MinHeartbeatTTL": server.min_heartbeat_ttl.as_deref().unwrap_or("0s"),
        "MaxHeartbeatsPerSecond": 0, "JobGCInterval": "", "JobGCThreshold": "", "EvalGCThreshold": "",
        "NodeGCThreshold": "", "DeploymentGCThreshold": "", "NumSchedulers": null,
        "EnabledSchedulers": null, "RaftProtocol": 3, "RaftMultiplier": null, "RejoinAfterLeave": false,
        "RetryJoin": null, "UpgradeVersion": "", "NonVotingServer": false, "RedundancyZone": "",
    })
}

/// Go's counts of a running program are text.
fn counts(call: &Call) -> Value {
    let mut all = json!({"runtime": {
        "arch": std::env::consts::ARCH, "kernel.name": std::env::consts::OS,
        "cpu_count": std::thread::available_parallelism().map_or(1, usize::from).to_string(),
        "version": "",
    }});
    match call.server.standing() {
        Standing::Client { servers } => {
            all["client"] = json!({"known_servers": servers.join(","), "node_id": ""});
        }
        standing => {
            let leads = *standing == Standing::Leader;
            let leader = if leads { rpc_address(call) } else { String::new() };
            all["nomad"] = json!({
                "bootstrap": leads.to_string(), "known_regions": "1", "leader": leads.to_string(),
                "leader_addr": leader, "server": "true",
            });
            let state = if leads { "Leader" } else { "Follower" };
            all["raft"] = json!({"state": state, "protocol_version": "3"});
        }
    }
    all
}
