//! `labels` of a pool: rejects those that can match no job, and warns of duplicates.
//!
//! A forge compares labels literally, ignoring case. Read next: `repositories.rs`.

use std::collections::BTreeSet;

use super::github::ForgeKind;
use super::section::Section;

const KEY: &str = "labels";

/// `config.sh` of GitHub's runner rejects longer ones.
const LONGEST: usize = 256;
/// GitHub takes no more for one runner (its OpenAPI description, generate-jitconfig).
const MOST: usize = 100;

pub(super) fn read(section: &Section, kind: Option<ForgeKind>) -> Option<Vec<String>> {
    let labels = section.required(KEY, Section::filled_list)?;
    if let Some(what) = labels.iter().find_map(|label| check(label, kind).err()) {
        section.refuse(KEY, what);
        return None;
    }
    if labels.len() > MOST {
        section.refuse(KEY, format!("has more than {MOST} labels, which GitHub refuses"));
        return None;
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = labels.iter().find(|label| !seen.insert(label.to_lowercase())) {
        section.warn(KEY, format!("{twice:?} is listed twice"), "remove one of them");
    }
    Some(labels)
}

/// Labels are passed to the runner as one string, separated by commas.
fn check(text: &str, kind: Option<ForgeKind>) -> Result<(), String> {
    if text.trim() != text {
        return Err(format!("{text:?} begins or ends with a space, which no job's label does"));
    }
    if text.contains(|c: char| c.is_control() || c.is_whitespace() || invisible(c)) {
        return Err(format!(
            "{text:?} contains a space or an invisible character, and a runner with such a label gets no job"
        ));
    }
    if text.contains(',') {
        return Err(format!("{text:?} contains a comma; write each label as a separate string"));
    }
    let plain = text.replace("{run_id}", "");
    if plain.contains(['{', '}']) {
        return Err(format!("{text:?} contains a placeholder other than {{run_id}}"));
    }
    if plain.contains(['*', '?', '!']) {
        return Err(format!(
            "{text:?} contains *, ? or !: labels are not patterns, they are compared literally"
        ));
    }
    if text.chars().count() > LONGEST {
        return Err(format!(
            "a label is longer than {LONGEST} characters, which the runner refuses"
        ));
    }
    if kind == Some(ForgeKind::Gitea) && text.contains(':') {
        return Err(format!("{text:?} contains a colon, at which gitea-runner cuts labels"));
    }
    Ok(())
}

/// Characters without width, and those that change the direction of text.
fn invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{errors, loaded, pool_with};

    fn told(labels: &str) -> String {
        errors(&pool_with(&format!("labels = {labels}")))
    }

    #[test]
    fn labels_that_can_match_no_job_are_refused() {
        for (label, why) in [
            ("linux ", "begins or ends with a space"),
            (" linux", "begins or ends with a space"),
            (" ", "begins or ends with a space"),
            ("big box", "contains a space or an invisible character"),
            ("li\\u0007nux", "contains a space or an invisible character"),
            ("li\\u200bnux", "contains a space or an invisible character"),
            ("li\\u202enux", "contains a space or an invisible character"),
            ("ubuntu-*", "labels are not patterns"),
            ("!gpu", "labels are not patterns"),
            ("a,b", "contains a comma"),
            ("{repository}", "a placeholder other than {run_id}"),
            ("{run_id", "a placeholder other than {run_id}"),
        ] {
            let told = told(&format!("[\"x64\", \"{label}\"]"));
            assert!(told.starts_with("f.toml: pools[x64].labels: "), "{told}");
            assert!(told.contains(why), "{label:?}: {told}");
            assert!(!told.contains('\u{202e}'), "{told}");
        }
        assert!(told("[\"\"]").contains("contains an empty string"));
        assert!(told("[]").contains("is empty"));
        let many: Vec<String> = (0..101).map(|n| format!("\"l{n}\"")).collect();
        assert!(told(&format!("[{}]", many.join(","))).contains("more than 100 labels"));
        assert!(told(&format!("[\"{}\"]", "a".repeat(257))).contains("longer than 256"));
        let gitea = "[github]\nkind = \"gitea\"\napi_url = \"https://git.test/api/v1\"\n";
        let colon = pool_with("labels = [\"linux:host\"]");
        assert!(errors(&format!("{gitea}{colon}")).contains("at which gitea-runner cuts"));
        assert!(loaded(&colon).warnings.is_empty());
    }

    #[test]
    fn what_people_write_is_taken() {
        let text =
            pool_with("labels = [\"self-hosted\", \"ubuntu-22.04\", \"ci-{run_id}\", \"größe_1\"]");
        let loaded = loaded(&text);
        assert_eq!(loaded.settings.pools[0].labels.len(), 4);
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    }

    #[test]
    fn a_label_that_is_given_twice_is_told() {
        let loaded = loaded(&pool_with("labels = [\"linux\", \"Linux\"]"));
        assert_eq!(loaded.warnings[0].what, "\"Linux\" is listed twice");
        assert_eq!(loaded.warnings[0].key, "pools[x64].labels");
    }
}
