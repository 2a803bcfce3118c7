//! Holds a job's JSON to the tables, with the errors of Go's `encoding/json`, and fills it up to
//! the asked form. What the tables do not know is dropped, as Go drops it.
//!
//! Read next: `canonical.rs`.

use serde_json::{Map, Value, json};

use super::shape::{Field, Kind, Shape, Silent};

/// # Errors
/// In Go's words, for the first value of a wrong type.
pub fn asked(shape: &Shape, value: &Value, path: &str) -> Result<Map<String, Value>, String> {
    let Value::Object(given) = value else {
        return Err(format!(
            "json: cannot unmarshal {} into Go value of type api.{}",
            kind_of(value),
            shape.name
        ));
    };
    let mut all = Map::new();
    for (key, value) in given {
        let Some(field) = shape.field(key) else { continue };
        if value.is_null() || field.asked == Silent::Never {
            continue;
        }
        all.insert(field.json.to_owned(), typed(shape, field, value, path)?);
    }
    fill(shape, &mut all);
    Ok(all)
}

/// What nothing was said of, in the asked form.
pub fn fill(shape: &Shape, all: &mut Map<String, Value>) {
    for field in shape.fields {
        if all.contains_key(field.json) {
            continue;
        }
        match field.asked {
            Silent::Null => all.insert(field.json.to_owned(), Value::Null),
            Silent::Zero => all.insert(field.json.to_owned(), zero(field.kind)),
            Silent::Gone | Silent::Never => None,
        };
    }
}

/// Go's zero.
pub fn zero(kind: Kind) -> Value {
    match kind {
        Kind::Text => json!(""),
        Kind::Whole(_) | Kind::Length => json!(0),
        Kind::Truth => json!(false),
        _ => Value::Null,
    }
}

fn typed(shape: &Shape, field: &Field, value: &Value, path: &str) -> Result<Value, String> {
    let dot = if path.is_empty() { "" } else { "." };
    let path = format!("{path}{dot}{}", field.json);
    let wrong = |value: &Value, go: &str| {
        let kind = kind_of(value);
        Err(format!(
            "json: cannot unmarshal {kind} into Go struct field {}.{path} of type {go}",
            shape.name
        ))
    };
    match field.kind {
        Kind::Text if value.is_string() => Ok(value.clone()),
        Kind::Text => wrong(value, "string"),
        Kind::Truth if value.is_boolean() => Ok(value.clone()),
        Kind::Truth => wrong(value, "bool"),
        Kind::Whole(go) => whole(value, go).map_err(|what| {
            format!(
                "json: cannot unmarshal {what} into Go struct field {}.{path} of type {go}",
                shape.name
            )
        }),
        Kind::Length if value.is_i64() => Ok(value.clone()),
        Kind::Length => wrong(value, "time.Duration"),
        Kind::TextList => match value.as_array() {
            Some(all) => match all.iter().find(|one| !one.is_string()) {
                Some(one) => wrong(one, "string"),
                None => Ok(value.clone()),
            },
            None => wrong(value, "[]string"),
        },
        Kind::TextMap => match value.as_object() {
            Some(all) => match all.values().find(|one| !one.is_string() && !one.is_null()) {
                Some(one) => wrong(one, "string"),
                None => Ok(value.clone()),
            },
            None => wrong(value, "map[string]string"),
        },
        Kind::Anything if value.is_object() => Ok(value.clone()),
        Kind::Anything => wrong(value, "map[string]interface {}"),
        Kind::One(inner) if value.is_object() => Ok(asked(inner, value, &path)?.into()),
        Kind::One(inner) => wrong(value, &format!("api.{}", inner.name)),
        Kind::Many(inner) => match value.as_array() {
            Some(all) => {
                let there = all.iter().filter(|one| !one.is_null());
                let typed = there.map(|one| match one {
                    Value::Object(_) => Ok(asked(inner, one, &path)?.into()),
                    other => wrong(other, &format!("api.{}", inner.name)),
                });
                typed.collect::<Result<Vec<Value>, String>>().map(Value::Array)
            }
            None => wrong(value, &format!("[]*api.{}", inner.name)),
        },
        Kind::ByLabel(inner) => match value.as_object() {
            Some(all) => {
                let typed = all.iter().map(|(label, one)| match one {
                    Value::Object(_) => Ok((label.clone(), asked(inner, one, &path)?.into())),
                    other => wrong(other, &format!("api.{}", inner.name))
                        .map(|it: Value| (label.clone(), it)),
                });
                typed.collect::<Result<Map<String, Value>, String>>().map(Value::Object)
            }
            None => wrong(value, &format!("map[string]*api.{}", inner.name)),
        },
    }
}

/// The number, or what it is instead.
fn whole(value: &Value, go: &str) -> Result<Value, String> {
    let Value::Number(number) = value else { return Err(kind_of(value).to_owned()) };
    let fits = match go {
        "uint64" => number.is_u64(),
        "uint8" => number.as_u64().is_some_and(|it| u8::try_from(it).is_ok()),
        "int8" => number.as_i64().is_some_and(|it| i8::try_from(it).is_ok()),
        _ => number.is_i64(),
    };
    if fits { Ok(value.clone()) } else { Err(format!("number {number}")) }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::super::shapes::JOB;
    use super::*;

    #[test]
    fn wrong_types_are_named_as_go_names_them() {
        let wrong = |job: Value| asked(&JOB, &job, "Job").unwrap_err();
        assert_eq!(
            wrong(json!({"ID": 7})),
            "json: cannot unmarshal number into Go struct field Job.Job.ID of type string"
        );
        assert_eq!(
            wrong(json!({"TaskGroups": [{"Tasks": [{"Leader": "x"}]}]})),
            "json: cannot unmarshal string into Go struct field Task.Job.TaskGroups.Tasks.Leader \
             of type bool"
        );
        assert_eq!(
            wrong(json!({"Priority": 1.5})),
            "json: cannot unmarshal number 1.5 into Go struct field Job.Job.Priority of type int"
        );
    }

    #[test]
    fn names_have_no_case_and_the_unknown_is_dropped() {
        let job = asked(&JOB, &json!({"id": "a", "Nonsense": 1, "Stop": null}), "Job").unwrap();
        assert_eq!((&job["ID"], &job["Stop"]), (&json!("a"), &Value::Null));
        assert_eq!(job["Dispatched"], json!(false));
        assert!(!job.contains_key("Nonsense") && !job.contains_key("id"));
    }
}
