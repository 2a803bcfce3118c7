//! `variable` blocks and the values that come with the request, and `locals`.
//!
//! Read next: `types.rs`.

use std::collections::BTreeMap;

use hcl::edit::Span as _;
use hcl::edit::structure::{Block, Body, Structure};
use hcl::{Map, Value};

use super::diagnostics::{Diagnostic, Source};
use super::types::Type;
use super::values::Scope;

/// Values for variables, each with where it was said.
pub type Given = BTreeMap<String, (Value, String)>;

/// The text of `Variables`: one argument for each.
pub fn given(text: &str) -> Result<Given, Diagnostic> {
    let source = Source::new(text);
    let body = source.read()?;
    let scope = Scope::new(&source);
    let mut all = Given::new();
    for structure in &body {
        match structure {
            Structure::Block(block) => return Err(source.unexpected_block(block)),
            Structure::Attribute(attribute) => {
                let value = scope.evaluate(&attribute.value).map_err(|mut all| all.remove(0))?;
                let at = source.range(attribute.value.span());
                all.insert(attribute.key.as_str().to_owned(), (value, at));
            }
        }
    }
    Ok(all)
}

/// Makes `var` and `local` known. Values for variables that are not there are left alone.
pub fn declare(scope: &mut Scope<'_>, body: &Body, given: &Given) -> Result<(), Vec<Diagnostic>> {
    let mut all = Map::new();
    for block in body.get_blocks("variable") {
        let name = block.labels.first().map_or("", |label| label.as_str()).to_owned();
        let value = variable(scope, block, &name, given.get(&name))?;
        all.insert(name, value);
    }
    // Names with values in one block, as in HCL 1.
    for block in body.get_blocks("variables") {
        for attribute in block.body.attributes() {
            let name = attribute.key.as_str();
            let value = match given.get(name) {
                Some((value, _)) => value.clone(),
                None => scope.evaluate(&attribute.value)?,
            };
            all.insert(name.to_owned(), value);
        }
    }
    scope.declare("var", Value::Object(all));
    locals(scope, body)
}

fn variable(
    scope: &Scope<'_>,
    block: &Block,
    name: &str,
    given: Option<&(Value, String)>,
) -> Result<Value, Vec<Diagnostic>> {
    let (mut kind, mut default) = (Type::Any, None);
    for structure in &block.body {
        match structure {
            Structure::Attribute(attribute) => match attribute.key.as_str() {
                "description" | "sensitive" => {}
                "type" => {
                    kind = Type::read(&attribute.value).ok_or_else(|| {
                        let at = scope.source.range(attribute.value.span());
                        let detail = "A type specification is either a primitive type keyword \
                                      (bool, number, string), complex type constructor call, or \
                                      Tuple.";
                        vec![Diagnostic::new(at, "Invalid type specification", detail)]
                    })?;
                }
                "default" => default = Some(attribute),
                _ => return Err(vec![scope.source.unexpected_argument(attribute)]),
            },
            Structure::Block(inner) if inner.ident.as_str() == "validation" => {}
            Structure::Block(inner) => return Err(vec![scope.source.unexpected_block(inner)]),
        }
    }
    let (value, at, of) = match (given, default) {
        (Some((value, at)), _) => (value.clone(), at.clone(), "value for variable"),
        (None, Some(default)) => {
            let at = scope.source.range(default.value.span());
            (scope.evaluate(&default.value)?, at, "default value for variable")
        }
        (None, None) => {
            return Err(vec![Diagnostic::nowhere(
                format!("Unset variable {name:?}"),
                "A used variable must be set or have a default value; see \
                 https://developer.hashicorp.com/nomad/docs/reference/hcl2/variables  for details.",
            )]);
        }
    };
    kind.take(value).map_err(|why| {
        let detail = match of {
            "value for variable" => format!(
                "The value for {name} is not compatible with the variable's type constraint: {why}."
            ),
            _ => format!(
                "This default value is not compatible with the variable's type constraint: {why}."
            ),
        };
        vec![Diagnostic::new(at, format!("Invalid {of}"), detail)]
    })
}

/// Locals may use each other, in any order.
fn locals(scope: &mut Scope<'_>, body: &Body) -> Result<(), Vec<Diagnostic>> {
    let blocks = body.get_blocks("locals").flat_map(|block| block.body.attributes());
    let mut open: Vec<_> = blocks.collect();
    let mut known = Map::new();
    scope.declare("local", Value::Object(known.clone()));
    while !open.is_empty() {
        let before = open.len();
        let mut failed = None;
        open.retain(|attribute| match scope.evaluate(&attribute.value) {
            Ok(value) => {
                known.insert(attribute.key.as_str().to_owned(), value);
                false
            }
            Err(why) => {
                failed.get_or_insert(why);
                true
            }
        });
        scope.declare("local", Value::Object(known.clone()));
        if let Some(why) = failed.filter(|_| open.len() == before) {
            return Err(why);
        }
    }
    Ok(())
}
