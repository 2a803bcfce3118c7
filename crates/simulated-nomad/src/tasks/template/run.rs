//! From a template's tree to its text.
//!
//! Read next: `functions.rs`.

use std::collections::BTreeMap;

use super::functions;
use super::parse::{Command, Node, Operand, Pipeline};
use super::values::Value;
use super::{Known, Rendered};

/// # Errors
/// As Go words them, from `template: ` on.
pub(super) fn run(nodes: &[Node], known: &Known<'_>) -> Result<Rendered, String> {
    let mut run = Run { known, rendered: Rendered::default(), variables: BTreeMap::new() };
    run.nodes(nodes, &Value::Nil)?;
    Ok(run.rendered)
}

pub(super) struct Run<'a> {
    pub known: &'a Known<'a>,
    pub rendered: Rendered,
    variables: BTreeMap<String, Value>,
}

impl Run<'_> {
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<(), String> {
        nodes.iter().try_for_each(|node| self.node(node, dot))
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<(), String> {
        match node {
            Node::Text(text) => self.rendered.text.push_str(text),
            Node::Action(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                if pipeline.sets.is_empty() {
                    self.rendered.text.push_str(&value.text());
                }
            }
            Node::If(condition, body, otherwise) => {
                let is_true = self.pipeline(condition, dot)?.is_true();
                self.nodes(if is_true { body } else { otherwise }, dot)?;
            }
            Node::With(pipeline, body, otherwise) => {
                let value = self.pipeline(pipeline, dot)?;
                if value.is_true() {
                    self.nodes(body, &value)?;
                } else {
                    self.nodes(otherwise, dot)?;
                }
            }
            Node::Range(pipeline, body, otherwise) => {
                let value = self.pipeline(pipeline, dot)?;
                let all: Vec<(Value, Value)> = match value {
                    Value::List(all) => {
                        let number =
                            |at: usize| Value::Number(i64::try_from(at).unwrap_or(i64::MAX));
                        all.into_iter().enumerate().map(|(at, it)| (number(at), it)).collect()
                    }
                    Value::Map(all) => {
                        all.into_iter().map(|(key, it)| (Value::Text(key), it)).collect()
                    }
                    _ => Vec::new(),
                };
                if all.is_empty() {
                    self.nodes(otherwise, dot)?;
                }
                for (key, value) in all {
                    match pipeline.sets.as_slice() {
                        [one] => self.set(one, value.clone()),
                        [first, second] => {
                            self.set(first, key);
                            self.set(second, value.clone());
                        }
                        _ => {}
                    }
                    self.nodes(body, &value)?;
                }
            }
        }
        Ok(())
    }

    fn set(&mut self, name: &str, value: Value) {
        self.variables.insert(name.to_owned(), value);
    }

    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, String> {
        let mut value = None;
        for command in &pipeline.commands {
            value = Some(self.command(command, value, dot)?);
        }
        let value = value.unwrap_or_default();
        if let [name] = pipeline.sets.as_slice() {
            self.set(name, value.clone());
        }
        Ok(value)
    }

    fn command(
        &mut self,
        command: &Command,
        piped: Option<Value>,
        dot: &Value,
    ) -> Result<Value, String> {
        let (first, others) = match command.operands.split_first() {
            Some(split) => split,
            None => return Ok(Value::Nil),
        };
        let Operand::Function(name) = first else { return self.operand(first, dot) };
        let mut arguments = Vec::new();
        for operand in others {
            arguments.push(self.operand(operand, dot)?);
        }
        arguments.extend(piped);
        functions::call(self, name, arguments).map_err(|why| {
            let ((line, column), shown) = (command.at, &command.shown);
            format!(
                "template: :{line}:{column}: executing \"\" at <{shown}>: error calling {name}: \
                 {why}"
            )
        })
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Result<Value, String> {
        let below = |value: Value, fields: &[String]| {
            fields.iter().fold(value, |value, field| value.field(field))
        };
        Ok(match operand {
            Operand::Value(value) => value.clone(),
            Operand::Dot(fields) => below(dot.clone(), fields),
            Operand::Variable(name, fields) => {
                below(self.variables.get(name).cloned().unwrap_or_default(), fields)
            }
            Operand::Inner(pipeline, fields) => below(self.pipeline(pipeline, dot)?, fields),
            Operand::Function(name) => functions::call(self, name, Vec::new())?,
        })
    }
}
