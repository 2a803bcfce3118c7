//! The job itself, and the blocks that stand in it.
//!
//! Read next: `group.rs`.

use super::group::{AFFINITY, CONSTRAINT, GROUP, MIGRATE, RESCHEDULE, SPREAD, UPDATE};
use crate::jobspec::shape::{
    Shape, anything, length, many, map, number, one, text, texts, truth, whole,
};

pub static JOB: Shape = Shape {
    name: "Job",
    label: None,
    fields: &[
        text("Region", "region"),
        text("Namespace", "namespace"),
        text("ID", "id"),
        text("Name", "name"),
        text("Type", "type"),
        whole("Priority", "priority"),
        truth("AllAtOnce", "all_at_once"),
        texts("Datacenters", "datacenters"),
        text("NodePool", "node_pool"),
        many("Constraints", "constraint", &CONSTRAINT),
        many("Affinities", "affinity", &AFFINITY),
        many("TaskGroups", "group", &GROUP),
        one("Update", "update", &UPDATE),
        anything("Multiregion", ""),
        many("Spreads", "spread", &SPREAD),
        one("Periodic", "periodic", &PERIODIC),
        one("ParameterizedJob", "parameterized", &PARAMETERIZED),
        one("Reschedule", "reschedule", &RESCHEDULE).only_asked(),
        one("Migrate", "migrate", &MIGRATE).only_asked(),
        map("Meta", "meta"),
        one("UI", "ui", &UI),
        truth("Stop", ""),
        text("ParentID", ""),
        truth("Dispatched", "").plain(),
        text("DispatchIdempotencyToken", ""),
        text("Payload", "").optional(),
        text("ConsulNamespace", ""),
        text("VaultNamespace", ""),
        text("NomadTokenID", ""),
        text("Status", ""),
        text("StatusDescription", ""),
        truth("Stable", ""),
        number("Version", "", "uint64"),
        number("SubmitTime", "", "int64"),
        number("CreateIndex", "", "uint64"),
        number("ModifyIndex", "", "uint64"),
        number("JobModifyIndex", "", "uint64"),
        one("VersionTag", "", &VERSION_TAG),
    ],
};

static PERIODIC: Shape = Shape {
    name: "PeriodicConfig",
    label: None,
    fields: &[
        truth("Enabled", "enabled"),
        text("Spec", "cron"),
        texts("Specs", "crons"),
        text("SpecType", ""),
        truth("ProhibitOverlap", "prohibit_overlap"),
        text("TimeZone", "time_zone"),
    ],
};

static PARAMETERIZED: Shape = Shape {
    name: "ParameterizedJobConfig",
    label: None,
    fields: &[
        text("Payload", "payload").plain(),
        texts("MetaRequired", "meta_required"),
        texts("MetaOptional", "meta_optional"),
    ],
};

static UI: Shape = Shape {
    name: "JobUIConfig",
    label: None,
    fields: &[text("Description", "description").plain(), many("Links", "link", &LINK)],
};

static LINK: Shape = Shape {
    name: "JobUILink",
    label: None,
    fields: &[text("Label", "label").plain(), text("URL", "url").plain()],
};

static VERSION_TAG: Shape = Shape {
    name: "JobVersionTag",
    label: None,
    fields: &[
        text("Name", "").plain(),
        text("Description", "").plain(),
        length("TaggedTime", "").plain(),
    ],
};
