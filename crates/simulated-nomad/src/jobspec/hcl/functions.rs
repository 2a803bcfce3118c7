//! The functions that jobspecs may call, as far as they are common. Those that look at files are
//! switched off, as they are at a server.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hcl::eval::{Context, Func, FuncArgs, FuncDef, ParamType};
use hcl::{Map, Value};

use super::values::{json, text};

/// Name, how many arguments come first, whether more may follow, and what it does.
const FUNCTIONS: [(&str, usize, bool, Func); 38] = [
    ("abs", 1, false, |args| number(&args, 0).map(|it| number_value(it.abs()))),
    ("base64decode", 1, false, base64decode),
    ("base64encode", 1, false, |args| string(&args, 0).map(|it| STANDARD.encode(it).into())),
    ("ceil", 1, false, |args| number(&args, 0).map(|it| number_value(it.ceil()))),
    ("chomp", 1, false, |args| Ok(string(&args, 0)?.trim_end_matches(['\r', '\n']).into())),
    ("coalesce", 0, true, coalesce),
    ("compact", 1, false, compact),
    ("concat", 0, true, concat),
    ("contains", 2, false, |args| Ok(list(&args, 0)?.contains(&args[1]).into())),
    ("distinct", 1, false, distinct),
    ("element", 2, false, element),
    ("flatten", 1, false, |args| Ok(Value::Array(flat(list(&args, 0)?)))),
    ("floor", 1, false, |args| number(&args, 0).map(|it| number_value(it.floor()))),
    ("format", 1, true, format_text),
    ("join", 2, false, join),
    ("jsondecode", 1, false, jsondecode),
    ("jsonencode", 1, false, |args| Ok(json(&args[0]).to_string().into())),
    ("keys", 1, false, |args| Ok(object(&args, 0)?.keys().cloned().collect())),
    ("length", 1, false, length),
    ("lookup", 2, true, lookup),
    ("lower", 1, false, |args| Ok(string(&args, 0)?.to_lowercase().into())),
    ("max", 1, true, |args| extreme(&args, f64::max)),
    ("merge", 0, true, merge),
    ("min", 1, true, |args| extreme(&args, f64::min)),
    ("range", 1, true, range),
    ("replace", 3, false, replace),
    ("reverse", 1, false, |args| Ok(list(&args, 0)?.iter().rev().cloned().collect())),
    ("sort", 1, false, sort),
    ("split", 2, false, split),
    ("substr", 3, false, substr),
    ("tonumber", 1, false, |args| number(&args, 0).map(number_value)),
    ("tostring", 1, false, |args| string(&args, 0).map(Value::from)),
    ("trim", 2, false, |args| {
        let set = string(&args, 1)?;
        Ok(string(&args, 0)?.trim_matches(|c| set.contains(c)).into())
    }),
    ("trimprefix", 2, false, |args| {
        let (text, prefix) = (string(&args, 0)?, string(&args, 1)?);
        Ok(text.strip_prefix(prefix.as_str()).unwrap_or(&text).into())
    }),
    ("trimspace", 1, false, |args| Ok(string(&args, 0)?.trim().into())),
    ("trimsuffix", 2, false, |args| {
        let (text, suffix) = (string(&args, 0)?, string(&args, 1)?);
        Ok(text.strip_suffix(suffix.as_str()).unwrap_or(&text).into())
    }),
    ("upper", 1, false, |args| Ok(string(&args, 0)?.to_uppercase().into())),
    ("values", 1, false, |args| Ok(object(&args, 0)?.values().cloned().collect())),
];

/// What only the machine of whoever writes the jobspec has.
const OF_FILES: [&str; 7] =
    ["file", "filebase64", "fileexists", "fileset", "templatefile", "abspath", "pathexpand"];

pub fn declare(context: &mut Context<'_>) {
    for (name, fixed, more, func) in FUNCTIONS {
        let mut builder = FuncDef::builder().params(vec![ParamType::Any; fixed]);
        if more {
            builder = builder.variadic_param(ParamType::Any);
        }
        context.declare_func(name, builder.build(func));
    }
    for name in OF_FILES {
        let builder = FuncDef::builder().variadic_param(ParamType::Any);
        context
            .declare_func(name, builder.build(|_| Err("filesystem function disabled".to_owned())));
    }
}

fn string(args: &FuncArgs, at: usize) -> Result<String, String> {
    args.get(at).and_then(text).ok_or_else(|| "string required".to_owned())
}

fn number(args: &FuncArgs, at: usize) -> Result<f64, String> {
    let number = match args.get(at) {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| "a number is required".to_owned())
}

fn list(args: &FuncArgs, at: usize) -> Result<&Vec<Value>, String> {
    args.get(at).and_then(Value::as_array).ok_or_else(|| "a list is required".to_owned())
}

fn object(args: &FuncArgs, at: usize) -> Result<&Map<String, Value>, String> {
    args.get(at).and_then(Value::as_object).ok_or_else(|| "a map is required".to_owned())
}

/// Whole where it can be.
fn number_value(number: f64) -> Value {
    match json(&Value::from(number)).as_i64() {
        Some(whole) => Value::from(whole),
        None => Value::from(number),
    }
}

/// A number that counts places in a text or a list.
fn place(args: &FuncArgs, at: usize) -> Result<i64, String> {
    number_value(number(args, at)?).as_i64().ok_or_else(|| "a whole number is required".to_owned())
}

fn base64decode(args: FuncArgs) -> Result<Value, String> {
    let bytes = STANDARD.decode(string(&args, 0)?).map_err(|why| why.to_string())?;
    String::from_utf8(bytes).map(Value::from).map_err(|why| why.to_string())
}

fn coalesce(args: FuncArgs) -> Result<Value, String> {
    let said = args.iter().find(|it| !it.is_null() && it.as_str() != Some(""));
    said.cloned().ok_or_else(|| "no non-null, non-empty-string arguments".to_owned())
}

fn compact(args: FuncArgs) -> Result<Value, String> {
    let said = list(&args, 0)?.iter().filter(|it| !it.is_null() && it.as_str() != Some(""));
    Ok(said.cloned().collect())
}

fn concat(args: FuncArgs) -> Result<Value, String> {
    let all = (0..args.len()).map(|at| list(&args, at).cloned());
    Ok(Value::Array(all.collect::<Result<Vec<_>, _>>()?.concat()))
}

fn distinct(args: FuncArgs) -> Result<Value, String> {
    let mut all: Vec<Value> = Vec::new();
    for one in list(&args, 0)? {
        if !all.contains(one) {
            all.push(one.clone());
        }
    }
    Ok(Value::Array(all))
}

fn element(args: FuncArgs) -> Result<Value, String> {
    let (all, at) = (list(&args, 0)?, place(&args, 1)?);
    let count = i64::try_from(all.len()).unwrap_or(i64::MAX);
    let at = at.checked_rem_euclid(count).and_then(|at| usize::try_from(at).ok());
    let found = at.and_then(|at| all.get(at));
    found.cloned().ok_or_else(|| "cannot use element function with an empty list".to_owned())
}

fn flat(all: &[Value]) -> Vec<Value> {
    let one = |one: &Value| one.as_array().map_or_else(|| vec![one.clone()], |inner| flat(inner));
    all.iter().flat_map(one).collect()
}

/// `%s`, `%d`, `%v` and `%%`, without widths.
fn format_text(args: FuncArgs) -> Result<Value, String> {
    let mut out = String::new();
    let pattern = string(&args, 0)?;
    let mut rest = pattern.chars();
    let mut next = 1;
    while let Some(c) = rest.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match rest.next() {
            Some('%') => out.push('%'),
            Some('s' | 'd' | 'v') => {
                let missing = || "not enough arguments".to_owned();
                let value = args.get(next).ok_or_else(missing)?;
                out += &text(value).unwrap_or_else(|| json(value).to_string());
                next += 1;
            }
            Some('q') => {
                out += &serde_json::Value::from(string(&args, next)?).to_string();
                next += 1;
            }
            other => return Err(format!("unsupported format verb {:?}", other.unwrap_or('%'))),
        }
    }
    Ok(out.into())
}

fn join(args: FuncArgs) -> Result<Value, String> {
    let texts: Option<Vec<String>> = list(&args, 1)?.iter().map(text).collect();
    let texts = texts.ok_or_else(|| "list of string required".to_owned())?;
    Ok(texts.join(&string(&args, 0)?).into())
}

fn jsondecode(args: FuncArgs) -> Result<Value, String> {
    serde_json::from_str(&string(&args, 0)?).map_err(|why| why.to_string())
}

fn length(args: FuncArgs) -> Result<Value, String> {
    match &args[0] {
        Value::Array(all) => Ok(all.len().into()),
        Value::Object(all) => Ok(all.len().into()),
        Value::String(text) => Ok(text.chars().count().into()),
        _ => Err("argument must be a string, a collection type, or a structural type".to_owned()),
    }
}

fn lookup(args: FuncArgs) -> Result<Value, String> {
    let key = string(&args, 1)?;
    let found = object(&args, 0)?.get(&key).or(args.get(2));
    found.cloned().ok_or_else(|| format!("lookup failed to find key {key:?}"))
}

fn extreme(args: &FuncArgs, of: fn(f64, f64) -> f64) -> Result<Value, String> {
    let all = (0..args.len()).map(|at| number(args, at)).collect::<Result<Vec<_>, _>>()?;
    let found = all.into_iter().reduce(of);
    found.map(number_value).ok_or_else(|| "at least one number is required".to_owned())
}

fn merge(args: FuncArgs) -> Result<Value, String> {
    let mut all = Map::new();
    for at in 0..args.len() {
        all.extend(object(&args, at)?.clone());
    }
    Ok(Value::Object(all))
}

fn range(args: FuncArgs) -> Result<Value, String> {
    const MOST: i64 = 1_024;
    let (start, end) = match args.len() {
        1 => (0, place(&args, 0)?),
        _ => (place(&args, 0)?, place(&args, 1)?),
    };
    if end.saturating_sub(start) > MOST {
        return Err("more than 1024 values were generated".to_owned());
    }
    Ok((start..end).collect())
}

/// A text between slashes is a regular expression.
fn replace(args: FuncArgs) -> Result<Value, String> {
    let (text, what, with) = (string(&args, 0)?, string(&args, 1)?, string(&args, 2)?);
    match what.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')) {
        Some(pattern) if !pattern.is_empty() => {
            let pattern = regex::Regex::new(pattern).map_err(|why| why.to_string())?;
            Ok(pattern.replace_all(&text, with.as_str()).into_owned().into())
        }
        _ => Ok(text.replace(&what, &with).into()),
    }
}

fn sort(args: FuncArgs) -> Result<Value, String> {
    let texts: Option<Vec<String>> = list(&args, 0)?.iter().map(text).collect();
    let mut texts = texts.ok_or_else(|| "list of string required".to_owned())?;
    texts.sort();
    Ok(texts.into())
}

fn split(args: FuncArgs) -> Result<Value, String> {
    let (separator, text) = (string(&args, 0)?, string(&args, 1)?);
    Ok(text.split(separator.as_str()).map(str::to_owned).collect())
}

fn substr(args: FuncArgs) -> Result<Value, String> {
    let (text, start, length) = (string(&args, 0)?, place(&args, 1)?, place(&args, 2)?);
    let count = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    let start = if start < 0 { (count + start).max(0) } else { start };
    let length = if length < 0 { count } else { length };
    let size = |number: i64| usize::try_from(number).unwrap_or(0);
    Ok(text.chars().skip(size(start)).take(size(length)).collect::<String>().into())
}
