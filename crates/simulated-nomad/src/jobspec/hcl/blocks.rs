//! Blocks and arguments, held to the tables, become the asked form.
//!
//! Read next: `../shape.rs`, `constraints.rs`, `normal.rs`.

use hcl::edit::Span as _;
use hcl::edit::expr::Expression;
use hcl::edit::structure::{Attribute, Block, Body, Structure};
use serde_json::{Map, Value, json};

use super::diagnostics::Diagnostic;
use super::values::{self, Scope};
use super::{constraints, normal};
use crate::durations;
use crate::jobspec::shape::{Field, Kind, Shape};
use crate::jobspec::shapes::{JOB, TASK, VAULT};
use crate::jobspec::typing::fill;

type Read<T> = Result<T, Vec<Diagnostic>>;

pub fn job(scope: &Scope<'_>, body: &Body) -> Read<Map<String, Value>> {
    read(scope, &JOB, body)
}

fn read(scope: &Scope<'_>, shape: &'static Shape, body: &Body) -> Read<Map<String, Value>> {
    if matches!(shape.name, "Constraint" | "Affinity") {
        return constraint(scope, shape, body);
    }
    let mut all = Map::new();
    let mut wrong = Vec::new();
    for structure in body {
        let read = match structure {
            Structure::Attribute(attribute) => argument(scope, shape, attribute, &mut all),
            Structure::Block(block) => block_in(scope, shape, block, &mut all),
        };
        wrong.extend(read.err().into_iter().flatten());
    }
    if wrong.is_empty() {
        fill(shape, &mut all);
        Ok(all)
    } else {
        Err(wrong)
    }
}

fn argument(
    scope: &Scope<'_>,
    shape: &Shape,
    attribute: &Attribute,
    all: &mut Map<String, Value>,
) -> Read<()> {
    let name = attribute.key.as_str();
    let field = shape.hcl(name).filter(|field| {
        !matches!(field.kind, Kind::One(_) | Kind::Many(_) | Kind::ByLabel(_) | Kind::Anything)
    });
    let Some(field) = field else { return Err(vec![scope.source.unexpected_argument(attribute)]) };
    let value = converted(scope, field, &attribute.value)?;
    all.insert(field.json.to_owned(), value);
    Ok(())
}

fn block_in(
    scope: &Scope<'_>,
    shape: &Shape,
    block: &Block,
    all: &mut Map<String, Value>,
) -> Read<()> {
    let kind = block.ident.as_str();
    if kind == "dynamic" {
        return dynamic(scope, shape, block, all);
    }
    // Both stand for what is inside of them.
    if kind == "vault" && matches!(shape.name, "Job" | "TaskGroup") {
        let vault = read(scope, &VAULT, &block.body)?;
        all.insert(normal::VAULT.to_owned(), vault.into());
        return Ok(());
    }
    if kind == "task" && shape.name == "Job" {
        let task = labelled(scope, &TASK, block)?;
        push(all, normal::TASKS, task.into());
        return Ok(());
    }
    let Some(field) = shape.hcl(kind) else {
        return Err(vec![scope.source.unexpected_block(block)]);
    };
    match field.kind {
        Kind::One(inner) => {
            once(scope, field, block, all)?;
            let one = labelled(scope, inner, block)?;
            all.insert(field.json.to_owned(), one.into());
        }
        Kind::Many(inner) => push(all, field.json, labelled(scope, inner, block)?.into()),
        Kind::ByLabel(inner) => {
            let one = labelled(scope, inner, block)?;
            let label = block.labels.first().map_or("", |label| label.as_str()).to_owned();
            let list = all.entry(field.json).or_insert_with(|| json!({}));
            if let Value::Object(list) = list {
                list.insert(label, one.into());
            }
        }
        Kind::TextMap => {
            once(scope, field, block, all)?;
            let mut texts = Map::new();
            for structure in &block.body {
                match structure {
                    Structure::Attribute(attribute) => {
                        let text = as_text(scope, &attribute.value)?;
                        texts.insert(attribute.key.as_str().to_owned(), text);
                    }
                    Structure::Block(inner) => {
                        return Err(vec![scope.source.unexpected_block(inner)]);
                    }
                }
            }
            all.insert(field.json.to_owned(), texts.into());
        }
        Kind::Anything => {
            once(scope, field, block, all)?;
            all.insert(field.json.to_owned(), anything(scope, &block.body)?.into());
        }
        _ => return Err(vec![scope.source.unexpected_block(block)]),
    }
    Ok(())
}

/// `dynamic "KIND" { for_each = …  content { … } }`.
fn dynamic(
    scope: &Scope<'_>,
    shape: &Shape,
    block: &Block,
    all: &mut Map<String, Value>,
) -> Read<()> {
    let at = || scope.source.range(block.ident.span());
    let kind = block.labels.first().map_or("", |label| label.as_str());
    let missing = |what: &str| {
        let detail = format!("The argument {what:?} is required, but no definition was found.");
        vec![Diagnostic::new(at(), "Missing required argument", detail)]
    };
    let each = block.body.get_attribute("for_each").ok_or_else(|| missing("for_each"))?;
    let content = block.body.get_blocks("content").next().ok_or_else(|| missing("content"))?;
    let iterator = block.body.get_attribute("iterator");
    let iterator = iterator.and_then(|it| it.value.as_variable()).map_or(kind, |it| it.as_str());
    let pairs: Vec<(hcl::Value, hcl::Value)> = match scope.evaluate(&each.value)? {
        hcl::Value::Array(all) => {
            let numbered = all.into_iter().enumerate();
            numbered.map(|(number, value)| (hcl::Value::from(number), value)).collect()
        }
        hcl::Value::Object(all) => {
            all.into_iter().map(|(key, value)| (hcl::Value::from(key), value)).collect()
        }
        _ => {
            let at = scope.source.range(each.value.span());
            let detail = "Cannot use a value of this type in for_each. An iterable collection is \
                          required.";
            return Err(vec![Diagnostic::new(at, "Invalid dynamic for_each value", detail)]);
        }
    };
    for (key, value) in pairs {
        let mut inside = scope.clone();
        let pair = [("key".to_owned(), key), ("value".to_owned(), value)];
        inside.declare(iterator, hcl::Value::Object(pair.into_iter().collect()));
        let mut made = Block::new(hcl::edit::Ident::new(kind));
        made.ident = block.ident.clone();
        *made.ident.value_mut() = hcl::edit::Ident::new(kind);
        made.body = content.body.clone();
        if let Some(labels) = block.body.get_attribute("labels") {
            let labels = inside.evaluate(&labels.value)?;
            let labels = labels.as_array().into_iter().flatten().filter_map(values::text);
            made.labels = labels.map(hcl::edit::structure::BlockLabel::from).collect();
        }
        block_in(&inside, shape, &made, all)?;
    }
    Ok(())
}

/// A block's body with its label, where it has one.
fn labelled(scope: &Scope<'_>, shape: &'static Shape, block: &Block) -> Read<Map<String, Value>> {
    let kind = block.ident.as_str();
    let at = || scope.source.range(block.ident.span());
    match (shape.label, block.labels.first()) {
        (None, Some(label)) => {
            let detail = format!("No labels are expected for {kind} blocks.");
            let summary = format!("Extraneous label for {kind}");
            Err(vec![Diagnostic::new(scope.source.range(label.span()), summary, detail)])
        }
        (Some(field), None) => {
            let name = field.to_lowercase();
            let detail = format!("All {kind} blocks must have 1 labels ({name}).");
            Err(vec![Diagnostic::new(at(), format!("Missing {name} for {kind}"), detail)])
        }
        (field, label) => {
            let mut all = read(scope, shape, &block.body)?;
            if let (Some(field), Some(label)) = (field, label) {
                all.insert(field.to_owned(), json!(label.as_str()));
            }
            Ok(all)
        }
    }
}

fn once(scope: &Scope<'_>, field: &Field, block: &Block, all: &Map<String, Value>) -> Read<()> {
    if !all.contains_key(field.json) {
        return Ok(());
    }
    let kind = block.ident.as_str();
    let at = scope.source.range(block.ident.span());
    let detail = format!("Only one {kind} block is allowed.");
    Err(vec![Diagnostic::new(at, format!("Duplicate {kind} block"), detail)])
}

fn push(all: &mut Map<String, Value>, key: &str, one: Value) {
    let list = all.entry(key).or_insert_with(|| json!([]));
    if let Value::Array(list) = list {
        list.push(one);
    }
}

fn constraint(scope: &Scope<'_>, shape: &'static Shape, body: &Body) -> Read<Map<String, Value>> {
    let weighs = shape.name == "Affinity";
    let mut arguments = Map::new();
    for structure in body {
        match structure {
            Structure::Block(block) => return Err(vec![scope.source.unexpected_block(block)]),
            Structure::Attribute(attribute) => {
                let name = attribute.key.as_str();
                if !constraints::knows(name) || (name == "weight" && !weighs) {
                    return Err(vec![scope.source.unexpected_argument(attribute)]);
                }
                let value = scope.evaluate(&attribute.value)?;
                let value = match (&value, name) {
                    (hcl::Value::Bool(_), _) | (_, "weight") => values::json(&value),
                    _ => values::text(&value).into(),
                };
                arguments.insert(name.to_owned(), value);
            }
        }
    }
    Ok(constraints::filled(&arguments, weighs))
}

/// What a driver reads: arguments as they are, blocks in lists.
fn anything(scope: &Scope<'_>, body: &Body) -> Read<Map<String, Value>> {
    let mut all = Map::new();
    for structure in body {
        match structure {
            Structure::Attribute(attribute) => {
                let value = scope.evaluate(&attribute.value)?;
                all.insert(attribute.key.as_str().to_owned(), values::json(&value));
            }
            Structure::Block(block) => {
                let inner = Value::from(anything(scope, &block.body)?);
                let labels = block.labels.iter().rev();
                let one = labels.fold(inner, |inner, label| json!({label.as_str(): [inner]}));
                push(&mut all, block.ident.as_str(), one);
            }
        }
    }
    Ok(all)
}

fn as_text(scope: &Scope<'_>, expression: &Expression) -> Read<Value> {
    let value = scope.evaluate(expression)?;
    values::text(&value)
        .map(Value::String)
        .ok_or_else(|| unsuitable(scope, expression, "string required"))
}

fn converted(scope: &Scope<'_>, field: &Field, expression: &Expression) -> Read<Value> {
    let value = scope.evaluate(expression)?;
    let wrong = |what: &str| unsuitable(scope, expression, what);
    if value.is_null() {
        return Ok(Value::Null);
    }
    match field.kind {
        Kind::Text => {
            values::text(&value).map(Value::String).ok_or_else(|| wrong("string required"))
        }
        Kind::Whole(_) => match &value {
            hcl::Value::String(text) => {
                text.parse::<i64>().map(Value::from).map_err(|_| wrong("a number is required"))
            }
            hcl::Value::Number(_) => {
                let number = values::json(&value);
                if number.is_i64() {
                    Ok(number)
                } else {
                    Err(wrong("value must be a whole number"))
                }
            }
            _ => Err(wrong("number required")),
        },
        Kind::Truth => match &value {
            hcl::Value::Bool(it) => Ok((*it).into()),
            hcl::Value::String(text) if text == "true" || text == "false" => {
                Ok((text == "true").into())
            }
            _ => Err(wrong("bool required")),
        },
        Kind::Length => match &value {
            hcl::Value::String(text) => durations::parse(text).map(Value::from).map_err(|why| {
                let at = scope.source.range(expression.span());
                let detail = format!("Unsuitable duration value: {why}");
                vec![Diagnostic::new(at, "Unsuitable value type", detail)]
            }),
            hcl::Value::Number(_) => Ok(values::json(&value)),
            _ => Err(wrong("expected a string")),
        },
        Kind::TextList => match &value {
            hcl::Value::Array(all) => {
                let all = all.iter().map(values::text).collect::<Option<Vec<String>>>();
                all.map(Value::from).ok_or_else(|| wrong("list of string required"))
            }
            _ => Err(wrong("list of string required")),
        },
        Kind::TextMap => match &value {
            hcl::Value::Object(all) => {
                let all =
                    all.iter().map(|(key, one)| Some((key.clone(), values::text(one)?.into())));
                let all = all.collect::<Option<Map<String, Value>>>();
                all.map(Value::from).ok_or_else(|| wrong("map of string required"))
            }
            _ => Err(wrong("map of string required")),
        },
        Kind::One(_) | Kind::Many(_) | Kind::ByLabel(_) | Kind::Anything => {
            Ok(values::json(&value))
        }
    }
}

fn unsuitable(scope: &Scope<'_>, expression: &Expression, what: &str) -> Vec<Diagnostic> {
    let at = scope.source.range(expression.span());
    let detail = format!("Unsuitable value: {what}");
    vec![Diagnostic::new(at, "Unsuitable value type", detail)]
}
