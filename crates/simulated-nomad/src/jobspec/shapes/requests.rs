//! The bodies that a job comes in.

use super::JOB;
use crate::jobspec::shape::{Shape, anything, number, one, text, truth, whole};

pub static REGISTER: Shape = Shape {
    name: "JobRegisterRequest",
    label: None,
    fields: &[
        one("Job", "", &JOB),
        anything("Submission", ""),
        truth("EnforceIndex", "").plain(),
        number("JobModifyIndex", "", "uint64").plain(),
        truth("PolicyOverride", "").plain(),
        truth("PreserveCounts", "").plain(),
        truth("PreserveResources", "").plain(),
        whole("EvalPriority", "").plain(),
        text("Region", "").plain(),
        text("Namespace", "").plain(),
        text("SecretID", "").plain(),
    ],
};

pub static VALIDATE: Shape = Shape {
    name: "JobValidateRequest",
    label: None,
    fields: &[
        one("Job", "", &JOB),
        text("Region", "").plain(),
        text("Namespace", "").plain(),
        text("SecretID", "").plain(),
    ],
};

pub static PLAN: Shape = Shape {
    name: "JobPlanRequest",
    label: None,
    fields: &[
        one("Job", "", &JOB),
        truth("Diff", "").plain(),
        truth("PolicyOverride", "").plain(),
        text("Region", "").plain(),
        text("Namespace", "").plain(),
        text("SecretID", "").plain(),
    ],
};

pub static PARSE: Shape = Shape {
    name: "JobsParseRequest",
    label: None,
    fields: &[
        text("JobHCL", "").plain(),
        text("Variables", "").plain(),
        truth("hclv1", "").plain(),
        truth("Canonicalize", "").plain(),
    ],
};
