//! Parameterized jobs of the tests' own: what each takes can be chosen, and no node is fit for
//! their children, so that these stay where they are and can be read at leisure.

use roustabout::nomad::Client;
use serde_json::{Value, json};

pub struct Parent<'a> {
    pub id: &'a str,
    /// `required`, `optional` or `forbidden`.
    pub payload: &'a str,
    pub required: &'a [&'a str],
    pub optional: &'a [&'a str],
}

impl Parent<'_> {
    pub async fn register(&self, nomad: &Client) {
        let mut job = parameterized(self.id, self.payload, self.required);
        job["ParameterizedJob"]["MetaOptional"] = json!(self.optional);
        nomad.register(nomad.place(), &job).await.unwrap();
    }
}

/// As [`Parent`], for those who register it themselves.
pub fn parameterized(id: &str, payload: &str, required: &[&str]) -> Value {
    let mut job = nowhere(id);
    job["ParameterizedJob"] = json!({ "Payload": payload, "MetaRequired": required });
    job
}

/// A batch job that is not parameterized.
pub async fn register_plain(nomad: &Client, id: &str) {
    nomad.register(nomad.place(), &nowhere(id)).await.unwrap();
}

/// Its children take a `runner_name`, run the script in a shell, and are placed like any other.
pub async fn register_script(nomad: &Client, id: &str, script: &str) {
    let mut job = nowhere(id);
    job["Constraints"] = json!([]);
    job["ParameterizedJob"] = json!({ "Payload": "optional", "MetaRequired": ["runner_name"] });
    let group = &mut job["TaskGroups"][0];
    group["RestartPolicy"] = json!({ "Attempts": 0, "Mode": "fail" });
    group["ReschedulePolicy"] = json!({ "Attempts": 0, "Unlimited": false });
    let task = &mut group["Tasks"][0];
    task["Config"] = json!({ "command": "/bin/sh", "args": ["-c", script] });
    task["Resources"] = json!({ "CPU": 50, "MemoryMB": 32 });
    nomad.register(nomad.place(), &job).await.unwrap();
}

/// Its children run the script in a shell, placed like any other, with an identity for each of these audiences, by
/// that name.
pub fn identified(id: &str, script: &str, audiences: &[&str]) -> Value {
    let mut job = parameterized(id, "optional", &[]);
    job["ParameterizedJob"]["MetaOptional"] = json!(["runner_name", "claim_url"]);
    job["Constraints"] = json!([]);
    let group = &mut job["TaskGroups"][0];
    group["RestartPolicy"] = json!({ "Attempts": 0, "Mode": "fail" });
    let identity = |name: &&str| json!({ "Name": name, "Audience": [name], "Env": true, "TTL": 3_600_000_000_000_u64 });
    group["Tasks"][0] = json!({
        "Name": "t", "Driver": "raw_exec", "Config": { "command": "/bin/sh", "args": ["-c", script] },
        "Resources": { "CPU": 50, "MemoryMB": 32 },
        "Identities": audiences.iter().map(identity).collect::<Vec<_>>(),
    });
    job
}

fn nowhere(id: &str) -> Value {
    json!({
        "ID": id, "Name": id, "Type": "batch", "Datacenters": ["*"],
        "Constraints": [
            { "LTarget": "${attr.kernel.name}", "RTarget": "nowhere", "Operand": "=" },
        ],
        "TaskGroups": [{ "Name": "g", "Tasks": [
            { "Name": "t", "Driver": "raw_exec", "Config": { "command": "/bin/true" } },
        ] }],
    })
}

/// A pool for jobs of the label `name`, in the words of the config. `more` comes after.
pub fn pool(name: &str, nomad_job: &str, more: &str) -> String {
    format!(
        "\n[[pools]]\nname = {name:?}\nnomad_job = {nomad_job:?}\nlabels = [\"self-hosted\", {name:?}]\n\
         repositories = [\"*/*\"]\n{more}\n"
    )
}
