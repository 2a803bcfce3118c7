//! Which paths and sizes a variable may have (Nomad `structs/variables.go`; all texts [V]).

use super::{Items, VariableKey, VariableRefused};

/// Keys and values together.
const SIZE_LIMIT: usize = 64 * 1024;
const PATH_LIMIT: usize = 128;

/// # Errors
/// In Nomad's words; the size comes before the path.
pub(super) fn judge(key: &VariableKey, items: &Items) -> Result<(), VariableRefused> {
    if key.namespace == "*" {
        return Err(VariableRefused("can not target wildcard (\"*\")namespace".to_owned()));
    }
    let size: usize = items.iter().map(|(name, value)| name.len() + value.len()).sum();
    if size > SIZE_LIMIT {
        return Err(VariableRefused("variables are limited to 64KiB in total size".to_owned()));
    }
    judge_path(&key.path)
}

fn judge_path(path: &str) -> Result<(), VariableRefused> {
    let allowed = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '_' | '~' | '/');
    if path.is_empty() || path.len() > PATH_LIMIT || !path.chars().all(allowed) {
        return Err(VariableRefused(format!("invalid path {path:?}")));
    }
    let parts: Vec<&str> = path.split('/').collect();
    let refused = match parts.as_slice() {
        ["nomad"] => {
            "\"nomad\" is a reserved top-level directory path, but you may write variables to \
             \"nomad/jobs\", \"nomad/job-templates\", \"nomad/sentinel\", or below"
        }
        ["nomad", "job-templates"] => {
            "\"nomad/job-templates\" is a reserved directory path, but you may write variables at \
             the level below it, for example, \"nomad/job-templates/template-name\""
        }
        ["nomad", "jobs" | "job-templates" | "sentinel", ..] => return Ok(()),
        ["nomad", ..] => {
            "only paths at \"nomad/jobs\" or \"nomad/job-templates\" and below are valid paths \
             under the top-level \"nomad\" directory"
        }
        _ => return Ok(()),
    };
    Err(VariableRefused(refused.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_of_few_characters_and_nomad_keeps_its_own() {
        for good in ["ghr/x", "/ghr", "ghr/x/", "a//b", "~a-b_C9", "nomad/jobs", "nomad/jobs/a/b"] {
            assert_eq!(judge_path(good), Ok(()), "{good}");
        }
        let long = "x".repeat(129);
        for bad in ["", "a.b", "a b", "ä", long.as_str(), "nomad", "nomad/x", "nomad/job-templates"]
        {
            assert!(judge_path(bad).is_err(), "{bad}");
        }
        assert_eq!(judge_path(&long[1..]), Ok(()));
    }

    #[test]
    fn keys_count_as_much_as_values() {
        let key = VariableKey::new("default", "x");
        let with = |size| Items::from([("a".to_owned(), "x".repeat(size))]);
        assert_eq!(judge(&key, &with(SIZE_LIMIT - 1)), Ok(()));
        assert!(judge(&key, &with(SIZE_LIMIT)).is_err());
    }
}
