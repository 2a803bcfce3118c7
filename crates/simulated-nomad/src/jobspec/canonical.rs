//! Nomad's defaults, in the asked form: what `/v1/jobs/parse` shows when it is asked to canonicalize, and
//! the first thing that happens to a job that is registered. (Nomad `api/jobs.go` and
//! `api/tasks.go`, `Canonicalize`.)
//!
//! Read next: `kept.rs`.

use serde_json::{Map, Value, json};

use super::shapes::RESOURCES;
use super::typing::fill;

type Object = Map<String, Value>;

const SECOND: i64 = 1_000_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

/// Fills in what the job, its groups and its tasks leave open.
pub fn canonicalize(job: &mut Object) {
    let id = text(job, "ID");
    defaults(
        job,
        json!({
            "ID": "", "Name": id, "ParentID": "", "Namespace": "default", "Priority": 50,
            "Stop": false, "Region": "global", "NodePool": "", "Type": "service",
            "AllAtOnce": false, "ConsulNamespace": "", "VaultNamespace": "", "NomadTokenID": "",
            "Status": "", "StatusDescription": "", "Stable": false, "Version": 0,
            "CreateIndex": 0, "ModifyIndex": 0, "JobModifyIndex": 0,
        }),
    );
    if let Some(periodic) = inner(job, "Periodic") {
        defaults(
            periodic,
            json!({
                "Enabled": true, "Spec": "", "Specs": [], "SpecType": "cron",
                "ProhibitOverlap": false, "TimeZone": "UTC",
            }),
        );
    }
    if text(job, "Type") == "service" {
        or_empty(job, "Update", json!({}));
    }
    if let Some(update) = inner(job, "Update") {
        defaults(update, update_defaults());
    }
    let of_job = job.clone();
    for group in each(job, "TaskGroups") {
        canonicalize_group(group, &of_job);
    }
    weigh(job);
}

fn update_defaults() -> Value {
    json!({
        "Stagger": 30 * SECOND, "MaxParallel": 1, "HealthCheck": "checks",
        "MinHealthyTime": 10 * SECOND, "HealthyDeadline": 5 * MINUTE,
        "ProgressDeadline": 10 * MINUTE, "Canary": 0, "AutoRevert": false, "AutoPromote": false,
    })
}

fn canonicalize_group(group: &mut Object, job: &Object) {
    let kind = text(job, "Type");
    let least = group["Scaling"]["Min"].as_i64().unwrap_or(1);
    defaults(group, json!({"Name": "", "Count": least}));
    let count = group["Count"].clone();
    if let Some(scaling) = inner(group, "Scaling") {
        defaults(scaling, json!({"Enabled": true, "Min": count}));
    }
    or_empty(group, "EphemeralDisk", json!({"Sticky": false, "Migrate": false, "SizeMB": 300}));
    inherit(group, "Update", &job["Update"]);
    if let Some(update) = inner(group, "Update") {
        defaults(update, update_defaults());
    }
    inherit(group, "ReschedulePolicy", &job["Reschedule"]);
    match kind.as_str() {
        "system" | "sysbatch" => {}
        _ => or_empty(group, "ReschedulePolicy", json!({})),
    }
    if let Some(policy) = inner(group, "ReschedulePolicy") {
        defaults(policy, reschedule_defaults(&kind));
    }
    inherit(group, "Migrate", &job["Migrate"]);
    if kind == "service" {
        or_empty(group, "Migrate", json!({}));
    }
    if let Some(migrate) = inner(group, "Migrate") {
        defaults(
            migrate,
            json!({
                "MaxParallel": 1, "HealthCheck": "checks", "MinHealthyTime": 10 * SECOND,
                "HealthyDeadline": 5 * MINUTE,
            }),
        );
    }
    or_empty(group, "RestartPolicy", restart_defaults(&kind));
    if let Some(disconnect) = inner(group, "Disconnect") {
        defaults(disconnect, json!({"Replace": true, "Reconcile": "best_score"}));
    }
    let of_group = group.clone();
    for task in each(group, "Tasks") {
        canonicalize_task(task, &of_group, job);
    }
    weigh(group);
    for service in each(group, "Services") {
        canonicalize_service(service, format!("{}-{}", text(job, "Name"), text(&of_group, "Name")));
    }
}

fn reschedule_defaults(kind: &str) -> Value {
    match kind {
        "service" => json!({
            "Attempts": 0, "Interval": 0, "Delay": 30 * SECOND, "DelayFunction": "exponential",
            "MaxDelay": HOUR, "Unlimited": true,
        }),
        "batch" => json!({
            "Attempts": 1, "Interval": 24 * HOUR, "Delay": 5 * SECOND, "DelayFunction": "constant",
            "MaxDelay": 0, "Unlimited": false,
        }),
        _ => json!({
            "Attempts": 0, "Interval": 0, "Delay": 0, "DelayFunction": "", "MaxDelay": 0,
            "Unlimited": false,
        }),
    }
}

fn restart_defaults(kind: &str) -> Value {
    let (attempts, interval) = match kind {
        "service" | "system" => (2, 30 * MINUTE),
        _ => (3, 24 * HOUR),
    };
    json!({
        "Attempts": attempts, "Interval": interval, "Delay": 15 * SECOND, "Mode": "fail",
        "RenderTemplates": false,
    })
}

fn canonicalize_task(task: &mut Object, group: &Object, job: &Object) {
    or_empty(task, "Resources", json!({}));
    if let Some(resources) = inner(task, "Resources") {
        // Who asks for cores does not ask for MHz.
        let cpu = if resources.get("Cores").is_none_or(Value::is_null) { 100 } else { 0 };
        defaults(resources, json!({"Cores": 0, "CPU": cpu, "MemoryMB": 300}));
        fill(&RESOURCES, resources);
        for device in each(resources, "Devices") {
            defaults(device, json!({"Count": 1}));
            weigh(device);
        }
    }
    defaults(task, json!({"KillTimeout": 5 * SECOND}));
    or_empty(task, "LogConfig", json!({"MaxFiles": 10, "MaxFileSizeMB": 10, "Disabled": false}));
    if let Some(logs) = inner(task, "LogConfig") {
        logs.entry("Enabled").or_insert(Value::Null);
    }
    each(task, "Artifacts").for_each(canonicalize_artifact);
    each(task, "Templates").for_each(canonicalize_template);
    for mount in each(task, "VolumeMounts") {
        defaults(
            mount,
            json!({"PropagationMode": "private", "ReadOnly": false, "SELinuxLabel": ""}),
        );
    }
    if let Some(vault) = inner(task, "Vault") {
        defaults(
            vault,
            json!({
                "Env": true, "DisableFile": false, "Namespace": "", "ChangeMode": "restart",
                "ChangeSignal": "SIGHUP", "AllowTokenExpiration": false,
            }),
        );
        if text(vault, "Cluster").is_empty() {
            vault.insert("Cluster".into(), json!("default"));
        }
    }
    if task["Lifecycle"]["Hook"] == json!("") {
        task.insert("Lifecycle".into(), Value::Null);
    }
    let restart = group["RestartPolicy"].clone();
    or_empty(task, "RestartPolicy", restart);
    weigh(task);
    let name = format!("{}-{}-{}", text(job, "Name"), text(group, "Name"), text(task, "Name"));
    for service in each(task, "Services") {
        canonicalize_service(service, name.clone());
    }
}

fn canonicalize_artifact(artifact: &mut Object) {
    defaults(artifact, json!({"GetterMode": "any", "GetterInsecure": false, "GetterSource": ""}));
    for empty in ["GetterOptions", "GetterHeaders"] {
        if artifact[empty].as_object().is_some_and(Map::is_empty) {
            artifact.insert(empty.into(), Value::Null);
        }
    }
    let source = text(artifact, "GetterSource");
    let to = match text(artifact, "GetterMode").as_str() {
        "file" => format!("local/{}", source.rsplit('/').next().unwrap_or_default()),
        _ => "local/".to_owned(),
    };
    defaults(artifact, json!({"RelativeDest": to}));
}

fn canonicalize_template(template: &mut Object) {
    let signal = match template["ChangeSignal"].as_str() {
        Some(signal) => signal.to_uppercase(),
        None if text(template, "ChangeMode") == "signal" => "SIGHUP".to_owned(),
        None => String::new(),
    };
    template.insert("ChangeSignal".into(), json!(signal));
    defaults(
        template,
        json!({
            "SourcePath": "", "DestPath": "", "EmbeddedTmpl": "", "ChangeMode": "restart",
            "Once": false, "Splay": 5 * SECOND, "Perms": "0644", "LeftDelim": "{{",
            "RightDelim": "}}", "Envvars": false, "VaultGrace": 0, "ErrMissingKey": false,
        }),
    );
    if let Some(script) = inner(template, "ChangeScript") {
        defaults(
            script,
            json!({"Command": "", "Args": [], "Timeout": 5 * SECOND, "FailOnError": false}),
        );
    }
}

fn canonicalize_service(service: &mut Object, name: String) {
    for (field, value) in [
        ("Name", name.as_str()),
        ("AddressMode", "auto"),
        ("OnUpdate", "require_healthy"),
        ("Provider", "consul"),
    ] {
        if text(service, field).is_empty() {
            service.insert(field.into(), json!(value));
        }
    }
    if text(service, "Provider") == "consul" && text(service, "Cluster").is_empty() {
        service.insert("Cluster".into(), json!("default"));
    }
    let (restart, on_update) = (service["CheckRestart"].clone(), service["OnUpdate"].clone());
    for check in each(service, "Checks") {
        inherit(check, "CheckRestart", &restart);
        if let Some(restart) = inner(check, "CheckRestart") {
            defaults(restart, json!({"Grace": SECOND}));
        }
        if text(check, "OnUpdate").is_empty() {
            check.insert("OnUpdate".into(), on_update.clone());
        }
    }
}

/// Affinities and spreads weigh 50 where nothing is said.
fn weigh(of: &mut Object) {
    for list in ["Affinities", "Spreads"] {
        each(of, list).for_each(|one| defaults(one, json!({"Weight": 50})));
    }
}

/// What is null or not there.
fn defaults(object: &mut Object, values: Value) {
    let Value::Object(values) = values else { return };
    for (key, value) in values {
        let there = object.entry(key).or_insert(Value::Null);
        if there.is_null() {
            *there = value;
        }
    }
}

fn or_empty(object: &mut Object, key: &str, values: Value) {
    let there = object.entry(key).or_insert(Value::Null);
    if there.is_null() {
        *there = json!({});
    }
    if let Value::Object(inner) = there {
        defaults(inner, values);
    }
}

/// The outer block's values are the inner one's defaults.
fn inherit(object: &mut Object, key: &str, outer: &Value) {
    if outer.is_object() {
        or_empty(object, key, outer.clone());
    }
}

fn inner<'a>(object: &'a mut Object, key: &str) -> Option<&'a mut Object> {
    object.get_mut(key).and_then(Value::as_object_mut)
}

fn each<'a>(object: &'a mut Object, key: &str) -> impl Iterator<Item = &'a mut Object> {
    let list = object.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten();
    list.filter_map(Value::as_object_mut)
}

fn text(object: &Object, key: &str) -> String {
    object.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}
