//! What an expression comes to, in a scope of names.
//!
//! A name that nobody knows here (`NOMAD_…`, `attr.…`, `node.…`, `meta.…`, `env.…`) is known to the
//! client only, and stays in the text as `${…}`. Read next: `functions.rs`.

use std::collections::BTreeMap;

use hcl::edit::Span as _;
use hcl::edit::expr::{Expression, ForExpr, FuncCall};
use hcl::edit::visit_mut::{VisitMut, visit_expr_mut, visit_for_expr_mut};
use hcl::eval::{Context, ErrorKind, Evaluate as _};
use hcl::{Identifier, Value};

use super::diagnostics::{Diagnostic, Source};
use super::{arithmetic, functions};

/// Names and their values: `var`, `local`, and the iterators of dynamic blocks.
#[derive(Clone)]
pub struct Scope<'a> {
    pub source: &'a Source<'a>,
    names: BTreeMap<String, Value>,
}

impl<'a> Scope<'a> {
    pub fn new(source: &'a Source<'a>) -> Self {
        Self { source, names: BTreeMap::new() }
    }

    pub fn declare(&mut self, name: &str, value: Value) {
        self.names.insert(name.to_owned(), value);
    }

    /// # Errors
    /// Where the expression does not come to a value.
    pub fn evaluate(&self, expression: &Expression) -> Result<Value, Vec<Diagnostic>> {
        let mut own = expression.clone();
        let mut foreign = Foreign { scope: self, bound: Vec::new(), found: Vec::new() };
        foreign.visit_expr_mut(&mut own);
        let mut context = Context::new();
        for (name, value) in &self.names {
            context.declare_var(Identifier::sanitized(name), value.clone());
        }
        for (number, text) in foreign.found.iter().enumerate() {
            context.declare_var(Identifier::sanitized(stand_in(number)), text.as_str());
        }
        functions::declare(&mut context);
        arithmetic::declare(&mut context);
        let evaluated = hcl::Expression::from(own).evaluate(&context);
        evaluated.map_err(|error| self.why(error.kind(), expression))
    }

    fn why(&self, kind: &ErrorKind, expression: &Expression) -> Vec<Diagnostic> {
        let at = self.source.range(expression.span());
        match kind {
            ErrorKind::FuncCall(name, why) if arithmetic::is_operation(&name.to_string()) => {
                let detail = format!("Error during operation: {why}.");
                vec![Diagnostic::new(at, "Operation failed", detail)]
            }
            ErrorKind::FuncCall(name, why) => {
                let name = name.to_string();
                let mut calls = Calls { name: &name, found: None };
                calls.visit_expr_mut(&mut expression.clone());
                // With the parenthesis that begins its arguments.
                let span = calls.found.map(|span| span.start..span.end + 1);
                let call = self.source.range(span.clone().or(expression.span()));
                let begins = expression.span().zip(span).map_or(at, |(whole, call)| {
                    let end = if whole.start == call.start { call.end } else { whole.end };
                    self.source.range(Some(whole.start..end))
                });
                let detail = format!("Call to function {name:?} failed: {why}.");
                vec![
                    Diagnostic::new(call, "Error in function call", detail),
                    Diagnostic::new(
                        begins,
                        "Unsuitable value type",
                        "Unsuitable value: value must be known",
                    ),
                ]
            }
            ErrorKind::UndefinedFunc(name) => {
                let detail = format!("There is no function named \"{name}\".");
                vec![Diagnostic::new(at, "Call to unknown function", detail)]
            }
            ErrorKind::NoSuchKey(key) => {
                let detail = format!("This object does not have an attribute named {key:?}.");
                vec![Diagnostic::new(at, "Unsupported attribute", detail)]
            }
            other => {
                vec![Diagnostic::new(at, "Invalid expression", format!("{other}."))]
            }
        }
    }
}

/// What takes the place of a name that the client knows.
fn stand_in(number: usize) -> String {
    format!("known_to_the_client_{number}")
}

/// Puts a name of our own in the place of each that nobody here knows, and a function of ours in that of
/// each operation on numbers.
struct Foreign<'a> {
    scope: &'a Scope<'a>,
    /// Names of `for` expressions around.
    bound: Vec<String>,
    found: Vec<String>,
}

impl VisitMut for Foreign<'_> {
    fn visit_expr_mut(&mut self, node: &mut Expression) {
        let root = match node {
            Expression::Variable(name) => Some(name.as_str().to_owned()),
            Expression::Traversal(traversal) => {
                traversal.expr.as_variable().map(|name| name.as_str().to_owned())
            }
            _ => None,
        };
        let known = |name: &String| {
            self.bound.contains(name) || self.scope.names.contains_key(name.as_str())
        };
        let Some(_) = root.filter(|name| !known(name)) else {
            visit_expr_mut(self, node);
            if let Some(call) = arithmetic::called(node) {
                *node = call;
            }
            return;
        };
        let text = node.span().and_then(|span| self.scope.source.text.get(span));
        let text = format!("${{{}}}", text.unwrap_or_default().trim());
        let name = stand_in(self.found.len());
        self.found.push(text);
        *node = Expression::from(hcl::edit::Ident::new(name));
    }

    fn visit_for_expr_mut(&mut self, node: &mut ForExpr) {
        let outside = self.bound.len();
        self.bound.push(node.intro.value_var.as_str().to_owned());
        self.bound.extend(node.intro.key_var.iter().map(|name| name.as_str().to_owned()));
        visit_for_expr_mut(self, node);
        self.bound.truncate(outside);
    }
}

/// Where a function of that name is called.
struct Calls<'a> {
    name: &'a str,
    found: Option<std::ops::Range<usize>>,
}

impl VisitMut for Calls<'_> {
    fn visit_func_call_mut(&mut self, node: &mut FuncCall) {
        if node.name.name.as_str() == self.name && self.found.is_none() {
            self.found = node.name.name.span();
        }
        hcl::edit::visit_mut::visit_func_call_mut(self, node);
    }
}

/// A value as JSON has it.
pub fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(it) => (*it).into(),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole.into(),
            (None, Some(float)) if float.fract() == 0.0 && float.abs() < 9e15 => {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "it is whole, and small enough"
                )]
                let whole = float as i64;
                whole.into()
            }
            (None, float) => float.into(),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(all) => all.iter().map(json).collect(),
        Value::Object(all) => all.iter().map(|(key, value)| (key.clone(), json(value))).collect(),
    }
}

/// A value where a text belongs: numbers and truths are written out.
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(it) => Some(it.to_string()),
        Value::Number(_) => Some(json(value).to_string()),
        _ => None,
    }
}
