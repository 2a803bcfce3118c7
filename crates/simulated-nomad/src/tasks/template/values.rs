//! What an expression in a template is worth, and how Go prints it.

use std::collections::BTreeMap;

use serde_json::json;

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Value {
    #[default]
    Nil,
    /// A field that is not there.
    Nothing,
    Bool(bool),
    Number(i64),
    Text(String),
    List(Vec<Value>),
    Map(BTreeMap<String, Value>),
}

impl From<&serde_json::Value> for Value {
    fn from(json: &serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match json {
            Json::Null => Self::Nil,
            Json::Bool(is) => Self::Bool(*is),
            Json::Number(number) => match number.as_i64() {
                Some(number) => Self::Number(number),
                None => Self::Text(number.to_string()),
            },
            Json::String(text) => Self::Text(text.clone()),
            Json::Array(all) => Self::List(all.iter().map(Self::from).collect()),
            Json::Object(all) => {
                Self::Map(all.iter().map(|(key, one)| (key.clone(), Self::from(one))).collect())
            }
        }
    }
}

impl Value {
    pub fn text(&self) -> String {
        match self {
            Self::Nil | Self::Nothing => "<no value>".to_owned(),
            Self::Bool(is) => is.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
            Self::List(all) => {
                let all: Vec<String> = all.iter().map(Self::text).collect();
                format!("[{}]", all.join(" "))
            }
            Self::Map(all) => {
                let all: Vec<String> =
                    all.iter().map(|(key, value)| format!("{key}:{}", value.text())).collect();
                format!("map[{}]", all.join(" "))
            }
        }
    }

    pub fn is_true(&self) -> bool {
        match self {
            Self::Nil | Self::Nothing => false,
            Self::Bool(is) => *is,
            Self::Number(number) => *number != 0,
            Self::Text(text) => !text.is_empty(),
            Self::List(all) => !all.is_empty(),
            Self::Map(all) => !all.is_empty(),
        }
    }

    pub fn field(&self, name: &str) -> Self {
        match self {
            Self::Map(all) => all.get(name).cloned().unwrap_or(Self::Nothing),
            _ => Self::Nothing,
        }
    }

    pub fn json(&self) -> serde_json::Value {
        match self {
            Self::Nil | Self::Nothing => json!(null),
            Self::Bool(is) => json!(is),
            Self::Number(number) => json!(number),
            Self::Text(text) => json!(text),
            Self::List(all) => all.iter().map(Self::json).collect(),
            Self::Map(all) => all.iter().map(|(key, value)| (key.clone(), value.json())).collect(),
        }
    }
}
