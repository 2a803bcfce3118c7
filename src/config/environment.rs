//! The environment as a value, so that loading depends on no global state and a test can set variables
//! without changing its process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::in_vault::{VaultLookup, VaultSecrets};

/// A credential that systemd hands to a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SystemdCredential {
    /// It is read from that file when the service starts.
    At(PathBuf),
    /// Only systemd can read it: it is encrypted, or written into the unit.
    Unseen,
}

/// How secrets are looked up: by the daemon, and by a `check` that does not run as the service.
#[derive(Clone, Default)]
pub(super) enum SecretLookup {
    /// Like the daemon.
    #[default]
    AsTheDaemon,
    /// The same, but systemd credentials take precedence over variables of other programs: those belong to
    /// this shell, and the service does not have them.
    CredentialsFirst,
    /// Every systemd credential is assumed to exist; none is read.
    CredentialsTakenAsGiven,
    /// Like the service of a unit, with these credentials.
    OfUnit(BTreeMap<String, SystemdCredential>),
}

/// The environment variables a load looks at.
///
/// Not `Debug`, because some of the values are secrets.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    pub(super) lookup: SecretLookup,
    pub(super) vault: VaultLookup,
}

impl Environment {
    /// The variables of this process. One that is not UTF-8 is left out: none that we read can be.
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// For a caller who cannot read the daemon's systemd credentials: each is assumed to exist and to be
    /// valid, also if the config names its file.
    pub fn with_credentials_taken_as_given(self) -> Self {
        Self { lookup: SecretLookup::CredentialsTakenAsGiven, ..self }
    }

    /// For a caller who asks what a service will have: systemd credentials take precedence over the
    /// variables of a shell.
    pub fn with_credentials_first(self) -> Self {
        Self { lookup: SecretLookup::CredentialsFirst, ..self }
    }

    /// The environment of a unit's service.
    pub fn of_unit(
        variables: BTreeMap<String, String>,
        credentials: BTreeMap<String, SystemdCredential>,
    ) -> Self {
        Self { variables, lookup: SecretLookup::OfUnit(credentials), ..Self::default() }
    }

    /// With what Vault has answered. Without it, what is in Vault is assumed to exist and to be valid.
    pub fn with_vault(self, secrets: Arc<VaultSecrets>) -> Self {
        Self { vault: VaultLookup::Answered(secrets), ..self }
    }

    /// Whether that file is such a credential, and so is not read.
    pub(super) fn takes_as_given(&self, file: &Path) -> bool {
        matches!(self.lookup, SecretLookup::CredentialsTakenAsGiven)
            && file.starts_with("/run/credentials")
    }

    /// The value of a variable; an empty one counts as unset.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// All variables that are not empty, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .filter(|(_, value)| !value.is_empty())
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        Self { variables: variables.collect(), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::Environment;

    #[test]
    fn an_empty_variable_counts_as_unset() {
        let env = Environment::from_iter([("A", ""), ("B", "b")]);
        assert_eq!(env.get("A"), None);
        assert_eq!(env.get("B"), Some("b"));
        assert_eq!(env.iter().collect::<Vec<_>>(), [("B", "b")]);
    }
}
