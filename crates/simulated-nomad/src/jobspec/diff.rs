//! What is different between two versions of a job, as a plan shows it. (Nomad
//! `nomad/structs/diff.go`.)
//!
//! Fields that say nothing on both sides are left out. An object that changed shows all of its
//! fields, one that did not is left out; groups and tasks are always there.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// What the servers alone know, and what is told in another way.
const NOT_OF_A_JOB: [&str; 14] = [
    "CreateIndex",
    "DispatchIdempotencyToken",
    "ID",
    "JobModifyIndex",
    "ModifyIndex",
    "NomadTokenID",
    "Stable",
    "Status",
    "StatusDescription",
    "SubmitTime",
    "TaskGroups",
    "Update",
    "Version",
    "VersionTag",
];

/// The whole difference. `updates`: what would become of each group's allocations.
pub fn diff(old: Option<&Value>, new: &Value, updates: &BTreeMap<String, Value>) -> Value {
    let (old, new) = (sides(old), sides(Some(new)));
    let mut found = entity(&old, &new, &NOT_OF_A_JOB);
    let groups = named(&old, &new, "TaskGroups", |name, old, new| {
        let mut found = entity(old, new, &["Name", "Tasks"]);
        let tasks = named(old, new, "Tasks", |name, old, new| {
            let mut found = entity(old, new, &["Name"]);
            found.insert("Name".into(), json!(name));
            found.insert("Annotations".into(), Value::Null);
            found
        });
        of_parts(&mut found, &tasks);
        found.insert("Tasks".into(), or_null(tasks));
        found.insert("Name".into(), json!(name));
        found.insert("Updates".into(), updates.get(name).cloned().unwrap_or(Value::Null));
        found
    });
    of_parts(&mut found, &groups);
    found.insert("TaskGroups".into(), or_null(groups));
    found.insert("ID".into(), new["ID"].clone());
    found.into()
}

type Object = Map<String, Value>;

/// One side of a comparison; empty where there is nothing.
fn sides(side: Option<&Value>) -> Object {
    side.and_then(Value::as_object).cloned().unwrap_or_default()
}

/// A job, a group or a task: its own fields, and the objects in it that have changed.
fn entity(old: &Object, new: &Object, left_out: &[&str]) -> Object {
    let (old_side, new_side) = (without(old, left_out), without(new, left_out));
    let fields = fields(&old_side, &new_side, false);
    let objects = objects(&old_side, &new_side);
    let changed = !fields.is_empty() || !objects.is_empty();
    let mut found = Object::new();
    found.insert("Type".into(), json!(kind(old.is_empty(), new.is_empty(), changed)));
    found.insert("Fields".into(), or_null(fields));
    found.insert("Objects".into(), or_null(objects));
    found
}

fn without(side: &Object, left_out: &[&str]) -> Object {
    let kept = side.iter().filter(|(key, _)| !left_out.contains(&key.as_str()));
    kept.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Something inside has changed.
fn of_parts(found: &mut Object, parts: &[Value]) {
    if found["Type"] == "None" && parts.iter().any(|part| part["Type"] != "None") {
        found.insert("Type".into(), json!("Edited"));
    }
}

fn kind(no_old: bool, no_new: bool, changed: bool) -> &'static str {
    match (no_old, no_new, changed) {
        (true, false, _) => "Added",
        (false, true, _) => "Deleted",
        (_, _, true) => "Edited",
        _ => "None",
    }
}

/// Groups or tasks, by their names.
fn named(
    old: &Object,
    new: &Object,
    list: &str,
    compare: impl Fn(&str, &Object, &Object) -> Object,
) -> Vec<Value> {
    let by_name = |side: &Object| -> BTreeMap<String, Object> {
        let all = side.get(list).and_then(Value::as_array).into_iter().flatten();
        let all = all.filter_map(Value::as_object);
        all.map(|one| (one["Name"].as_str().unwrap_or_default().to_owned(), one.clone())).collect()
    };
    let (old, new) = (by_name(old), by_name(new));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let nothing = Object::new();
    let side = |of: &BTreeMap<String, Object>, name: &String| {
        of.get(name).cloned().unwrap_or_else(|| nothing.clone())
    };
    names
        .into_iter()
        .map(|name| compare(name, &side(&old, name), &side(&new, name)).into())
        .collect()
}

/// Values that are no objects, and maps of texts as `Meta[key]`.
fn flat(side: &Object) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (key, value) in side {
        match value {
            Value::Object(map) if is_map(key) => {
                for (inner, value) in map {
                    all.insert(format!("{key}[{inner}]"), text(value));
                }
            }
            Value::Object(_) | Value::Array(_) | Value::Null => {}
            value => {
                all.insert(key.clone(), text(value));
            }
        }
    }
    all
}

fn is_map(key: &str) -> bool {
    matches!(key, "Meta" | "Env" | "GetterOptions" | "GetterHeaders" | "CanaryMeta" | "Args")
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn fields(old: &Object, new: &Object, also_unchanged: bool) -> Vec<Value> {
    let (no_old, no_new) = (old.is_empty(), new.is_empty());
    let (old, new) = (flat(old), flat(new));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let one = |name: &String| {
        let (before, after) = (old.get(name), new.get(name));
        let kind = kind(before.is_none() || no_old, after.is_none() || no_new, before != after);
        let (before, after) =
            (before.cloned().unwrap_or_default(), after.cloned().unwrap_or_default());
        let same = before == after;
        (!same || (also_unchanged && !before.is_empty())).then(|| {
            let kind = if same { "None" } else { kind };
            json!({"Type": kind, "Name": name, "Old": before, "New": after, "Annotations": null})
        })
    };
    names.into_iter().filter_map(one).collect()
}

/// What of the objects inside has changed.
fn objects(old: &Object, new: &Object) -> Vec<Value> {
    let names: BTreeSet<&String> =
        old.keys().chain(new.keys()).filter(|key| !is_map(key)).collect();
    let mut found = Vec::new();
    for name in names {
        let (before, after) = (old.get(name), new.get(name));
        if before == after {
            continue;
        }
        let shape = [after, before].into_iter().flatten().find(|value| !value.is_null());
        match shape {
            Some(Value::Object(_)) => {
                found.push(object(name, &sides(before), &sides(after)));
            }
            Some(Value::Array(list)) if list.iter().any(Value::is_object) => {
                found.extend(set_of_objects(name, before, after));
            }
            Some(Value::Array(_)) => found.extend(set_of_texts(name, before, after)),
            _ => {}
        }
    }
    found
}

fn object(name: &str, old: &Object, new: &Object) -> Value {
    // Beside what has changed the rest is shown, too.
    let mut inner: Vec<Value> = Vec::new();
    let names: BTreeSet<&String> =
        old.keys().chain(new.keys()).filter(|key| !is_map(key)).collect();
    for name in names {
        let (before, after) = (old.get(name), new.get(name));
        match after.filter(|it| !it.is_null()).or(before) {
            Some(Value::Array(list)) if !list.iter().any(Value::is_object) => {
                inner.extend(set_of_texts(name, before, after));
            }
            Some(Value::Array(_)) => inner.extend(set_of_objects(name, before, after)),
            Some(Value::Object(_)) if before != after => {
                inner.push(object(name, &sides(before), &sides(after)));
            }
            _ => {}
        }
    }
    json!({
        "Type": kind(old.is_empty(), new.is_empty(), true), "Name": name,
        "Fields": or_null(fields(old, new, true)), "Objects": or_null(inner),
    })
}

fn set_of_texts(name: &str, old: Option<&Value>, new: Option<&Value>) -> Option<Value> {
    let set = |side: Option<&Value>| -> BTreeSet<String> {
        side.and_then(Value::as_array).into_iter().flatten().map(text).collect()
    };
    let (old, new) = (set(old), set(new));
    let one = |value: &String| {
        let (before, after) = (old.contains(value), new.contains(value));
        let side = |there| if there { value.clone() } else { String::new() };
        json!({
            "Type": kind(!before, !after, false), "Name": name, "Old": side(before),
            "New": side(after), "Annotations": null,
        })
    };
    let fields: Vec<Value> = old.union(&new).map(one).collect();
    let kind = kind(old.is_empty(), new.is_empty(), old != new);
    (!fields.is_empty())
        .then(|| json!({"Type": kind, "Name": name, "Fields": fields, "Objects": null}))
}

/// Objects in a list have no names: each is there on both sides, or only on one.
fn set_of_objects(name: &str, old: Option<&Value>, new: Option<&Value>) -> Vec<Value> {
    let list = |side: Option<&Value>| -> Vec<Object> {
        let all = side.and_then(Value::as_array).into_iter().flatten();
        all.filter_map(Value::as_object).cloned().collect()
    };
    let (old, new) = (list(old), list(new));
    let name = match name.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None => name.strip_suffix('s').unwrap_or(name).to_owned(),
    };
    let nothing = Object::new();
    let gone = old.iter().filter(|one| !new.contains(one));
    let come = new.iter().filter(|one| !old.contains(one));
    gone.map(|one| object(&name, one, &nothing))
        .chain(come.map(|one| object(&name, &nothing, one)))
        .collect()
}

fn or_null(all: Vec<Value>) -> Value {
    if all.is_empty() { Value::Null } else { all.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(payload: &str, count: u64) -> Value {
        json!({
            "ID": "a", "Name": "a", "Meta": {"own": "x"}, "Datacenters": ["*"], "Version": count,
            "ParameterizedJob": {"Payload": payload, "MetaRequired": ["k"]},
            "TaskGroups": [{"Name": "g", "Count": count, "Tasks": [{"Name": "t"}]}],
        })
    }

    #[test]
    fn only_what_has_changed_is_told() {
        let same = diff(Some(&job("optional", 1)), &job("optional", 1), &BTreeMap::new());
        assert_eq!(
            (&same["Type"], &same["Fields"], &same["Objects"]),
            (&json!("None"), &Value::Null, &Value::Null)
        );
        assert_eq!(same["TaskGroups"][0]["Tasks"][0]["Type"], "None");
        let other = diff(Some(&job("optional", 1)), &job("forbidden", 2), &BTreeMap::new());
        assert_eq!(other["Type"], "Edited");
        let rules = &other["Objects"][0];
        assert_eq!(
            (&rules["Name"], &rules["Type"]),
            (&json!("ParameterizedJob"), &json!("Edited"))
        );
        assert_eq!(rules["Fields"][0]["New"], "forbidden");
        assert_eq!(rules["Objects"][0]["Fields"][0]["Type"], "None");
        assert_eq!(other["TaskGroups"][0]["Fields"][0]["Name"], "Count");
        let new = diff(None, &job("optional", 1), &BTreeMap::new());
        assert_eq!(
            (&new["Type"], &new["Fields"][0]["Name"]),
            (&json!("Added"), &json!("Meta[own]"))
        );
    }
}
