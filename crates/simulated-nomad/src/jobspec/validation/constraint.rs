//! Constraints: which operators there are, and what their operands have to be.

use super::{Object, Problems, objects, text};

/// What of a node can be compared.
const ATTRIBUTES: [&str; 4] = ["${node.", "${attr.", "${meta.", "${device."];

/// Those of a job, a group or a task.
pub fn all(of: &Object, found: &mut Problems) {
    for (number, one) in objects(of, "Constraints").enumerate() {
        found.nest(format!("Constraint {} validation failed", number + 1), &problems(one));
    }
}

fn problems(constraint: &Object) -> Problems {
    let mut found = Problems::default();
    let (left, right) = (text(constraint, "LTarget"), text(constraint, "RTarget"));
    let operand = text(constraint, "Operand");
    let mut needs_left = true;
    match operand {
        "" => found.add("Missing constraint operand"),
        "distinct_hosts" => needs_left = false,
        "set_contains" | "set_contains_all" | "set_contains_any" if right.is_empty() => {
            found.add("Set contains constraint requires an RTarget");
        }
        "set_contains" | "set_contains_all" | "set_contains_any" => {}
        "regexp" => {
            if let Some(why) = bad_regexp(right) {
                found.add(format!("Regular expression failed to compile: {why}"));
            }
        }
        "version" | "semver" => {
            if let Some(part) = bad_version(right) {
                let what = if operand == "version" { "Version" } else { "Semver" };
                found.add(format!("{what} constraint is invalid: malformed constraint: {part}"));
            }
        }
        "distinct_property" => {
            if right.parse::<u64>().is_ok_and(|count| count < 1) {
                found.add(format!(
                    "Distinct Property must have an allowed count of 1 or greater: {right} < 1"
                ));
            }
        }
        "is_set" | "is_not_set" if !right.is_empty() => {
            found.add(format!("Operator {operand:?} does not support an RTarget"));
        }
        "is_set" | "is_not_set" => {}
        "=" | "==" | "is" | "!=" | "not" | "<" | "<=" | ">" | ">=" => {
            if right.is_empty() {
                found.add(format!("Operator {operand:?} requires an RTarget"));
            }
        }
        other => found.add(format!("Unknown constraint type {other:?}")),
    }
    if needs_left && left.is_empty() {
        found.add("no attribute provided but is required by operator");
    } else if left.starts_with("${") && !ATTRIBUTES.iter().any(|known| left.starts_with(known)) {
        found.add(format!("unsupported attribute {left:?}"));
    }
    found
}

/// In the words of Go's `regexp`.
fn bad_regexp(pattern: &str) -> Option<String> {
    use regex_syntax::ast::{ErrorKind, parse::Parser};
    let error = Parser::new().parse(pattern).err()?;
    let from = &pattern[error.span().start.offset..];
    let (what, part) = match error.kind() {
        ErrorKind::GroupUnclosed => ("missing closing )", pattern),
        ErrorKind::GroupUnopened => ("unexpected )", pattern),
        ErrorKind::ClassUnclosed => ("missing closing ]", from),
        ErrorKind::RepetitionMissing => {
            ("missing argument to repetition operator", &from[..from.len().min(1)])
        }
        ErrorKind::EscapeUnexpectedEof => ("trailing backslash at end of expression", ""),
        _ => ("invalid or unsupported Perl syntax", from),
    };
    Some(format!("error parsing regexp: {what}: `{part}`"))
}

/// The part of a list of version constraints that is none.
fn bad_version(text: &str) -> Option<&str> {
    const OPERATORS: [&str; 7] = [">=", "<=", "!=", "~>", "=", ">", "<"];
    text.split(',').find(|part| {
        let part = part.trim();
        let operator = OPERATORS.iter().find_map(|operator| part.strip_prefix(operator));
        let version = operator.unwrap_or(part).trim().trim_start_matches('v');
        let numbers = version.split(['-', '+']).next().unwrap_or_default();
        !numbers.split('.').all(|it| !it.is_empty() && it.bytes().all(|b| b.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_and_versions_are_held_to_their_grammars() {
        assert_eq!(bad_regexp("^a(b|c)$"), None);
        assert_eq!(bad_regexp("a[b").unwrap(), "error parsing regexp: missing closing ]: `[b`");
        assert_eq!(bad_version(">= 1.7, < 2.0.0-beta+x"), None);
        assert_eq!(bad_version("~> new"), Some("~> new"));
    }
}
