//! Keys and values that this version does not support yet. They are rejected, never silently ignored.
//! To implement one, delete its line here and read the key in the file of its section.

use super::keys;

/// Keys and whole sections.
const KEYS: &[&str] = &["vault", "pools.warm"];

/// How the keys end that read a secret from Vault, one beside each `x_file`.
const VAULT: &str = "_vault";

/// Single values of keys that are otherwise supported, and what to use instead.
const VALUES: &[(&str, &str, &str)] = &[
    ("store.url", "postgres", r#"use "sqlite://FILE""#),
    ("pools.delivery", "vault", r#"use "claim", "variable", "payload", "meta" or "none""#),
];

/// Whether a key, or the section it is in, is not yet supported.
pub fn is_not_yet(path: &str) -> bool {
    let beside_a_file =
        |stem: &str| keys::find(&format!("{stem}_file")).is_some() && !stem.ends_with("cert");
    path.strip_suffix(VAULT).is_some_and(beside_a_file)
        || KEYS.iter().any(|key| {
            path.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
}

/// What to use instead of a value that is not yet supported; `None` for all others.
pub(super) fn instead(path: &str, value: &str) -> Option<&'static str> {
    VALUES
        .iter()
        .find(|(key, not_built, _)| *key == path && *not_built == value)
        .map(|(_, _, instead)| *instead)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_covers_its_keys_and_no_neighbour() {
        assert!(is_not_yet("vault") && is_not_yet("vault.address"));
        assert!(is_not_yet("pools.warm") && is_not_yet("pools.warm.count"));
        assert!(!is_not_yet("vaults") && !is_not_yet("pools.name"));
    }

    #[test]
    fn each_secret_that_a_file_may_hold_is_to_come_from_vault_too() {
        for stem in ["webhook.secret", "nomad.token", "github.credentials.app.private_key"] {
            assert!(is_not_yet(&format!("{stem}_vault")), "{stem}");
        }
        for other in ["nomad.ca_cert_vault", "webhook.listen_vault", "_vault"] {
            assert!(!is_not_yet(other), "{other}");
        }
    }

    #[test]
    fn values() {
        assert_eq!(instead("pools.delivery", "payload"), None);
        assert!(instead("pools.delivery", "vault").is_some());
        assert_eq!(instead("log.level", "gitea"), None);
    }
}
