//! A task.
//!
//! Read next: `service.rs`.

use super::group::{AFFINITY, CONSTRAINT, NETWORK, RESTART};
use super::service::SERVICE;
use crate::jobspec::shape::{
    Shape, anything, length, many, map, number, one, text, texts, truth, whole,
};

pub static TASK: Shape = Shape {
    name: "Task",
    label: Some("Name"),
    fields: &[
        text("Name", "").plain(),
        text("Driver", "driver").plain(),
        text("User", "user").plain(),
        one("Lifecycle", "lifecycle", &LIFECYCLE),
        anything("Config", "config"),
        many("Constraints", "constraint", &CONSTRAINT),
        many("Affinities", "affinity", &AFFINITY),
        map("Env", "env"),
        many("Services", "service", &SERVICE),
        one("Resources", "resources", &RESOURCES),
        one("RestartPolicy", "restart", &RESTART),
        map("Meta", "meta"),
        length("KillTimeout", "kill_timeout"),
        one("LogConfig", "logs", &LOGS),
        many("Artifacts", "artifact", &ARTIFACT),
        one("Vault", "vault", &VAULT),
        one("Consul", "consul", &CONSUL),
        many("Templates", "template", &TEMPLATE),
        one("DispatchPayload", "dispatch_payload", &DISPATCH_PAYLOAD),
        many("VolumeMounts", "volume_mount", &VOLUME_MOUNT),
        one("CSIPluginConfig", "csi_plugin", &CSI_PLUGIN).only_kept(),
        truth("Leader", "leader").plain(),
        length("ShutdownDelay", "shutdown_delay").plain(),
        text("KillSignal", "kill_signal").plain(),
        text("Kind", "kind").plain(),
        many("ScalingPolicies", "", &SCALING),
        one("Identity", "", &IDENTITY),
        many("Identities", "identity", &IDENTITY),
        many("Actions", "action", &ACTION),
        anything("Schedule", ""),
        many("Secrets", "secret", &SECRET),
    ],
};

static LIFECYCLE: Shape = Shape {
    name: "TaskLifecycle",
    label: None,
    fields: &[text("Hook", "hook").plain(), truth("Sidecar", "sidecar").plain()],
};

pub static RESOURCES: Shape = Shape {
    name: "Resources",
    label: None,
    fields: &[
        whole("CPU", "cpu"),
        whole("Cores", "cores"),
        whole("MemoryMB", "memory"),
        whole("MemoryMaxMB", "memory_max"),
        whole("DiskMB", "disk"),
        many("Networks", "network", &NETWORK),
        many("Devices", "device", &DEVICE),
        one("NUMA", "numa", &NUMA),
        whole("IOPS", "iops"),
        whole("SecretsMB", "secrets"),
    ],
};

static DEVICE: Shape = Shape {
    name: "RequestedDevice",
    label: Some("Name"),
    fields: &[
        text("Name", "").plain(),
        number("Count", "count", "uint64"),
        many("Constraints", "constraint", &CONSTRAINT),
        many("Affinities", "affinity", &AFFINITY),
    ],
};

static NUMA: Shape = Shape {
    name: "NUMAResource",
    label: None,
    fields: &[text("Affinity", "affinity").plain(), texts("Devices", "devices")],
};

static LOGS: Shape = Shape {
    name: "LogConfig",
    label: None,
    fields: &[
        whole("MaxFiles", "max_files"),
        whole("MaxFileSizeMB", "max_file_size"),
        truth("Enabled", "enabled").only_asked(),
        truth("Disabled", "disabled"),
    ],
};

static ARTIFACT: Shape = Shape {
    name: "TaskArtifact",
    label: None,
    fields: &[
        text("GetterSource", "source"),
        map("GetterOptions", "options"),
        map("GetterHeaders", "headers"),
        text("GetterMode", "mode"),
        truth("GetterInsecure", "insecure"),
        text("RelativeDest", "destination"),
        truth("Chown", "chown").plain(),
    ],
};

static TEMPLATE: Shape = Shape {
    name: "Template",
    label: None,
    fields: &[
        text("SourcePath", "source"),
        text("DestPath", "destination"),
        text("EmbeddedTmpl", "data"),
        text("ChangeMode", "change_mode"),
        one("ChangeScript", "change_script", &CHANGE_SCRIPT),
        text("ChangeSignal", "change_signal"),
        truth("Once", "once"),
        length("Splay", "splay"),
        text("Perms", "perms"),
        whole("Uid", "uid").optional(),
        whole("Gid", "gid").optional(),
        text("LeftDelim", "left_delimiter"),
        text("RightDelim", "right_delimiter"),
        truth("Envvars", "env"),
        length("VaultGrace", "vault_grace"),
        one("Wait", "wait", &WAIT),
        truth("ErrMissingKey", "error_on_missing_key"),
    ],
};

static CHANGE_SCRIPT: Shape = Shape {
    name: "ChangeScript",
    label: None,
    fields: &[
        text("Command", "command"),
        texts("Args", "args"),
        length("Timeout", "timeout"),
        truth("FailOnError", "fail_on_error"),
    ],
};

static WAIT: Shape = Shape {
    name: "WaitConfig",
    label: None,
    fields: &[length("Min", "min").optional(), length("Max", "max").optional()],
};

pub static VAULT: Shape = Shape {
    name: "Vault",
    label: None,
    fields: &[
        texts("Policies", "policies"),
        text("Role", "role").plain(),
        text("Namespace", "namespace"),
        text("Cluster", "cluster").plain(),
        truth("Env", "env"),
        truth("DisableFile", "disable_file"),
        text("ChangeMode", "change_mode"),
        text("ChangeSignal", "change_signal"),
        truth("AllowTokenExpiration", "allow_token_expiration"),
    ],
};

pub static CONSUL: Shape = Shape {
    name: "Consul",
    label: None,
    fields: &[
        text("Namespace", "namespace").plain(),
        text("Cluster", "cluster").plain(),
        text("Partition", "partition").plain(),
    ],
};

static DISPATCH_PAYLOAD: Shape =
    Shape { name: "DispatchPayloadConfig", label: None, fields: &[text("File", "file").plain()] };

static VOLUME_MOUNT: Shape = Shape {
    name: "VolumeMount",
    label: None,
    fields: &[
        text("Volume", "volume"),
        text("Destination", "destination"),
        truth("ReadOnly", "read_only"),
        text("PropagationMode", "propagation_mode"),
        text("SELinuxLabel", "selinux_label"),
    ],
};

static CSI_PLUGIN: Shape = Shape {
    name: "TaskCSIPluginConfig",
    label: None,
    fields: &[
        text("ID", "id").plain(),
        text("Type", "type").plain(),
        text("MountDir", "mount_dir").plain(),
        text("StagePublishBaseDir", "stage_publish_base_dir").plain(),
        length("HealthTimeout", "health_timeout").plain(),
    ],
};

pub static SCALING: Shape = Shape {
    name: "ScalingPolicy",
    label: None,
    fields: &[
        text("ID", "").plain(),
        text("Type", "type").plain(),
        map("Target", ""),
        number("Min", "min", "int64"),
        number("Max", "max", "int64"),
        anything("Policy", "policy"),
        truth("Enabled", "enabled"),
        number("CreateIndex", "", "uint64").plain(),
        number("ModifyIndex", "", "uint64").plain(),
    ],
};

pub static IDENTITY: Shape = Shape {
    name: "WorkloadIdentity",
    label: None,
    fields: &[
        text("Name", "name").plain(),
        texts("Audience", "aud"),
        text("ChangeMode", "change_mode").plain(),
        text("ChangeSignal", "change_signal").plain(),
        truth("Env", "env").plain(),
        truth("File", "file").plain(),
        text("Filepath", "filepath").plain(),
        text("ServiceName", "service_name").plain(),
        length("TTL", "ttl").plain(),
    ],
};

static ACTION: Shape = Shape {
    name: "Action",
    label: Some("Name"),
    fields: &[text("Name", "").plain(), text("Command", "command").plain(), texts("Args", "args")],
};

static SECRET: Shape = Shape {
    name: "Secret",
    label: Some("Name"),
    fields: &[
        text("Name", "").plain(),
        text("Provider", "provider").plain(),
        text("Path", "path").plain(),
        anything("Config", "config"),
        map("Env", "env"),
    ],
};
