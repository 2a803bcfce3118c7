//! A service, in a group or a task. Consul's service mesh is taken as it comes and read by nobody.

use super::task::IDENTITY;
use crate::jobspec::shape::{Shape, anything, length, many, map, one, text, texts, truth, whole};

pub static SERVICE: Shape = Shape {
    name: "Service",
    label: None,
    fields: &[
        text("Id", "id").plain().only_asked(),
        text("Name", "name").plain(),
        texts("Tags", "tags"),
        texts("CanaryTags", "canary_tags"),
        truth("EnableTagOverride", "enable_tag_override").plain(),
        text("PortLabel", "port").plain(),
        text("AddressMode", "address_mode").plain(),
        text("Address", "address").plain(),
        many("Checks", "check", &CHECK),
        one("CheckRestart", "check_restart", &CHECK_RESTART).only_asked(),
        anything("Connect", ""),
        map("Meta", "meta"),
        map("CanaryMeta", "canary_meta"),
        map("TaggedAddresses", "tagged_addresses"),
        text("TaskName", "task").plain(),
        text("OnUpdate", "on_update").plain(),
        one("Identity", "identity", &IDENTITY),
        one("Weights", "weights", &WEIGHTS),
        text("Provider", "provider").plain(),
        text("Cluster", "cluster").plain(),
        text("Kind", "kind").plain(),
        text("Namespace", "").only_kept(),
    ],
};

static CHECK: Shape = Shape {
    name: "ServiceCheck",
    label: None,
    fields: &[
        text("Id", "").plain().only_asked(),
        text("Name", "name").plain(),
        text("Type", "type").plain(),
        text("Command", "command").plain(),
        texts("Args", "args"),
        text("Path", "path").plain(),
        text("Protocol", "protocol").plain(),
        text("PortLabel", "port").plain(),
        truth("Expose", "expose").plain(),
        text("AddressMode", "address_mode").plain(),
        text("Advertise", "advertise").plain().only_asked(),
        length("Interval", "interval").plain(),
        length("Timeout", "timeout").plain(),
        text("InitialStatus", "initial_status").plain(),
        text("Notes", "notes").plain(),
        text("TLSServerName", "tls_server_name").plain(),
        truth("TLSSkipVerify", "tls_skip_verify").plain(),
        anything("Header", "header"),
        text("Method", "method").plain(),
        one("CheckRestart", "check_restart", &CHECK_RESTART),
        text("GRPCService", "grpc_service").plain(),
        truth("GRPCUseTLS", "grpc_use_tls").plain(),
        text("TaskName", "task").plain(),
        whole("SuccessBeforePassing", "success_before_passing").plain(),
        whole("FailuresBeforeCritical", "failures_before_critical").plain(),
        whole("FailuresBeforeWarning", "failures_before_warning").plain(),
        text("Body", "body").plain(),
        text("OnUpdate", "on_update").plain(),
    ],
};

static CHECK_RESTART: Shape = Shape {
    name: "CheckRestart",
    label: None,
    fields: &[
        whole("Limit", "limit").plain(),
        length("Grace", "grace"),
        truth("IgnoreWarnings", "ignore_warnings").plain(),
    ],
};

static WEIGHTS: Shape = Shape {
    name: "ServiceWeights",
    label: None,
    fields: &[whole("Passing", "passing").plain(), whole("Warning", "warning").plain()],
};
