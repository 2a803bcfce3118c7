//! `constraint` and `affinity`: operators may be written as names of arguments.

use serde_json::{Map, Value, json};

/// Operators that are arguments, in the order in which a later one goes before an earlier.
const OPERATORS: [&str; 6] =
    ["version", "semver", "regexp", "set_contains_any", "set_contains_all", "set_contains"];

/// Whether blocks of these have their arguments read here.
pub fn knows(argument: &str) -> bool {
    OPERATORS.contains(&argument)
        || matches!(
            argument,
            "attribute"
                | "value"
                | "operator"
                | "weight"
                | "distinct_hosts"
                | "distinct_property"
                | "is_set"
                | "is_not_set"
        )
}

/// The block in the asked form, of its arguments by name.
pub fn filled(arguments: &Map<String, Value>, weighs: bool) -> Map<String, Value> {
    let text = |name: &str| {
        arguments.get(name).and_then(Value::as_str).filter(|it| !it.is_empty()).map(str::to_owned)
    };
    let (mut left, mut right) = (text("attribute"), text("value"));
    let mut operand = text("operator");
    for name in OPERATORS {
        if let Some(value) = text(name) {
            (operand, right) = (Some(name.to_owned()), Some(value));
        }
    }
    if arguments.get("distinct_hosts").is_some_and(|it| it == true || it == "true") {
        operand = Some("distinct_hosts".to_owned());
    }
    for name in ["distinct_property", "is_set", "is_not_set"] {
        if let Some(property) = text(name) {
            (operand, left) = (Some(name.to_owned()), Some(property));
        }
    }
    let mut block = Map::new();
    block.insert("LTarget".into(), json!(left.unwrap_or_default()));
    block.insert("RTarget".into(), json!(right.unwrap_or_default()));
    block.insert("Operand".into(), json!(operand.unwrap_or_else(|| "=".to_owned())));
    if weighs {
        block.insert("Weight".into(), arguments.get("weight").cloned().unwrap_or(Value::Null));
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_may_be_an_argument() {
        let read = |arguments: Value| {
            let block = filled(arguments.as_object().unwrap(), false);
            ["LTarget", "Operand", "RTarget"].map(|key| block[key].as_str().unwrap().to_owned())
        };
        assert_eq!(read(json!({"attribute": "a", "value": "b"})), ["a", "=", "b"]);
        assert_eq!(read(json!({"attribute": "a", "version": "> 1"})), ["a", "version", "> 1"]);
        assert_eq!(read(json!({"distinct_hosts": true})), ["", "distinct_hosts", ""]);
        assert_eq!(read(json!({"distinct_property": "p"})), ["p", "distinct_property", ""]);
    }
}
