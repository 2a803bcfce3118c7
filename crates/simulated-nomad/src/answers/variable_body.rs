//! The JSON of a Variable, read from a request and written into an answer.
//!
//! Read next: `variables.rs`.

use serde_json::{Map, Value, json};

use super::refusal::Refusal;
use crate::acl::lengths::{self, MILLISECOND};
use crate::model::Millis;
use crate::variables::{Items, LockWish, Variable, VariableKey};

/// What a PUT says. A path in it counts for nothing.
#[derive(Debug, Default)]
pub(super) struct Body {
    /// None: the query's.
    pub namespace: Option<String>,
    pub items: Items,
    pub lock: LockWish,
}

/// # Errors
/// In the words of Go's JSON reader.
pub(super) fn read(body: &[u8]) -> Result<Body, Refusal> {
    if body.is_empty() {
        return Err(Refusal::new(400, "Request body is empty"));
    }
    let read: Value = serde_json::from_slice(body).map_err(|error| {
        let why = error.to_string();
        Refusal::new(400, if error.is_eof() { "unexpected EOF" } else { why.as_str() })
    })?;
    let none = Map::new();
    let text = |of: &Value, field: &str| match of {
        Value::String(text) => Ok(text.clone()),
        Value::Null => Ok(String::new()),
        other => Err(mistyped(other, field)),
    };
    let fields = |of: &Value, field: &str| match of {
        Value::Object(fields) => Ok(Some(fields.clone())),
        Value::Null => Ok(None),
        other => Err(mistyped(other, field)),
    };
    let whole = fields(&read, "")?.unwrap_or_default();
    let of = |all: &Map<String, Value>, name: &str| all.get(name).cloned().unwrap_or_default();
    let items = fields(&of(&whole, "Items"), "Items")?.unwrap_or_default();
    let items = items.iter().map(|(name, it)| Ok((name.clone(), text(it, "Items")?)));
    let lock = fields(&of(&whole, "Lock"), "Lock")?.unwrap_or(none);
    let length = |name: &str| match text(&of(&lock, name), "Lock")?.as_str() {
        "" => Ok(None),
        said => lengths::parse(said)
            .map(|nanoseconds| Some(nanoseconds / MILLISECOND))
            .map_err(|why| Refusal::new(400, why)),
    };
    let said = |text: String| (!text.is_empty()).then_some(text);
    Ok(Body {
        namespace: said(text(&of(&whole, "Namespace"), "Namespace")?),
        items: items.collect::<Result<_, Refusal>>()?,
        lock: LockWish {
            id: said(text(&of(&lock, "ID"), "Lock")?),
            ttl: length("TTL")?,
            delay: length("LockDelay")?,
        },
    })
}

fn mistyped(value: &Value, field: &str) -> Refusal {
    let kind = match value {
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        Value::String(_) | Value::Null => "string",
    };
    let wanted = match field {
        "" => "Go value of type structs.VariableDecrypted".to_owned(),
        "Lock" => "Go struct field VariableDecrypted.Lock of type structs.VariableLock".to_owned(),
        other => format!("Go struct field VariableDecrypted.{other} of type string"),
    };
    Refusal::new(400, format!("json: cannot unmarshal {kind} into {wanted}"))
}

/// How much of a variable is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    WithItems,
    /// In lists, and to who may not read it.
    Metadata,
}

/// None: one that is not there, or of which nothing is told.
pub(super) fn show(key: &VariableKey, variable: Option<&Variable>, shown: Shown) -> Value {
    let mut json = json!({
        "Namespace": key.namespace,
        "Path": key.path,
        "CreateIndex": variable.map_or(0, |it| it.create_index),
        "CreateTime": variable.map_or(0, |it| it.create_time),
        "ModifyIndex": variable.map_or(0, |it| it.modify_index),
        "ModifyTime": variable.map_or(0, |it| it.modify_time),
    });
    let Some(variable) = variable else { return json };
    if shown == Shown::WithItems {
        json["Items"] = json!(variable.items);
    }
    if let Some(lock) = &variable.lock {
        json["Lock"] =
            json!({"ID": lock.id, "TTL": length(lock.ttl), "LockDelay": length(lock.delay)});
    }
    json
}

fn length(millis: Millis) -> String {
    lengths::show(millis * MILLISECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_told_as_go_tells_it() {
        let why = |text: &str| read(text.as_bytes()).unwrap_err().text;
        assert_eq!(why(""), "Request body is empty");
        assert_eq!(why("{"), "unexpected EOF");
        assert!(why("{\"Items\": {\"a\": 1}}").contains("unmarshal number into Go struct field"));
        assert!(why("[]").ends_with("array into Go value of type structs.VariableDecrypted"));
        let body = read(b"{\"Items\": null, \"Lock\": {\"TTL\": \"15s\"}}").unwrap();
        assert_eq!((body.items.len(), body.lock.ttl, body.lock.delay), (0, Some(15_000), None));
    }
}
