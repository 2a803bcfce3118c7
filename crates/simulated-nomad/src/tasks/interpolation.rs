//! `${…}` where the client fills it in by itself: in a task's environment, its meta values, the
//! paths of its templates and artifacts.
//!
//! A name that nobody knows stays as it is. In a task's `config` another language holds: `hcl.rs`.
//! (Nomad `helper/args/args.go`.)

use std::collections::BTreeMap;

/// Fills in what the first of `scopes` that knows a name says.
pub(super) fn fill_in(text: &str, scopes: &[&BTreeMap<String, String>]) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        filled.push_str(&rest[..start]);
        let inner = &rest[start + 2..];
        let length = inner.find(|c: char| !is_name(c)).unwrap_or(inner.len());
        if length == 0 || !inner[length..].starts_with('}') {
            filled.push_str("${");
            rest = inner;
            continue;
        }
        let known = scopes.iter().find_map(|scope| scope.get(&inner[..length]));
        match known {
            Some(value) => filled.push_str(value),
            None => filled.push_str(&rest[start..start + length + 3]),
        }
        rest = &inner[length + 1..];
    }
    filled + rest
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-.".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_filled_in() {
        let node = BTreeMap::from([("attr.kernel.name".to_owned(), "linux".to_owned())]);
        let env = BTreeMap::from([("NOMAD_ALLOC_DIR".to_owned(), "/a".to_owned())]);
        let fill_in = |text| fill_in(text, &[&node, &env]);
        assert_eq!(fill_in("${NOMAD_ALLOC_DIR}/home"), "/a/home");
        assert_eq!(fill_in("$${attr.kernel.name}"), "$linux");
        for text in ["$HOME ${x} ${NOMAD_ALLOC_DIR", "${env[\"HOME\"]}", "${upper(\"x\")}", "${}"] {
            assert_eq!(fill_in(text), text);
        }
    }
}
