//! The form in which the servers keep a job and show it. (Nomad `command/agent/job_endpoint.go`,
//! `ApiJobToStructJob`, and `nomad/structs/structs.go`, `Job.Canonicalize`.)
//!
//! Read next: `validation/`.

use serde_json::{Map, Value, json};

use super::shape::{Kind, Shape, Silent};
use super::shapes::{IDENTITY, JOB};
use super::typing::zero;

type Object = Map<String, Value>;

/// What everybody has who says nothing else.
const IDENTITY_NAME: &str = "default";
const IDENTITY_AUDIENCE: &str = "nomadproject.io";

/// Of a job that is canonical already.
pub fn kept(job: &Object) -> Object {
    let mut kept = keep(&JOB, job);
    if kept["Priority"] == json!(0) {
        kept.insert("Priority".into(), json!(50));
    }
    if kept["NodePool"] == json!("") {
        kept.insert("NodePool".into(), json!("default"));
    }
    if kept["Datacenters"].as_array().is_none_or(Vec::is_empty) {
        kept.insert("Datacenters".into(), json!(["*"]));
    }
    kept.insert("Update".into(), update(&job["Update"]));
    if kept["ParameterizedJob"]["Payload"] == json!("") {
        kept["ParameterizedJob"]["Payload"] = json!("optional");
    }
    null_where_empty(&mut kept, &["Meta", "Constraints", "Affinities", "Spreads", "TaskGroups"]);
    for group in each(&mut kept, "TaskGroups") {
        null_where_empty(
            group,
            &[
                "Meta",
                "Constraints",
                "Affinities",
                "Spreads",
                "Networks",
                "Services",
                "Tasks",
                "Volumes",
            ],
        );
        for port in each(group, "Networks").flat_map(ports) {
            if port["HostNetwork"] == json!("") {
                port.insert("HostNetwork".into(), json!("default"));
            }
        }
        each(group, "Tasks").for_each(keep_task);
    }
    kept
}

fn ports(network: &mut Object) -> Vec<&mut Object> {
    let lists = network.iter_mut().filter(|(key, _)| key.ends_with("Ports"));
    lists
        .filter_map(|(_, list)| list.as_array_mut())
        .flatten()
        .filter_map(Value::as_object_mut)
        .collect()
}

/// Of the job's own block only this is kept; the rest went into the groups.
fn update(asked: &Value) -> Value {
    let many = asked["MaxParallel"].as_i64().unwrap_or(0);
    let (stagger, many) =
        if many > 0 { (asked["Stagger"].as_i64().unwrap_or(0), many) } else { (0, 0) };
    json!({
        "AutoPromote": false, "AutoRevert": false, "Canary": 0, "HealthCheck": "",
        "HealthyDeadline": 0, "MaxParallel": many, "MinHealthyTime": 0, "ProgressDeadline": 0,
        "Stagger": stagger,
    })
}

fn keep_task(task: &mut Object) {
    null_where_empty(
        task,
        &[
            "Meta",
            "Env",
            "Constraints",
            "Affinities",
            "VolumeMounts",
            "Services",
            "Templates",
            "Artifacts",
            "Identities",
            "Actions",
            "Secrets",
        ],
    );
    let mut own = task["Identity"].clone();
    if let Some(all) = task.get_mut("Identities").and_then(Value::as_array_mut) {
        for one in all.iter_mut() {
            if one["Name"] == json!("") {
                one["Name"] = json!(IDENTITY_NAME);
            }
        }
        if let Some(at) = all.iter().position(|one| one["Name"] == json!(IDENTITY_NAME)) {
            own = all.remove(at);
        }
    }
    if own.is_null() {
        own = keep(&IDENTITY, &Object::new()).into();
    }
    own["Name"] = json!(IDENTITY_NAME);
    own["Audience"] = json!([IDENTITY_AUDIENCE]);
    task.insert("Identity".into(), own);
}

fn keep(shape: &Shape, asked: &Object) -> Object {
    let mut all = Object::new();
    for field in shape.fields {
        let said = asked.get(field.json).filter(|value| !value.is_null());
        let value = match (said, field.kept) {
            (_, Silent::Never) | (None, Silent::Gone) => continue,
            (None, Silent::Null) => Value::Null,
            (None, Silent::Zero) => zero(field.kind),
            (Some(value), _) => match field.kind {
                Kind::One(inner) => value.as_object().map(|one| keep(inner, one)).into(),
                Kind::Many(inner) => {
                    let all = value.as_array().into_iter().flatten();
                    all.filter_map(Value::as_object).map(|one| keep(inner, one)).collect()
                }
                Kind::ByLabel(inner) => {
                    let all = value.as_object().into_iter().flatten();
                    let one = |(label, one): (&String, &Value)| {
                        Some((label.clone(), Value::from(keep(inner, one.as_object()?))))
                    };
                    Value::Object(all.filter_map(one).collect())
                }
                _ => value.clone(),
            },
        };
        all.insert(field.json.to_owned(), value);
    }
    all
}

fn null_where_empty(object: &mut Object, keys: &[&str]) {
    for key in keys {
        let empty = match &object[*key] {
            Value::Array(all) => all.is_empty(),
            Value::Object(all) => all.is_empty(),
            _ => false,
        };
        if empty {
            object.insert((*key).to_owned(), Value::Null);
        }
    }
}

fn each<'a>(object: &'a mut Object, key: &str) -> impl Iterator<Item = &'a mut Object> {
    let list = object.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten();
    list.filter_map(Value::as_object_mut)
}
