//! Rules for single values of a pool: its name, names in Nomad, meta keys. Combinations are checked in
//! `pool.rs`; labels and repository patterns have their own files.

use std::collections::BTreeMap;

use ::config::ValueKind;

use super::placeholders::{self, CREDENTIAL_KEYS, META_KEYS};
use super::section::Section;

/// A runner is `<prefix>-<pool>-<id>`: GitHub takes 64 characters, two are dashes, 13 the id.
const PREFIX_AND_POOL: usize = 64 - 2 - 13;

pub(super) fn name(text: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    match text.chars().all(good) {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?} may contain only a-z, 0-9 and -")),
    }
}

/// Whether a pool's name leaves room for the rest of its runners' names.
pub(super) fn name_fits(prefix: &str, pool: &str) -> Result<(), String> {
    let length = prefix.len() + pool.len();
    if length <= PREFIX_AND_POOL {
        return Ok(());
    }
    Err(format!(
        "is too long: with runners.name_prefix {prefix:?} it has {length} characters, and the name of a runner has room for {PREFIX_AND_POOL}"
    ))
}

/// The name of a job, a namespace or a region in Nomad, which contains no spaces.
pub(super) fn nomad_name(text: &str) -> Result<String, String> {
    match text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '*') {
        false => Ok(text.to_owned()),
        true => Err(format!(
            "{text:?} contains a space, a control character or a *, which no name in Nomad contains"
        )),
    }
}

/// The name of a runner group, which may hold spaces.
pub(super) fn group(text: &str) -> Result<String, String> {
    match text.trim() != text || text.contains(char::is_control) {
        false => Ok(text.to_owned()),
        true => {
            Err(format!("{text:?} begins or ends with a space, or contains a control character"))
        }
    }
}

/// `[pools.meta]`; `None` if anything in it is invalid.
pub(super) fn meta(section: &Section) -> Option<BTreeMap<String, String>> {
    let Some(value) = section.given("meta") else {
        return Some(BTreeMap::new());
    };
    let ValueKind::Table(table) = &value.kind else {
        section.report(
            "meta",
            "must be a section",
            "write [pools.meta] below the pool, with its keys below that",
        );
        return None;
    };
    let mut meta = BTreeMap::new();
    // Sorted by name: the tree has no order, and errors should come in a stable one.
    for (key, value) in table.iter().collect::<BTreeMap<_, _>>() {
        let checked = meta_key(key).and_then(|()| match &value.kind {
            ValueKind::String(text) => placeholders::check(text).map(|()| text.clone()),
            _ => Err(("must be a string in quotes".to_owned(), format!("write {key} = \"…\""))),
        });
        match checked {
            Ok(text) => {
                meta.insert(key.clone(), text);
            }
            Err((what, fix)) => section.report(&format!("meta.{key}"), what, fix),
        }
    }
    (meta.len() == table.len()).then_some(meta)
}

fn meta_key(key: &str) -> Result<(), (String, String)> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if key.is_empty() || !key.chars().all(fits) {
        let fix = "use only letters, digits, _, . and -".to_owned();
        return Err(("is not a valid meta key in Nomad".to_owned(), fix));
    }
    if META_KEYS.contains(&key) || CREDENTIAL_KEYS.contains(&key) {
        let fix = format!("remove it, or use another name: NAME = \"{{{key}}}\"");
        return Err(("is a meta key that roustabout sets itself".to_owned(), fix));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{errors, loaded, pool_with};

    #[test]
    fn names_that_nothing_can_have_are_refused() {
        for (key, value) in [
            ("nomad_job", "runner "),
            ("nomad_job", "run ner"),
            ("nomad_job", "runner-*"),
            ("namespace", "ci\t"),
            ("region", " eu"),
        ] {
            let told = errors(&pool_with(&format!("{key} = {value:?}")));
            assert!(told.starts_with(&format!("f.toml: pools[x64].{key}: ")), "{told}");
            assert!(told.contains("which no name in Nomad contains"), "{told}");
        }
        assert!(group("big ").is_err() && group("b\u{7}").is_err());
        assert_eq!(group("big boxes"), Ok("big boxes".to_owned()));
    }

    #[test]
    fn meta_is_checked_key_by_key() {
        let wrong = |lines: &str| errors(&format!("{}[pools.meta]\n{lines}\n", pool_with("")));
        assert_eq!(
            wrong("\"a b\" = \"x\"\nN = 5\nR = \"{repositry}\"\nT = \"{runner_token}\"\nrunner_name = \"x\""),
            "\
f.toml: pools[x64].meta.a b: is not a valid meta key in Nomad; use only letters, digits, _, . and -
f.toml: pools[x64].meta.N: must be a string in quotes; write N = \"…\"
f.toml: pools[x64].meta.R: unknown placeholder {repositry}; did you mean {repository}?
f.toml: pools[x64].meta.T: {runner_token} would put a credential into the job's data; remove it; delivery decides how the credential reaches the job
f.toml: pools[x64].meta.runner_name: is a meta key that roustabout sets itself; remove it, or use another name: NAME = \"{runner_name}\""
        );
    }

    #[test]
    fn meta_keeps_its_case() {
        let text = format!("{}[pools.meta]\nREPO_FULL_NAME = \"{{repository}}\"\n", pool_with(""));
        let pool = loaded(&text).settings.pools.remove(0);
        assert_eq!(pool.meta["REPO_FULL_NAME"], "{repository}");
    }
}
