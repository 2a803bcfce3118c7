//! What a node has, and what of it is kept back, in the new form and in the one of before.
//!
//! Read next: `nodes.rs`.

use serde_json::{Value, json};

use crate::nodes::NodeSpec;

/// Nomad's range of ports that it gives to tasks.
const DYNAMIC_PORTS: (u16, u16) = (20_000, 32_000);
/// In Mbit/s, where nothing can be measured.
const SPEED: u32 = 1_000;

/// `NodeResources`.
pub(super) fn has(spec: &NodeSpec) -> Value {
    json!({
        "Cpu": {
            "CpuShares": spec.cpu_mhz, "TotalCpuCores": spec.cores,
            "ReservableCpuCores": (0..spec.cores).collect::<Vec<_>>(),
        },
        "Memory": {"MemoryMB": spec.memory_mb}, "Disk": {"DiskMB": spec.disk_mb},
        "Networks": [network(spec)],
        "NodeNetworks": [{
            "Addresses": [{
                "Address": host(spec), "Alias": "default", "Family": "ipv4", "Gateway": "",
                "ReservedPorts": "",
            }],
            "Device": "lo", "MacAddress": "", "Mode": "host", "Speed": SPEED,
        }],
        "Devices": null, "MinDynamicPort": DYNAMIC_PORTS.0, "MaxDynamicPort": DYNAMIC_PORTS.1,
    })
}

/// `ReservedResources`: nothing is kept back here.
pub(super) fn reserved() -> Value {
    json!({
        "Cpu": {"CpuShares": 0, "ReservedCpuCores": null}, "Memory": {"MemoryMB": 0},
        "Disk": {"DiskMB": 0}, "Networks": {"ReservedHostPorts": ""},
    })
}

/// `Resources`, as they were shown before Nomad 0.9.
pub(super) fn had(spec: &NodeSpec) -> Value {
    json!({
        "CPU": spec.cpu_mhz, "Cores": spec.cores, "MemoryMB": spec.memory_mb, "MemoryMaxMB": 0,
        "DiskMB": spec.disk_mb, "IOPS": 0, "Devices": null, "NUMA": null, "SecretsMB": 0,
        "Networks": [network(spec)],
    })
}

fn network(spec: &NodeSpec) -> Value {
    let host = host(spec);
    json!({
        "CIDR": format!("{host}/32"), "DNS": null, "Device": "lo", "DynamicPorts": null,
        "Hostname": "", "IP": host, "MBits": SPEED, "Mode": "host", "ReservedPorts": null,
    })
}

fn host(spec: &NodeSpec) -> &str {
    spec.http_address.rsplit_once(':').map_or("", |(host, _)| host)
}
