//! `${…}` in a task's `config`: there the text is a template of HCL, with attributes of nested
//! objects, indexes and functions, and an unknown name is an error.
//!
//! Only what jobspecs use is understood: names, indexes, texts, numbers and some functions. The
//! words of the errors are HCL's. Read next: `config.rs`.

use super::environment::Environment;

/// # Errors
/// `Summary: detail`.
pub(super) fn evaluate(text: &str, environment: &Environment) -> Result<String, String> {
    let mut made = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['$', '%']) {
        made.push_str(&rest[..at]);
        let tail = &rest[at..];
        let sign = &tail[..1];
        if tail[1..].starts_with(sign) && tail[2..].starts_with('{') {
            made.push_str(sign);
            made.push('{');
            rest = &tail[3..];
        } else if let Some(inner) = tail.strip_prefix("${") {
            let mut parser = Parser { rest: inner, environment };
            made.push_str(&parser.interpolation()?);
            rest = parser.rest;
        } else if tail.starts_with("%{") {
            return Err("Invalid template directive: The stand-in knows no directives.".to_owned());
        } else {
            made.push_str(sign);
            rest = &tail[1..];
        }
    }
    made.push_str(rest);
    Ok(made)
}

/// What an expression is worth. Objects are known by how their names begin.
enum Value {
    Text(String),
    /// Everything whose name begins so.
    Below(String),
    /// `env`.
    Environment,
}

struct Parser<'a> {
    rest: &'a str,
    environment: &'a Environment,
}

impl Parser<'_> {
    fn interpolation(&mut self) -> Result<String, String> {
        if !self.rest.contains('}') {
            return Err(UNCLOSED.to_owned());
        }
        let value = self.expression()?;
        self.skip_spaces();
        if !self.take("}") {
            return Err(
                "Extra characters after interpolation expression: Expected a closing brace \
                        to end the interpolation expression, but found extra characters."
                    .to_owned(),
            );
        }
        match value {
            Value::Text(text) => Ok(text),
            Value::Below(_) | Value::Environment => {
                Err("Invalid template interpolation value: Cannot include the given value in a \
                     string template: string required."
                    .to_owned())
            }
        }
    }

    fn expression(&mut self) -> Result<Value, String> {
        self.skip_spaces();
        if self.rest.starts_with('"') {
            return Ok(Value::Text(self.quoted()?));
        }
        if self.rest.starts_with(|c: char| c.is_ascii_digit()) {
            return Ok(Value::Text(self.word()));
        }
        let name = self.word();
        if name.is_empty() {
            return Err("Invalid expression: Expected the start of an expression, but found an \
                        invalid expression token."
                .to_owned());
        }
        if self.take("(") {
            return self.call(&name);
        }
        let mut value = self.named(&name)?;
        loop {
            if self.take(".") {
                let name = self.word();
                value = self.below(&value, &name)?;
            } else if self.take("[") {
                let Value::Text(key) = self.expression()? else { return Err(NO_KEY.to_owned()) };
                self.skip_spaces();
                if !self.take("]") {
                    return Err(NO_KEY.to_owned());
                }
                value = self.below(&value, &key)?;
            } else {
                return Ok(value);
            }
        }
    }

    fn named(&self, name: &str) -> Result<Value, String> {
        if let Some(value) = self.environment.variables.get(name) {
            return Ok(Value::Text(value.clone()));
        }
        if name == "env" {
            return Ok(Value::Environment);
        }
        if ["attr", "meta", "node"].contains(&name) {
            return Ok(Value::Below(format!("{name}.")));
        }
        Err(format!("Unknown variable: There is no variable named {name:?}."))
    }

    fn below(&self, value: &Value, name: &str) -> Result<Value, String> {
        match value {
            Value::Text(_) => Err(format!(
                "Unsupported attribute: This value does not have any attributes. {name:?}"
            )),
            Value::Environment => match self.environment.variables.get(name) {
                Some(value) => Ok(Value::Text(value.clone())),
                None => Err("Invalid index: The given key does not identify an element in this \
                             collection value."
                    .to_owned()),
            },
            Value::Below(prefix) => {
                let name_of_it = format!("{prefix}{name}");
                if let Some(value) = self.environment.node.get(&name_of_it) {
                    return Ok(Value::Text(value.clone()));
                }
                let deeper = format!("{name_of_it}.");
                if self.environment.node.keys().any(|known| known.starts_with(&deeper)) {
                    return Ok(Value::Below(deeper));
                }
                Err(format!(
                    "Unsupported attribute: This object does not have an attribute named {name:?}."
                ))
            }
        }
    }

    fn call(&mut self, function: &str) -> Result<Value, String> {
        let mut arguments = Vec::new();
        self.skip_spaces();
        while !self.take(")") {
            match self.expression()? {
                Value::Text(text) => arguments.push(text),
                Value::Below(_) | Value::Environment => {
                    return Err("Invalid function argument: string required.".to_owned());
                }
            }
            self.skip_spaces();
            self.take(",");
            self.skip_spaces();
            if self.rest.is_empty() {
                return Err(UNCLOSED.to_owned());
            }
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Ok(Value::Text(match (function, arguments.as_slice()) {
            ("upper", [text]) => text.to_uppercase(),
            ("lower", [text]) => text.to_lowercase(),
            ("trimspace", [text]) => text.trim().to_owned(),
            ("trimprefix", [text, start]) => text.strip_prefix(start).unwrap_or(text).to_string(),
            ("trimsuffix", [text, end]) => text.strip_suffix(end).unwrap_or(text).to_string(),
            ("replace", [text, from, to]) => text.replace(from, to),
            ("join", [between, parts @ ..]) => parts.join(between),
            _ => {
                return Err(format!(
                    "Call to unknown function: There is no function named {function:?}."
                ));
            }
        }))
    }

    fn quoted(&mut self) -> Result<String, String> {
        let mut text = String::new();
        let mut letters = self.rest.char_indices().skip(1);
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(text);
                }
                '\\' => match letters.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, other)) => text.push(other),
                    None => break,
                },
                other => text.push(other),
            }
        }
        Err(UNCLOSED.to_owned())
    }

    fn word(&mut self) -> String {
        let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        let length = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(length);
        self.rest = rest;
        word.to_owned()
    }

    fn take(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start();
    }
}

const UNCLOSED: &str = "Unclosed template interpolation sequence: There is no closing brace for \
                        this interpolation sequence before the end of the file. This might be \
                        caused by incorrect nesting inside the given expression.";
const NO_KEY: &str = "Invalid index: This index is not a text.";

/// What `${env[…]}` and the others stand for, for a test and nobody else.
#[cfg(test)]
fn environment(pairs: &[(&str, &str)]) -> Environment {
    use std::collections::BTreeMap;
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let (node, variables) = pairs.iter().map(own).partition::<BTreeMap<_, _>, _>(|(name, _)| {
        name.starts_with("attr.") || name.starts_with("node.")
    });
    Environment { variables, node }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_indexes_and_functions_are_understood() {
        let environment = environment(&[("A", "x"), ("attr.kernel.name", "linux")]);
        let all = [
            ("v=${A} $HOME $${A} %%{x", "v=x $HOME ${A} %{x"),
            ("${attr.kernel.name}", "linux"),
            ("${env[\"A\"]}${ upper(\"y\") }", "xY"),
            ("{{ env \"A\" }}", "{{ env \"A\" }}"),
            ("100%", "100%"),
        ];
        for (text, value) in all {
            assert_eq!(evaluate(text, &environment).as_deref(), Ok(value), "{text}");
        }
        let wrong = [
            ("${nowhere.x}", "Unknown variable"),
            ("${attr.nowhere}", "Unsupported attribute"),
            ("${A", "Unclosed template interpolation"),
            ("${env[\"B\"]}", "Invalid index"),
            ("${nope(A)}", "Call to unknown function"),
        ];
        for (text, why) in wrong {
            let found = evaluate(text, &environment).unwrap_err();
            assert!(found.starts_with(why), "{text}: {found}");
        }
    }
}
