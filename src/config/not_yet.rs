//! Keys and values that this version does not support yet. They are rejected, never silently ignored.
//! To implement one, delete its line here and read the key in the file of its section.

/// Keys and whole sections.
const KEYS: &[&str] = &[];

/// Single values of keys that are otherwise supported, and what to use instead.
const VALUES: &[(&str, &str, &str)] = &[("store.url", "postgres", r#"use "sqlite://FILE""#)];

/// Whether a key, or the section it is in, is not yet supported.
pub fn is_not_yet(path: &str) -> bool {
    KEYS.iter().any(|key| {
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
        assert!(!is_not_yet("vault.address") && !is_not_yet("pools.warm"));
    }

    #[test]
    fn values() {
        assert_eq!(instead("pools.delivery", "vault"), None);
        assert!(instead("store.url", "postgres").is_some());
        assert_eq!(instead("log.level", "gitea"), None);
    }
}
