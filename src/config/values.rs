//! Reads typed values from a [`Section`]. Types of the file are not converted: a number is never a
//! string. Only values of variables, which are always strings, are parsed to the wanted type.
//!
//! A method returns `None` if the value is invalid (which is recorded as an error) or, for a key without
//! a default, absent.

use std::path::PathBuf;
use std::time::Duration;

use ::config::ValueKind;

use super::not_yet;
use super::section::Section;
use crate::quantity;

impl Section<'_> {
    /// A string that is not empty.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        let value = self.value(key)?;
        match value.kind {
            ValueKind::String(text) if text.is_empty() => {
                self.refuse(key, "is empty");
                None
            }
            ValueKind::String(text) => Some(text),
            _ => {
                self.wrong_type(key, "a string in quotes", &value);
                None
            }
        }
    }

    pub(super) fn path(&self, key: &str) -> Option<PathBuf> {
        self.text(key).map(PathBuf::from)
    }

    /// A string that `parse` accepts; its error says what is wrong.
    pub(super) fn parsed<T>(
        &self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        parse(&self.text(key)?).map_err(|what| self.refuse(key, what)).ok()
    }

    /// A duration that may be zero.
    pub(super) fn duration(&self, key: &str) -> Option<Duration> {
        if let Some(ValueKind::I64(number)) = self.given(key).map(|value| &value.kind) {
            self.report(
                key,
                format!("{number} has no unit"),
                format!("write {key} = \"{number}s\" for seconds (units: s, m, h, d)"),
            );
            return None;
        }
        self.parsed(key, quantity::duration)
    }

    /// A duration above zero.
    pub(super) fn interval(&self, key: &str) -> Option<Duration> {
        let duration = self.duration(key)?;
        if duration.is_zero() {
            self.refuse(key, "must be greater than zero");
            return None;
        }
        Some(duration)
    }

    /// A whole number from `least` up.
    pub(super) fn number(&self, key: &str, least: u32) -> Option<u32> {
        let value = self.value(key)?;
        let number = match &value.kind {
            ValueKind::I64(number) => u32::try_from(*number).ok(),
            ValueKind::U64(number) => u32::try_from(*number).ok(),
            ValueKind::String(text) if value.origin().is_some() => text.trim().parse().ok(),
            _ => {
                self.wrong_type(key, "a whole number", &value);
                return None;
            }
        };
        let number = number.filter(|number| *number >= least);
        if number.is_none() {
            self.refuse(key, format!("must be a whole number, at least {least}"));
        }
        number
    }

    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        let value = self.value(key)?;
        let flag = match &value.kind {
            ValueKind::Boolean(flag) => Some(*flag),
            // What Nomad's own tools accept.
            ValueKind::String(text) if value.origin().is_some() => match text.as_str() {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
                "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
                _ => None,
            },
            _ => None,
        };
        let Some(flag) = flag else {
            self.wrong_type(key, "true or false", &value);
            return None;
        };
        self.built(key, &flag.to_string()).then_some(flag)
    }

    /// A list of strings, none of them empty; in a variable separated by commas.
    pub(super) fn list(&self, key: &str) -> Option<Vec<String>> {
        let value = self.value(key)?;
        let items = match &value.kind {
            ValueKind::Array(items) => items
                .iter()
                .map(|item| match &item.kind {
                    ValueKind::String(text) => Some(text.clone()),
                    _ => None,
                })
                .collect(),
            ValueKind::String(text) if value.origin().is_some() => {
                Some(text.split(',').map(|item| item.trim().to_owned()).collect::<Vec<_>>())
            }
            _ => None,
        };
        let Some(items) = items else {
            self.wrong_type(key, "a list of strings", &value);
            return None;
        };
        if items.iter().any(String::is_empty) {
            self.refuse(key, "contains an empty string");
            return None;
        }
        Some(items)
    }

    /// A list that is not empty.
    pub(super) fn filled_list(&self, key: &str) -> Option<Vec<String>> {
        let items = self.list(key)?;
        if items.is_empty() {
            self.refuse(key, "is empty");
            return None;
        }
        Some(items)
    }

    /// One of a few values.
    pub(super) fn choice<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        if !self.built(key, &text) {
            return None;
        }
        let chosen = choices.iter().find(|(word, _)| *word == text);
        if chosen.is_none() {
            let words: Vec<String> = choices.iter().map(|(word, _)| format!("{word:?}")).collect();
            self.report(
                key,
                format!("{text:?} is not a valid value"),
                format!("use {}", words.join(" or ")),
            );
        }
        chosen.map(|(_, value)| *value)
    }

    /// Whether a value is supported; records an error if it is not.
    pub(super) fn built(&self, key: &str, value: &str) -> bool {
        let instead = not_yet::instead(&self.declared(key), value);
        if let Some(instead) = instead {
            self.report(key, format!("{value:?} is not yet supported in this version"), instead);
        }
        instead.is_none()
    }
}
