//! Types of variables: which values fit, and what they become.

use hcl::Value;
use hcl::edit::expr::Expression;

/// `type = …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    Any,
    Text,
    Number,
    Truth,
    List(Box<Type>),
    Map(Box<Type>),
    /// Taken as it is: objects and tuples.
    Structure,
}

impl Type {
    /// None: there is no such type.
    pub fn read(expression: &Expression) -> Option<Self> {
        if let Some(name) = expression.as_variable() {
            return match name.as_str() {
                "any" => Some(Self::Any),
                "string" => Some(Self::Text),
                "number" => Some(Self::Number),
                "bool" => Some(Self::Truth),
                "list" | "set" => Some(Self::List(Box::new(Self::Any))),
                "map" => Some(Self::Map(Box::new(Self::Any))),
                _ => None,
            };
        }
        let call = expression.as_func_call()?;
        let inner = || Self::read(call.args.iter().next()?).map(Box::new);
        match call.name.name.as_str() {
            "list" | "set" => inner().map(Self::List),
            "map" => inner().map(Self::Map),
            "object" | "tuple" => Some(Self::Structure),
            _ => None,
        }
    }

    /// # Errors
    /// What is needed instead.
    pub fn take(&self, value: Value) -> Result<Value, String> {
        match (self, value) {
            (_, Value::Null) => Ok(Value::Null),
            (Self::Any | Self::Structure, value) => Ok(value),
            (Self::Text, value) => {
                super::values::text(&value).map(Value::String).ok_or("string required".into())
            }
            (Self::Number, Value::Number(number)) => Ok(Value::Number(number)),
            (Self::Number, Value::String(text)) => {
                let number = text.parse::<i64>().map(Value::from);
                let number = number.or_else(|_| text.parse::<f64>().map(Value::from));
                number.map_err(|_| "a number is required".into())
            }
            (Self::Number, _) => Err("number required".into()),
            (Self::Truth, Value::Bool(it)) => Ok(Value::Bool(it)),
            (Self::Truth, Value::String(text)) => match text.as_str() {
                "true" | "1" => Ok(Value::Bool(true)),
                "false" | "0" => Ok(Value::Bool(false)),
                _ => Err("a bool is required".into()),
            },
            (Self::Truth, _) => Err("bool required".into()),
            (Self::List(inner), Value::Array(all)) => {
                let all = all.into_iter().map(|one| inner.take(one));
                all.collect::<Result<Vec<_>, _>>().map(Value::Array)
            }
            (Self::List(_), _) => Err("list of any single type required".into()),
            (Self::Map(inner), Value::Object(all)) => {
                let all = all.into_iter().map(|(key, one)| Ok((key, inner.take(one)?)));
                all.collect::<Result<_, String>>().map(Value::Object)
            }
            (Self::Map(_), _) => Err("map of any single type required".into()),
        }
    }
}
