//! Errors of a config: where it is, which key, what is wrong, how to fix it. [`ConfigErrors`] holds all
//! errors of a load.
//!
//! They are found by `section.rs` and the files of the sections. No text ever contains the value of a
//! secret.

use std::fmt;

/// One error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file or the environment variable that sets the key.
    pub origin: String,
    /// The key, as `webhook.listen` or `pools[x64].labels`; empty if the whole file is meant.
    pub key: String,
    /// What is wrong: a fragment that reads after the key.
    pub what: String,
    /// What to do about it.
    pub fix: String,
    /// For sorting: the line of the key, if it is known.
    pub(super) order: usize,
}

impl ConfigError {
    /// An error without a key: the file is missing, cannot be read, is not TOML.
    pub(super) fn whole_file(origin: String, what: String, fix: &str) -> Self {
        Self { origin, key: String::new(), what, fix: fix.to_owned(), order: 0 }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}; {}", self.what, self.fix)
    }
}

/// All errors of one load, in the order of their keys in the file; those of the environment come last.
/// Displayed as one line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    pub(super) fn new(mut errors: Vec<ConfigError>) -> Self {
        errors.sort_by_key(|error| error.order);
        Self(errors)
    }

    /// The errors, at least one.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
