//! What differs between what was recorded and what was played, step by step.
//!
//! The recorder has put placeholders in place of ids, indexes and times already. Indexes and times
//! are numbered by rank, which hangs on how often something unrelated was written; that number is
//! not compared, only that it is an index or a time. How long something took, and the sentences for
//! readers, are not compared either.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

/// One place where two answers are not the same.
#[derive(Clone, Debug)]
pub struct Difference {
    pub scenario: String,
    pub step: String,
    /// `response.body.0.Status`.
    pub path: String,
    pub recorded: String,
    pub played: String,
}

impl Difference {
    pub fn new(scenario: &str, step: &str, path: &str, recorded: &str, played: &str) -> Self {
        Self {
            scenario: scenario.to_owned(),
            step: step.to_owned(),
            path: path.to_owned(),
            recorded: recorded.to_owned(),
            played: played.to_owned(),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenario, step, path, recorded, played } = self;
        write!(f, "{scenario} / {step} / {path}: recorded {recorded}, played {played}")
    }
}

pub fn differences(scenario: &str, recorded: &Value, played: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    if let Some(why) = played.get("broken_off").and_then(Value::as_str) {
        found.push(Difference::new(scenario, "", "broken_off", "nothing", why));
    }
    let none = Vec::new();
    let steps = |of: &Value| of["steps"].as_array().unwrap_or(&none).clone();
    let (recorded, played) = (steps(recorded), steps(played));
    for number in 0..recorded.len().max(played.len()) {
        let (Some(recorded), Some(played)) = (recorded.get(number), played.get(number)) else {
            let (recorded, played) = (recorded.len(), played.len());
            let (recorded, played) = (format!("{recorded} steps"), format!("{played} steps"));
            found.push(Difference::new(scenario, "", "steps", &recorded, &played));
            break;
        };
        let name = recorded["step"].as_str().unwrap_or_default();
        let mut at = |path: &str, recorded: &str, played: &str| {
            found.push(Difference::new(scenario, name, path, recorded, played));
        };
        if recorded["step"] != played["step"] {
            at("step", &show(&recorded["step"]), &show(&played["step"]));
            break;
        }
        if let Some(why) = played.get("not_reached")
            && recorded.get("not_reached").is_none()
        {
            at("not_reached", "nothing", &show(why));
        }
        for part in ["request", "response", "answers", "computed"] {
            compare(part, recorded.get(part), played.get(part), &mut at);
        }
    }
    found
}

fn compare(
    path: &str,
    recorded: Option<&Value>,
    played: Option<&Value>,
    at: &mut impl FnMut(&str, &str, &str),
) {
    match (recorded, played) {
        (None, None) => {}
        (Some(Value::Object(recorded)), Some(Value::Object(played))) => {
            let keys: BTreeSet<&String> = recorded.keys().chain(played.keys()).collect();
            for key in keys {
                compare(&format!("{path}.{key}"), recorded.get(key), played.get(key), at);
            }
        }
        (Some(Value::Array(recorded)), Some(Value::Array(played))) => {
            if recorded.len() != played.len() {
                let (recorded, played) = (recorded.len(), played.len());
                at(&format!("{path}.length"), &recorded.to_string(), &played.to_string());
            }
            for (number, (recorded, played)) in recorded.iter().zip(played).enumerate() {
                compare(&format!("{path}.{number}"), Some(recorded), Some(played), at);
            }
        }
        (Some(Value::String(recorded)), Some(Value::String(played)))
            if without_ranks(recorded) == without_ranks(played) => {}
        (recorded, played) if recorded == played => {}
        (recorded, played) => {
            let shown = |value: Option<&Value>| value.map_or("nothing".to_owned(), show);
            at(path, &shown(recorded), &shown(played));
        }
    }
}

/// `<index-7>` becomes `<index>`, and times likewise.
fn without_ranks(text: &str) -> String {
    let mut text = text.to_owned();
    for kind in ["<index-", "<time-"] {
        let mut from = 0;
        while let Some(start) = text[from..].find(kind).map(|it| it + from) {
            let number = start + kind.len() - 1;
            let Some(end) = text[number..].find('>').map(|it| it + number) else { break };
            if text[number + 1..end].bytes().all(|byte| byte.is_ascii_digit()) {
                text.replace_range(number..end, "");
            }
            from = number;
        }
    }
    text
}

fn show(value: &Value) -> String {
    const LONGEST: usize = 300;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(recorded: &Value, played: &Value) -> Vec<String> {
        let step = |body: &Value| json!({"steps": [{"step": "a", "response": body}]});
        let found = differences("s", &step(recorded), &step(played));
        found.into_iter().map(|one| one.path).collect()
    }

    #[test]
    fn ranks_are_not_compared_and_everything_else_is() {
        let recorded = json!({"Index": "<index-7>", "Text": "at 127.0.0.1:<port>", "N": 1});
        assert!(found(&recorded, &recorded).is_empty());
        let mut other = recorded.clone();
        other["Index"] = json!("<index-9>");
        assert!(found(&recorded, &other).is_empty());
        other["Index"] = json!("<time-9>");
        assert_eq!(found(&recorded, &other), ["response.Index"]);
        for (key, value) in [("Text", json!("")), ("N", json!("1")), ("New", json!(null))] {
            let mut other = recorded.clone();
            other[key] = value;
            assert_eq!(found(&recorded, &other), [format!("response.{key}")]);
        }
        assert_eq!(found(&json!([1, 2]), &json!([1])), ["response.length"]);
    }
}
