//! The bodies of `/v1/acl/…`, as Go reads them.
//!
//! Read next: `acl.rs`.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::gojson::{self, Shape, Struct};
use super::refusal::Refusal;
use crate::acl::{Attached, PolicyRequest, TokenRequest};
use crate::durations;

static BOOTSTRAP: Struct = Struct {
    name: "structs.ACLTokenBootstrapRequest",
    fields: &[("BootstrapSecret", Shape::Text)],
};

static LOGIN: Struct = Struct {
    name: "structs.ACLLoginRequest",
    fields: &[("AuthMethodName", Shape::Text), ("LoginToken", Shape::Text)],
};

static POLICY: Struct = Struct {
    name: "structs.ACLPolicy",
    fields: &[
        ("Name", Shape::Text),
        ("Description", Shape::Text),
        ("Rules", Shape::Text),
        ("JobACL", Shape::Struct(&JOB)),
    ],
};

static JOB: Struct = Struct {
    name: "structs.JobACL",
    fields: &[
        ("Namespace", Shape::Text),
        ("JobID", Shape::Text),
        ("Group", Shape::Text),
        ("Task", Shape::Text),
    ],
};

static TOKEN: Struct = Struct {
    name: "structs.ACLToken",
    fields: &[
        ("AccessorID", Shape::Text),
        ("Name", Shape::Text),
        ("Type", Shape::Text),
        ("Policies", Shape::List(&Shape::Text)),
        ("Global", Shape::Bool),
        ("ExpirationTTL", Shape::Any),
        ("ExpirationTime", Shape::Text),
    ],
};

fn read<Body: DeserializeOwned>(body: &[u8], shape: &'static Struct) -> Result<Body, Refusal> {
    let wrong = |why: String| Refusal::new(400, why);
    let read = gojson::decode(body, shape).map_err(wrong)?;
    serde_json::from_value(read).map_err(|error| wrong(error.to_string()))
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Bootstrap {
    pub bootstrap_secret: Option<String>,
}

impl Bootstrap {
    pub fn read(body: &[u8]) -> Result<Self, Refusal> {
        read(body, &BOOTSTRAP)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Login {
    #[serde(rename = "AuthMethodName")]
    pub method: String,
}

impl Login {
    pub fn read(body: &[u8]) -> Result<Self, Refusal> {
        read(body, &LOGIN)
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct PutPolicy {
    pub name: String,
    description: String,
    rules: String,
    #[serde(rename = "JobACL")]
    attached: Option<PutAttached>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct PutAttached {
    namespace: String,
    #[serde(rename = "JobID")]
    job: String,
    group: String,
    task: String,
}

impl PutPolicy {
    pub fn read(body: &[u8]) -> Result<Self, Refusal> {
        read(body, &POLICY)
    }
}

impl From<PutPolicy> for PolicyRequest {
    fn from(asked: PutPolicy) -> Self {
        let attached = asked.attached.map(|PutAttached { namespace, job, group, task }| Attached {
            namespace,
            job,
            group,
            task,
        });
        let PutPolicy { name, description, rules, .. } = asked;
        Self { name, description, rules, attached }
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct PutToken {
    #[serde(rename = "AccessorID")]
    accessor: String,
    name: String,
    #[serde(rename = "Type")]
    kind: String,
    policies: Vec<String>,
    global: bool,
    #[serde(rename = "ExpirationTTL")]
    ttl: Value,
    expiration_time: Option<String>,
}

impl PutToken {
    pub fn read(body: &[u8]) -> Result<Self, Refusal> {
        read(body, &TOKEN)
    }

    /// # Errors
    /// A time or a length of time is none.
    pub fn request(self) -> Result<TokenRequest, Refusal> {
        let wrong = |why: String| Refusal::new(400, why);
        let ttl = match &self.ttl {
            Value::String(text) if !text.is_empty() => durations::parse(text).map_err(wrong)?,
            other => other.as_i64().unwrap_or(0),
        };
        let moment = |text: &String| text.parse::<jiff::Timestamp>().map(|at| at.as_millisecond());
        let expires = self.expiration_time.as_ref().map(moment).transpose();
        Ok(TokenRequest {
            accessor: self.accessor,
            name: self.name,
            kind: self.kind,
            policies: self.policies,
            global: self.global,
            ttl,
            expires: expires.map_err(|error| wrong(error.to_string()))?,
        })
    }
}
