//! Secrets that are read from Vault: `x_vault = "MOUNT/data/PATH#FIELD"`. Loading a config asks nobody.
//! What it wants of Vault is told first ([`Source::wanted`]), asked for by whoever loads it, and handed to the
//! load with the environment.
//!
//! [`Source::wanted`]: super::Source::wanted

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use secrecy::SecretString;

/// A field of an entry of KV version 2.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct VaultField {
    pub mount: String,
    /// Below the mount.
    pub path: String,
    pub field: String,
}

impl VaultField {
    /// As it is written in the config.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is not of the form MOUNT/data/PATH#FIELD, the API path of a KV v2 entry and a field"
            )
        };
        let (entry, field) = text.split_once('#').ok_or_else(wrong)?;
        let (mount, path) = entry.split_once("/data/").ok_or_else(wrong)?;
        let segments = || mount.split('/').chain(path.split('/'));
        let fits = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
        match segments().all(|one| fits(one) && one != "." && one != "..") && fits(field) {
            true => {
                Ok(Self { mount: mount.to_owned(), path: path.to_owned(), field: field.to_owned() })
            }
            false => Err(wrong()),
        }
    }

    /// The entry's address in the API, without `/v1`.
    pub fn entry(&self) -> String {
        format!("{}/data/{}", self.mount, self.path)
    }
}

impl fmt::Display for VaultField {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}#{}", self.entry(), self.field)
    }
}

/// A secret that a config wants of Vault.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wish {
    pub field: VaultField,
    /// Whether the value before is of use for a while: what others sign with it is in flight.
    pub with_previous: bool,
}

/// What Vault has.
#[derive(Debug, Clone)]
pub struct VaultSecret {
    pub value: SecretString,
    /// The value before, as long as it is still to be accepted.
    pub previous: Option<SecretString>,
}

/// By field: the secret, or why there is none, which reads after "cannot be read: ".
pub type VaultSecrets = BTreeMap<VaultField, Result<VaultSecret, String>>;

/// How a load looks up what is in Vault.
#[derive(Clone, Default)]
pub(super) enum VaultLookup {
    /// Nobody was asked; it takes every such secret as given.
    #[default]
    TakenAsGiven,
    Answered(Arc<VaultSecrets>),
}

#[cfg(test)]
mod tests {
    use super::VaultField;

    #[test]
    fn an_entry_and_a_field() {
        let field = VaultField::parse("kv/data/github_runner/my-org#app key").expect("it is one");
        assert_eq!((field.mount.as_str(), field.path.as_str()), ("kv", "github_runner/my-org"));
        assert_eq!(field.to_string(), "kv/data/github_runner/my-org#app key");
        let nested = VaultField::parse("team/kv/data/a#b").expect("it is one");
        assert_eq!((nested.mount.as_str(), nested.path.as_str()), ("team/kv", "a"));
        for wrong in [
            "kv/github#x",
            "kv/data/github",
            "kv/data/#x",
            "/data/a#x",
            "kv/data/../a#x",
            "k/data/a#",
        ] {
            assert!(VaultField::parse(wrong).is_err(), "{wrong}");
        }
    }
}
