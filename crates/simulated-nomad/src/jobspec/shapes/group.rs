//! A task group, and the blocks that it shares with the job and its tasks.
//!
//! Read next: `task.rs`, `service.rs`.

use super::service::SERVICE;
use super::task::{CONSUL, SCALING, TASK};
use crate::jobspec::shape::{
    Shape, by_label, length, many, map, number, one, text, texts, truth, whole,
};

pub static GROUP: Shape = Shape {
    name: "TaskGroup",
    label: Some("Name"),
    fields: &[
        text("Name", ""),
        whole("Count", "count"),
        many("Constraints", "constraint", &CONSTRAINT),
        many("Affinities", "affinity", &AFFINITY),
        many("Tasks", "task", &TASK),
        many("Spreads", "spread", &SPREAD),
        by_label("Volumes", "volume", &VOLUME),
        one("RestartPolicy", "restart", &RESTART),
        one("Disconnect", "disconnect", &DISCONNECT),
        one("ReschedulePolicy", "reschedule", &RESCHEDULE),
        one("EphemeralDisk", "ephemeral_disk", &DISK),
        one("Update", "update", &UPDATE),
        one("Migrate", "migrate", &MIGRATE),
        many("Networks", "network", &NETWORK),
        map("Meta", "meta"),
        many("Services", "service", &SERVICE),
        length("ShutdownDelay", "shutdown_delay").optional(),
        length("StopAfterClientDisconnect", "stop_after_client_disconnect").optional(),
        length("MaxClientDisconnect", "max_client_disconnect").optional(),
        length("MaxRunDuration", "max_run_duration").if_said(),
        truth("PreventRescheduleOnLost", "prevent_reschedule_on_lost"),
        one("Scaling", "scaling", &SCALING),
        one("Consul", "consul", &CONSUL),
    ],
};

pub static CONSTRAINT: Shape = Shape {
    name: "Constraint",
    label: None,
    fields: &[
        text("LTarget", "attribute").plain(),
        text("RTarget", "value").plain(),
        text("Operand", "operator").plain(),
    ],
};

pub static AFFINITY: Shape = Shape {
    name: "Affinity",
    label: None,
    fields: &[
        text("LTarget", "attribute").plain(),
        text("RTarget", "value").plain(),
        text("Operand", "operator").plain(),
        number("Weight", "weight", "int8"),
    ],
};

pub static SPREAD: Shape = Shape {
    name: "Spread",
    label: None,
    fields: &[
        text("Attribute", "attribute").plain(),
        number("Weight", "weight", "int8"),
        many("SpreadTarget", "target", &SPREAD_TARGET),
    ],
};

static SPREAD_TARGET: Shape = Shape {
    name: "SpreadTarget",
    label: Some("Value"),
    fields: &[text("Value", "").plain(), number("Percent", "percent", "uint8").plain()],
};

pub static RESTART: Shape = Shape {
    name: "RestartPolicy",
    label: None,
    fields: &[
        length("Interval", "interval"),
        whole("Attempts", "attempts"),
        length("Delay", "delay"),
        text("Mode", "mode"),
        truth("RenderTemplates", "render_templates"),
    ],
};

static DISCONNECT: Shape = Shape {
    name: "DisconnectStrategy",
    label: None,
    fields: &[
        length("LostAfter", "lost_after"),
        length("StopOnClientAfter", "stop_on_client_after").optional(),
        truth("Replace", "replace"),
        text("Reconcile", "reconcile"),
    ],
};

pub static RESCHEDULE: Shape = Shape {
    name: "ReschedulePolicy",
    label: None,
    fields: &[
        whole("Attempts", "attempts"),
        length("Interval", "interval"),
        length("Delay", "delay"),
        text("DelayFunction", "delay_function"),
        length("MaxDelay", "max_delay"),
        truth("Unlimited", "unlimited"),
    ],
};

static DISK: Shape = Shape {
    name: "EphemeralDisk",
    label: None,
    fields: &[truth("Sticky", "sticky"), truth("Migrate", "migrate"), whole("SizeMB", "size")],
};

pub static UPDATE: Shape = Shape {
    name: "UpdateStrategy",
    label: None,
    fields: &[
        length("Stagger", "stagger"),
        whole("MaxParallel", "max_parallel"),
        text("HealthCheck", "health_check"),
        length("MinHealthyTime", "min_healthy_time"),
        length("HealthyDeadline", "healthy_deadline"),
        length("ProgressDeadline", "progress_deadline"),
        whole("Canary", "canary"),
        truth("AutoRevert", "auto_revert"),
        truth("AutoPromote", "auto_promote"),
    ],
};

pub static MIGRATE: Shape = Shape {
    name: "MigrateStrategy",
    label: None,
    fields: &[
        whole("MaxParallel", "max_parallel"),
        text("HealthCheck", "health_check"),
        length("MinHealthyTime", "min_healthy_time"),
        length("HealthyDeadline", "healthy_deadline"),
    ],
};

static VOLUME: Shape = Shape {
    name: "VolumeRequest",
    label: Some("Name"),
    fields: &[
        text("Name", "").plain(),
        text("Type", "type").plain(),
        text("Source", "source").plain(),
        truth("ReadOnly", "read_only").plain(),
        truth("Sticky", "sticky").plain(),
        text("AccessMode", "access_mode").plain(),
        text("AttachmentMode", "attachment_mode").plain(),
        one("MountOptions", "mount_options", &MOUNT_OPTIONS),
        truth("PerAlloc", "per_alloc").plain(),
    ],
};

static MOUNT_OPTIONS: Shape = Shape {
    name: "CSIMountOptions",
    label: None,
    fields: &[text("FSType", "fs_type").plain(), texts("MountFlags", "mount_flags")],
};

pub static NETWORK: Shape = Shape {
    name: "NetworkResource",
    label: None,
    fields: &[
        text("Mode", "mode").plain(),
        text("Device", "device").plain(),
        text("CIDR", "cidr").plain(),
        text("IP", "").plain(),
        text("Hostname", "hostname").plain(),
        whole("MBits", "mbits"),
        one("DNS", "dns", &DNS),
        many("ReservedPorts", "", &PORT),
        many("DynamicPorts", "port", &PORT),
        one("CNI", "cni", &CNI),
    ],
};

static PORT: Shape = Shape {
    name: "Port",
    label: Some("Label"),
    fields: &[
        text("Label", "").plain(),
        whole("Value", "static").plain(),
        whole("To", "to").plain(),
        text("HostNetwork", "host_network").plain(),
        truth("IgnoreCollision", "ignore_collision").plain(),
    ],
};

static DNS: Shape = Shape {
    name: "DNSConfig",
    label: None,
    fields: &[
        texts("Servers", "servers"),
        texts("Searches", "searches"),
        texts("Options", "options"),
    ],
};

static CNI: Shape = Shape { name: "CNIConfig", label: None, fields: &[map("Args", "args")] };
