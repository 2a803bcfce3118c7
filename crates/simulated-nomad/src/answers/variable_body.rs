//! The JSON of a Variable, read from a request and written into an answer.
//!
//! Read next: `variables.rs`.

use serde_json::{Value, json};

use super::gojson::{self, Shape, Struct};
use super::refusal::Refusal;
use crate::durations::{self, MILLI};
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

const VARIABLE: Struct = Struct {
    name: "structs.VariableDecrypted",
    fields: &[
        ("Namespace", Shape::Text),
        ("Path", Shape::Text),
        ("Items", Shape::Map(&Shape::Text)),
        ("Lock", Shape::Struct(&LOCK)),
    ],
};

const LOCK: Struct = Struct {
    name: "structs.VariableLock",
    fields: &[("ID", Shape::Text), ("TTL", Shape::Text), ("LockDelay", Shape::Text)],
};

/// # Errors
/// In the words of Go's JSON reader.
pub(super) fn read(body: &[u8]) -> Result<Body, Refusal> {
    if body.is_empty() {
        return Err(Refusal::new(400, "Request body is empty"));
    }
    let wrong = |why| Refusal::new(400, why);
    let read = gojson::decode(body, &VARIABLE).map_err(wrong)?;
    let text = |value: &Value| value.as_str().filter(|it| !it.is_empty()).map(str::to_owned);
    let length = |value: &Value| match value.as_str().unwrap_or_default() {
        "" => Ok(None),
        said => durations::parse(said).map(|it| Some(it / MILLI)).map_err(wrong),
    };
    let items = read["Items"].as_object().into_iter().flatten();
    Ok(Body {
        namespace: text(&read["Namespace"]),
        items: items.map(|(name, it)| (name.clone(), text(it).unwrap_or_default())).collect(),
        lock: LockWish {
            id: text(&read["Lock"]["ID"]),
            ttl: length(&read["Lock"]["TTL"])?,
            delay: length(&read["Lock"]["LockDelay"])?,
        },
    })
}

/// How much of a variable is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    WithItems,
    /// In lists, and to who may not read it.
    Metadata,
}

/// What filters look at: the variable as it is kept, with its items encrypted ([V]: the fields that
/// a list shows are not found).
pub(super) fn kept(key: &VariableKey, variable: &Variable) -> Value {
    json!({
        "VariableMetadata": show(key, Some(variable), Shown::Metadata),
        "VariableData": {"Data": "", "KeyID": ""},
    })
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
    durations::go_text(millis * MILLI)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_told_as_go_tells_it() {
        let why = |text: &str| read(text.as_bytes()).unwrap_err().text;
        assert_eq!(why(""), "Request body is empty");
        assert_eq!(why("{"), "unexpected EOF");
        let field = "json: cannot unmarshal number into Go struct field VariableDecrypted.Items";
        assert_eq!(why("{\"Items\": {\"a\": 1}}"), format!("{field} of type string"));
        let body = read(b"{\"Items\": null, \"Lock\": {\"TTL\": \"15s\"}}").unwrap();
        assert_eq!((body.items.len(), body.lock.ttl, body.lock.delay), (0, Some(15_000), None));
    }
}
