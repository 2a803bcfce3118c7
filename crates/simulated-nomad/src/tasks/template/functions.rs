//! The functions that a template can call.
//!
//! `nomadVar` and `secret` look outside: what they find, somebody else has fetched.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::run::Run;
use super::values::Value;

const KNOWN: [&str; 30] = [
    "and",
    "base64Decode",
    "base64Encode",
    "contains",
    "env",
    "envOrDefault",
    "eq",
    "index",
    "join",
    "len",
    "ne",
    "nomadVar",
    "nomadVarExists",
    "not",
    "or",
    "parseInt",
    "print",
    "printf",
    "println",
    "replaceAll",
    "secret",
    "sprig_trim",
    "split",
    "toJSON",
    "toLower",
    "toUpper",
    "trim",
    "trimPrefix",
    "trimSpace",
    "trimSuffix",
];

pub(super) fn is_known(name: &str) -> bool {
    KNOWN.contains(&name)
}

/// # Errors
/// What Go says behind `error calling NAME: `.
pub(super) fn call(run: &mut Run<'_>, name: &str, all: Vec<Value>) -> Result<Value, String> {
    let text = |at: usize| all.get(at).map(Value::text).unwrap_or_default();
    let some = |text: String| Ok(Value::Text(text));
    match name {
        "env" => some(environment(run, &text(0)).unwrap_or_default()),
        "envOrDefault" => {
            let found = environment(run, &text(0)).filter(|found| !found.is_empty());
            some(found.unwrap_or_else(|| text(1)))
        }
        "nomadVar" => Ok(variable(run, &text(0))),
        "nomadVarExists" => Ok(Value::Bool(match run.known.variables.get(&text(0)) {
            Some(found) => found.is_some(),
            None => {
                run.rendered.wanted.insert(text(0));
                false
            }
        })),
        "secret" => Ok(entry(run, &text(0))),
        "toJSON" => some(json(all.first().unwrap_or(&Value::Nil))),
        "replaceAll" => some(text(2).replace(&text(0), &text(1))),
        "toUpper" => some(text(0).to_uppercase()),
        "toLower" => some(text(0).to_lowercase()),
        "trimSpace" => some(text(0).trim().to_owned()),
        "trim" | "sprig_trim" => {
            let (cut, of) = (text(0), text(1));
            some(of.trim_matches(|c| cut.contains(c)).to_owned())
        }
        "trimPrefix" => {
            let (start, of) = (text(0), text(1));
            some(of.strip_prefix(&start).unwrap_or(&of).to_owned())
        }
        "trimSuffix" => {
            let (end, of) = (text(0), text(1));
            some(of.strip_suffix(&end).unwrap_or(&of).to_owned())
        }
        "split" => {
            let (by, of) = (text(0), text(1));
            Ok(Value::List(of.split(&by).map(|one| Value::Text(one.to_owned())).collect()))
        }
        "join" => match all.get(1) {
            Some(Value::List(parts)) => {
                some(parts.iter().map(Value::text).collect::<Vec<_>>().join(&text(0)))
            }
            _ => Err("expected a list".to_owned()),
        },
        "contains" => Ok(Value::Bool(text(1).contains(&text(0)))),
        "base64Encode" => some(STANDARD.encode(text(0))),
        "base64Decode" => {
            let bytes = STANDARD.decode(text(0)).map_err(|error| error.to_string())?;
            some(String::from_utf8_lossy(&bytes).into_owned())
        }
        "parseInt" => text(0).parse().map(Value::Number).map_err(|error| error.to_string()),
        "print" => some(all.iter().map(Value::text).collect()),
        "println" => some(all.iter().map(Value::text).collect::<Vec<_>>().join(" ") + "\n"),
        "printf" => some(printf(&text(0), all.get(1..).unwrap_or_default())),
        "eq" => Ok(Value::Bool(all.iter().skip(1).any(|one| Some(one) == all.first()))),
        "ne" => Ok(Value::Bool(all.first() != all.get(1))),
        "not" => Ok(Value::Bool(!all.first().is_some_and(Value::is_true))),
        "and" => {
            Ok(all.iter().find(|one| !one.is_true()).or(all.last()).cloned().unwrap_or_default())
        }
        "or" => {
            Ok(all.iter().find(|one| one.is_true()).or(all.last()).cloned().unwrap_or_default())
        }
        "len" => match all.first() {
            Some(Value::Text(text)) => Ok(number(text.len())),
            Some(Value::List(all)) => Ok(number(all.len())),
            Some(Value::Map(all)) => Ok(number(all.len())),
            _ => Err("len of untyped nil".to_owned()),
        },
        "index" => index(&all),
        _ => Err("the stand-in for Nomad does not serve it".to_owned()),
    }
}

fn environment(run: &Run<'_>, name: &str) -> Option<String> {
    run.known.environment?.get(name).cloned()
}

fn variable(run: &mut Run<'_>, path: &str) -> Value {
    match run.known.variables.get(path) {
        Some(Some(items)) => {
            run.rendered.used.insert(path.to_owned());
            let text = |(key, value): (&String, &String)| (key.clone(), Value::Text(value.clone()));
            Value::Map(items.iter().map(text).collect())
        }
        Some(None) => {
            run.rendered.missing.insert(path.to_owned());
            Value::Nil
        }
        None => {
            run.rendered.wanted.insert(path.to_owned());
            Value::Nil
        }
    }
}

/// As consul-template has an answer of Vault: what is in it is below `.Data`.
fn entry(run: &mut Run<'_>, path: &str) -> Value {
    match run.known.entries.get(path) {
        Some(Some(data)) => {
            Value::Map([("Data".to_owned(), Value::from(data))].into_iter().collect())
        }
        Some(None) => {
            run.rendered.missing_entries.insert(path.to_owned());
            Value::Nil
        }
        None => {
            run.rendered.wanted_entries.insert(path.to_owned());
            Value::Nil
        }
    }
}

fn index(all: &[Value]) -> Result<Value, String> {
    let (of, keys) = all.split_first().ok_or("missing item")?;
    keys.iter().try_fold(of.clone(), |of, key| match (&of, key) {
        (Value::Map(all), key) => Ok(all.get(&key.text()).cloned().unwrap_or(Value::Nothing)),
        (Value::List(all), Value::Number(at)) => usize::try_from(*at)
            .ok()
            .and_then(|at| all.get(at).cloned())
            .ok_or_else(|| format!("index out of range: {at}")),
        (Value::Nil | Value::Nothing, _) => Err("index of untyped nil".to_owned()),
        (other, _) => Err(format!("can't index item of {}", other.text())),
    })
}

fn number(length: usize) -> Value {
    Value::Number(i64::try_from(length).unwrap_or(i64::MAX))
}

/// As Go writes JSON: what HTML takes for its own is escaped.
fn json(value: &Value) -> String {
    let text = value.json().to_string();
    let escapes = [('<', "\\u003c"), ('>', "\\u003e"), ('&', "\\u0026"), ('\u{2028}', "\\u2028")];
    escapes.iter().fold(text, |text, (letter, escape)| text.replace(*letter, escape))
}

/// `%s`, `%v`, `%d`, `%q` and `%%`.
fn printf(format: &str, arguments: &[Value]) -> String {
    let mut made = String::new();
    let mut arguments = arguments.iter();
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            made.push(letter);
            continue;
        }
        match letters.next() {
            Some('%') => made.push('%'),
            Some('q') => {
                made += &format!("{:?}", arguments.next().map_or(String::new(), Value::text))
            }
            Some(_) => made += &arguments.next().map_or(String::new(), Value::text),
            None => {}
        }
    }
    made
}
