//! What a filter means for one object, given as its JSON.
//!
//! An object's own fields must be there; a key that a map lacks is merely not equal to anything.
//! Read next: `regexp.rs`.

use serde_json::Value;

use super::parsing::{Expression, Match, Operator};
use super::regexp;

/// Fields that hold a map, in whatever is listed; every other object has fixed fields.
const MAPS: &[&str] = &[
    "Attributes",
    "ClassFilteredNodes",
    "Config",
    "ConstraintFiltered",
    "Details",
    "DimensionExhausted",
    "Env",
    "Events",
    "FailedTGAllocs",
    "Links",
    "Meta",
    "NodesAvailable",
    "QueuedAllocations",
    "Summary",
    "Tags",
    "TaskStates",
];

/// # Errors
/// In go-bexpr's words.
pub(super) fn holds(expression: &Expression, of: &Value) -> Result<bool, String> {
    Ok(match expression {
        Expression::Not(inner) => !holds(inner, of)?,
        Expression::And(left, right) => holds(left, of)? && holds(right, of)?,
        Expression::Or(left, right) => holds(left, of)? || holds(right, of)?,
        Expression::Match(one) => match selected(of, &one.selector)? {
            Some(value) => matches(one, value)? != one.negated,
            // Of what is not there only the opposite holds, and that it is empty.
            None => (one.operator == Operator::Empty) != one.negated,
        },
    })
}

/// None: a map that lacks the key.
fn selected<'a>(of: &'a Value, path: &[String]) -> Result<Option<&'a Value>, String> {
    let (mut here, mut in_map) = (of, false);
    for (number, part) in path.iter().enumerate() {
        let pointer = || format!("/{} at part {number}", path.join("/"));
        here = match here {
            Value::Object(map) => match map.get(part) {
                Some(value) => value,
                None if in_map => return Ok(None),
                None => {
                    return Err(format!(
                        "error finding value in datum: {}: couldn't find key: struct field with \
                         name {part:?}",
                        pointer()
                    ));
                }
            },
            Value::Array(list) => match part.parse::<usize>().ok().and_then(|at| list.get(at)) {
                Some(value) => value,
                None => return Err(format!("error finding value in datum: {}", pointer())),
            },
            Value::Null => return Ok(None),
            _ => {
                return Err(format!(
                    "error finding value in datum: {}: invalid value kind",
                    pointer()
                ));
            }
        };
        in_map = MAPS.contains(&part.as_str());
    }
    Ok(Some(here))
}

fn matches(one: &Match, value: &Value) -> Result<bool, String> {
    let path = || one.selector.join(".");
    match one.operator {
        Operator::Equal => equal(value, &one.value),
        Operator::Empty => match value {
            Value::Null => Ok(true),
            Value::String(text) => Ok(text.is_empty()),
            Value::Array(list) => Ok(list.is_empty()),
            Value::Object(map) => Ok(map.is_empty()),
            _ => Err(format!("Cannot perform is empty operations for selector {:?}", path())),
        },
        Operator::In => match value {
            Value::Null => Ok(false),
            Value::String(text) => Ok(text.contains(&one.value)),
            Value::Object(map) => Ok(map.contains_key(&one.value)),
            Value::Array(list) => {
                for item in list {
                    if equal(item, &one.value)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            _ => Err(format!("Cannot perform in/contains operations for selector {:?}", path())),
        },
        Operator::Matches => {
            let regex = regexp::compile(&one.value)?;
            match value {
                Value::String(text) => Ok(regex.is_match(text)),
                _ => Err("Value of selector is not convertible to []byte".to_owned()),
            }
        }
    }
}

/// The value is read as what it is compared with.
fn equal(value: &Value, text: &str) -> Result<bool, String> {
    let unread = |function: &str| {
        let why = format!("strconv.{function}: parsing {text:?}: invalid syntax");
        format!("error getting match value in expression: {why}")
    };
    match value {
        Value::String(own) => Ok(own == text),
        Value::Bool(own) => {
            let read = crate::answers::options::parse_bool(text);
            read.map(|read| read == *own).ok_or_else(|| unread("ParseBool"))
        }
        Value::Number(own) if own.is_f64() => {
            let read: f64 = text.parse().map_err(|_| unread("ParseFloat"))?;
            Ok(own.as_f64() == Some(read))
        }
        Value::Number(own) => {
            let read: i128 = text.parse().map_err(|_| unread("ParseInt"))?;
            Ok(own.as_i128() == Some(read))
        }
        Value::Null => Ok(false),
        _ => Err("unable to find suitable primitive comparison function for matching".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::answers::filter::parsing::parse;

    fn found(text: &str) -> Result<bool, String> {
        let job = json!({
            "ID": "gha", "Priority": 50, "Stop": false, "Meta": {"name": "n2"}, "Payload": null,
            "Datacenters": ["dc1", "dc2"], "ParameterizedJob": {"MetaRequired": []},
        });
        holds(&parse(text).unwrap(), &job)
    }

    #[test]
    fn each_operator_means_what_it_says() {
        for text in [
            "ID == \"gha\" and Priority == 50",
            "Stop == false and not (Stop == true)",
            "Meta.name == n2 and Meta.absent != n2",
            "Meta.absent is empty and Payload is empty and Meta is not empty",
            "\"name\" in Meta and dc2 in Datacenters and Datacenters contains \"dc1\"",
            "ID contains \"h\" and ID not contains \"x\" and ID matches \"^g.a$\"",
            "ParameterizedJob.MetaRequired is empty",
        ] {
            assert_eq!(found(text), Ok(true), "{text}");
        }
        for text in ["Meta.absent == n2", "Meta.absent matches \"x\"", "\"other\" in Meta"] {
            assert_eq!(found(text), Ok(false), "{text}");
        }
    }

    #[test]
    fn errors_are_in_its_words() {
        assert_eq!(
            found("Nonsense == x").unwrap_err(),
            "error finding value in datum: /Nonsense at part 0: couldn't find key: struct field \
             with name \"Nonsense\""
        );
        assert_eq!(
            found("Priority == high").unwrap_err(),
            "error getting match value in expression: strconv.ParseInt: parsing \"high\": invalid \
             syntax"
        );
    }
}
