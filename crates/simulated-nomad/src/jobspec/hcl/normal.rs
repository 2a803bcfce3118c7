//! What a parsed job says once it is whole: its name, ports that are reserved, Vault for all tasks.
//! (Nomad `jobspec2/parse_job.go`.)

use serde_json::{Map, Value, json};

type Object = Map<String, Value>;

const FIVE_SECONDS: i64 = 5_000_000_000;

/// Blocks that stand for all tasks inside of the block where they are written. Not part of the
/// asked form, they are kept under these keys until here.
pub const VAULT: &str = "vault";
/// Tasks of a job without groups.
pub const TASKS: &str = "tasks";

pub fn normalized(mut job: Object, label: &str) -> Object {
    for key in ["ID", "Name"] {
        if job[key].is_null() {
            job.insert(key.into(), json!(label));
        }
    }
    if let Some(periodic) = job.get_mut("Periodic").and_then(Value::as_object_mut)
        && !periodic["Spec"].is_null()
    {
        periodic.insert("SpecType".into(), json!("cron"));
    }
    alone(&mut job);
    let vault = job.remove(VAULT);
    for group in each(&mut job, "TaskGroups") {
        let vault = group.remove(VAULT).or_else(|| vault.clone());
        each(group, "Networks").for_each(reserve);
        for task in each(group, "Tasks") {
            if let Some(resources) = task.get_mut("Resources").and_then(Value::as_object_mut) {
                each(resources, "Networks").for_each(reserve);
            }
            each(task, "Templates").for_each(template);
            if task["Vault"].is_null()
                && let Some(vault) = &vault
            {
                task.insert("Vault".into(), vault.clone());
            }
            if let Some(vault) = task.get_mut("Vault").and_then(Value::as_object_mut) {
                default(vault, "Env", json!(true));
                default(vault, "ChangeMode", json!("restart"));
            }
        }
    }
    job
}

/// A task that stands in the job itself is a group of its own.
fn alone(job: &mut Object) {
    let Some(Value::Array(tasks)) = job.remove(TASKS) else { return };
    let mut groups: Vec<Value> = tasks
        .into_iter()
        .map(|task| {
            let mut group = Object::new();
            group.insert("Name".into(), task["Name"].clone());
            group.insert("Tasks".into(), json!([task]));
            crate::jobspec::typing::fill(&crate::jobspec::shapes::GROUP, &mut group);
            group.into()
        })
        .collect();
    if let Some(Value::Array(others)) = job.get_mut("TaskGroups").map(Value::take) {
        groups.extend(others);
    }
    job.insert("TaskGroups".into(), groups.into());
}

/// A port with a number is no dynamic one.
fn reserve(network: &mut Object) {
    let Some(Value::Array(ports)) = network.get_mut("DynamicPorts").map(Value::take) else {
        return;
    };
    let (reserved, dynamic): (Vec<Value>, Vec<Value>) =
        ports.into_iter().partition(|port| port["Value"].as_i64().is_some_and(|it| it > 0));
    let some = |ports: Vec<Value>| if ports.is_empty() { Value::Null } else { ports.into() };
    network.insert("DynamicPorts".into(), some(dynamic));
    network.insert("ReservedPorts".into(), some(reserved));
}

fn template(template: &mut Object) {
    default(template, "ChangeMode", json!("restart"));
    default(template, "Perms", json!("0644"));
    default(template, "Splay", json!(FIVE_SECONDS));
    default(template, "ErrMissingKey", json!(false));
    if let Some(script) = template.get_mut("ChangeScript").and_then(Value::as_object_mut) {
        default(script, "Args", json!([]));
        default(script, "Timeout", json!(FIVE_SECONDS));
        default(script, "FailOnError", json!(false));
    }
}

fn default(object: &mut Object, key: &str, value: Value) {
    let there = object.entry(key).or_insert(Value::Null);
    if there.is_null() {
        *there = value;
    }
}

fn each<'a>(object: &'a mut Object, key: &str) -> impl Iterator<Item = &'a mut Object> {
    let list = object.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten();
    list.filter_map(Value::as_object_mut)
}
