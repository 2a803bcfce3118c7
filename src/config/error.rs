//! What is wrong with a config, in words: where it was said, which key, what is wrong, how to
//! mend it. All errors of a load travel together in [`ConfigErrors`].
//!
//! Finds nothing itself: `section.rs` and the files of the sections do. No text in here ever
//! holds the value of a secret.

use std::fmt;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file or the environment variable that says it.
    pub origin: String,
    /// The key, as `webhook.listen` or `pools[x64].labels`; empty where the whole file is meant.
    pub key: String,
    /// What is wrong: a fragment that reads after the key.
    pub what: String,
    /// What to do about it.
    pub mend: String,
    /// Where it stands among the others: the line of the key, as far as one is known.
    pub(super) order: usize,
}

impl ConfigError {
    /// A mistake that belongs to no key: the file is missing, cannot be read, is not TOML.
    pub(super) fn whole_file(origin: String, what: String, mend: &str) -> Self {
        Self { origin, key: String::new(), what, mend: mend.to_owned(), order: 0 }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}; {}", self.what, self.mend)
    }
}

/// Every mistake of one load, in the order in which their keys stand in the file; those of the
/// environment come last. Displays as one line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    pub(super) fn new(mut errors: Vec<ConfigError>) -> Self {
        errors.sort_by_key(|error| error.order);
        Self(errors)
    }

    /// The mistakes, at least one.
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
