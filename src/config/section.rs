//! One section of the merged tree: finds the value of a key (from the file, a variable or the default),
//! rejects unknown keys, and records every error instead of stopping at the first.
//!
//! `values.rs` reads typed values from it; the files of the sections give them their meaning.

use std::cell::RefCell;

use ::config::{Map, Value, ValueKind};

use super::error::ConfigError;
use super::keys::{self, Key};
use super::not_yet;
use super::position::Positions;
use super::suggest::nearest;
use super::{Environment, Origin, SecretPlace, Wish};

/// What all sections of one load share.
pub(super) struct Context<'a> {
    /// The file, as errors name it.
    pub(super) file: &'a str,
    pub(super) env: &'a Environment,
    pub(super) positions: Positions,
    pub(super) errors: RefCell<Vec<ConfigError>>,
    pub(super) warnings: RefCell<Vec<ConfigError>>,
    pub(super) secrets: RefCell<Vec<SecretPlace>>,
    /// Secrets that are in Vault.
    pub(super) wishes: RefCell<Vec<Wish>>,
    /// Keys that are set by a variable, and its name.
    pub(super) variables: RefCell<Vec<(String, String)>>,
}

impl<'a> Context<'a> {
    /// For a file with these keys, and the errors that are known so far.
    pub(super) fn new(
        file: &'a str,
        positions: Positions,
        env: &'a Environment,
        errors: Vec<ConfigError>,
    ) -> Self {
        Self {
            file,
            env,
            positions,
            errors: RefCell::new(errors),
            warnings: RefCell::default(),
            secrets: RefCell::default(),
            wishes: RefCell::default(),
            variables: RefCell::default(),
        }
    }
}

/// One table of the tree; an absent one is like an empty one.
pub(super) struct Section<'a> {
    pub(super) context: &'a Context<'a>,
    table: Option<&'a Map<String, Value>>,
    /// Path in `keys.rs`: `pools`.
    schema: String,
    /// Path in `position.rs`: `pools.0`.
    path: String,
    /// Path in messages: `pools[x64]`.
    shown: String,
}

fn join(around: &str, key: &str) -> String {
    match around {
        "" => key.to_owned(),
        _ => format!("{around}.{key}"),
    }
}

/// The kind of a value, for messages.
fn kind(value: &Value) -> &'static str {
    match value.kind {
        ValueKind::Nil => "nothing",
        ValueKind::Boolean(_) => "true or false",
        ValueKind::Float(_) => "a decimal number",
        ValueKind::String(_) => "a string",
        ValueKind::Table(_) => "a table",
        ValueKind::Array(_) => "a list",
        _ => "a number",
    }
}

impl<'a> Section<'a> {
    /// The whole tree.
    pub(super) fn root(context: &'a Context<'a>, tree: &'a Value) -> Self {
        let table = match &tree.kind {
            ValueKind::Table(table) => Some(table),
            _ => None,
        };
        let root = Self {
            context,
            table,
            schema: String::new(),
            path: String::new(),
            shown: String::new(),
        };
        root.refuse_strangers();
        root
    }

    /// The section `[name]` in this one.
    pub(super) fn section(&self, name: &str) -> Section<'a> {
        let table = match self.given(name).map(|value| (value, &value.kind)) {
            None => None,
            Some((_, ValueKind::Table(table))) => Some(table),
            Some((value, _)) => {
                self.report(
                    name,
                    format!("must be a section, not {}", kind(value)),
                    format!(
                        "write [{}] on its own line, with its keys below",
                        join(&self.schema, name)
                    ),
                );
                None
            }
        };
        let section = Section {
            context: self.context,
            table,
            schema: join(&self.schema, name),
            path: join(&self.path, name),
            shown: join(&self.shown, name),
        };
        section.refuse_strangers();
        section
    }

    /// The sections `[[name]]` in this one, each called by its `title` key where it has one.
    pub(super) fn sections(&self, name: &str, title: &str) -> Vec<Section<'a>> {
        let Some(value) = self.given(name) else {
            return Vec::new();
        };
        let schema = join(&self.schema, name);
        let fix = format!("write [[{schema}]] on its own line, with its keys below");
        let ValueKind::Array(items) = &value.kind else {
            self.report(name, format!("must be sections, not {}", kind(value)), fix);
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let ValueKind::Table(table) = &item.kind else {
                self.report(
                    name,
                    format!("must be sections, not a list of {}", kind(item)),
                    fix.clone(),
                );
                continue;
            };
            let called = match table.get(title).map(|value| &value.kind) {
                Some(ValueKind::String(title)) if !title.is_empty() => title.clone(),
                _ => format!("#{}", index + 1),
            };
            let section = Section {
                context: self.context,
                table: Some(table),
                schema: schema.clone(),
                path: format!("{}.{index}", join(&self.path, name)),
                shown: format!("{}[{called}]", join(&self.shown, name)),
            };
            section.refuse_strangers();
            sections.push(section);
        }
        sections
    }

    /// Reports every key of this section that is unknown or not yet supported.
    fn refuse_strangers(&self) {
        let words = keys::words_in(&self.schema);
        let mut here: Vec<&String> = self.table.iter().flat_map(|table| table.keys()).collect();
        // The tree has no order, and errors should come in a stable one.
        here.sort_unstable();
        for key in here {
            if not_yet::is_not_yet(&join(&self.schema, key)) {
                self.report(
                    key,
                    "not yet supported in this version",
                    "remove it or comment it out",
                );
            } else if !words.contains(&key.as_str()) {
                let built = words
                    .iter()
                    .copied()
                    .filter(|word| !not_yet::is_not_yet(&join(&self.schema, word)));
                let fix = match nearest(key, built.clone()) {
                    Some(near) => format!("did you mean {near:?}?"),
                    None => format!("known keys: {}", built.collect::<Vec<_>>().join(", ")),
                };
                self.report(key, "unknown key", fix);
            }
        }
    }

    /// Records an error at a key of this section.
    pub(super) fn report(&self, key: &str, what: impl Into<String>, fix: impl Into<String>) {
        let mistake = self.remark(key, what.into(), fix.into());
        self.context.errors.borrow_mut().push(mistake);
    }

    /// Records a warning: something works, but is probably not meant.
    pub(super) fn warn(&self, key: &str, what: impl Into<String>, fix: impl Into<String>) {
        let warning = self.remark(key, what.into(), fix.into());
        self.context.warnings.borrow_mut().push(warning);
    }

    fn remark(&self, key: &str, what: String, fix: String) -> ConfigError {
        let found = self.found(key);
        let variable = found.as_ref().and_then(Value::origin);
        let path = join(&self.path, key);
        ConfigError {
            origin: variable.unwrap_or(self.context.file).to_owned(),
            key: join(&self.shown, key),
            what,
            fix,
            order: match variable {
                Some(_) => usize::MAX,
                None => self.context.positions.line(&path),
            },
        }
    }

    /// Records where a secret of this section comes from.
    pub(super) fn note_secret(&self, key: &str, from: Origin) {
        let place = SecretPlace { key: join(&self.shown, key), from };
        self.context.secrets.borrow_mut().push(place);
    }

    /// Records a value of this section that is set by a variable and is no secret.
    fn note_variable(&self, key: &str, value: &Value) {
        let Some(variable) = value.origin() else { return };
        let named = (join(&self.shown, key), variable.to_owned());
        let mut variables = self.context.variables.borrow_mut();
        if !variables.contains(&named) {
            variables.push(named);
        }
    }

    /// A key of this section as `keys.rs` declares it.
    pub(super) fn declared(&self, key: &str) -> String {
        join(&self.schema, key)
    }

    fn key(&self, key: &str) -> Option<&'static Key> {
        let key = keys::find(&join(&self.schema, key));
        debug_assert!(key.is_some(), "a key that is read is declared in keys.rs");
        key
    }

    /// The value from the file or a `ROUSTABOUT__` variable.
    pub(super) fn given(&self, key: &str) -> Option<&'a Value> {
        self.table?.get(key)
    }

    /// Whether a key is set, from wherever.
    pub(super) fn says(&self, key: &str) -> bool {
        self.found(key).is_some()
    }

    /// The value that is set, if need be by another program's variable.
    fn found(&self, key: &str) -> Option<Value> {
        self.given(key).cloned().or_else(|| self.filled(key))
    }

    /// The value of another program's variable.
    pub(super) fn filled(&self, key: &str) -> Option<Value> {
        let key = keys::find(&join(&self.schema, key))?;
        let (name, value) =
            key.filled_by.iter().find_map(|name| Some((*name, self.context.env.get(name)?)))?;
        Some(Value::new(Some(&name.to_owned()), ValueKind::from(value)))
    }

    /// The variable that a value comes from, if it does not come from the file.
    pub(super) fn variable(&self, key: &str) -> Option<String> {
        self.found(key)?.origin().map(ToOwned::to_owned)
    }

    /// The value that is set, else the default.
    pub(super) fn value(&self, key: &str) -> Option<Value> {
        let found = self.found(key);
        if let Some(value) = &found {
            self.note_variable(key, value);
        }
        found.or_else(|| Some(self.key(key)?.default?.value()))
    }

    /// A fix that shows an example value.
    pub(super) fn example(&self, key: &str) -> String {
        let example = self.key(key).map(Key::example).unwrap_or_default();
        format!("write, for example, {key} = {example}")
    }

    pub(super) fn wrong_type(&self, key: &str, wanted: &str, value: &Value) {
        self.report(key, format!("must be {wanted}, not {}", kind(value)), self.example(key));
    }

    /// Records an invalid value, with the key's example as the fix.
    pub(super) fn refuse(&self, key: &str, what: impl Into<String>) {
        self.report(key, what, self.example(key));
    }

    /// Reads a value that must be set.
    pub(super) fn required<T>(
        &self,
        key: &str,
        read: impl FnOnce(&Self, &str) -> Option<T>,
    ) -> Option<T> {
        if self.value(key).is_none() {
            self.refuse(key, "missing");
            return None;
        }
        read(self, key)
    }
}
