//! `topics` of a pool: which of its repositories it serves. Rejects what no repository can carry.
//! What picks a repository is decided in `ledger::topics`.

use std::collections::BTreeSet;

use super::section::Section;
use crate::ledger::topics::is_topic;

const KEY: &str = "topics";

/// Empty where the key is left out: then all of `repositories` are served. `None` if it is bad.
pub(super) fn read(section: &Section) -> Option<Vec<String>> {
    if section.given(KEY).is_none() {
        return Some(Vec::new());
    }
    let topics = section.filled_list(KEY)?;
    if let Some(bad) = topics.iter().find(|topic| !is_topic(topic)) {
        let what = format!("{bad:?} cannot be a topic, which consists of letters, digits and -");
        section.report(KEY, what, "correct it; topics are not patterns");
        return None;
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = topics.iter().find(|topic| !seen.insert(topic.to_lowercase())) {
        section.warn(KEY, format!("{twice:?} is listed twice"), "remove one of them");
    }
    Some(topics)
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{errors, loaded, pool_with};

    #[test]
    fn topics_are_words_and_no_patterns() {
        let topics = |lines: &str| loaded(&pool_with(lines)).settings.pools.remove(0).topics;
        assert_eq!(topics("topics = [\"Self-Hosted\", \"ci\"]"), ["Self-Hosted", "ci"]);
        assert_eq!(topics(""), Vec::<String>::new());
        for bad in ["[]", "[\"\"]", "[\"a*\"]", "[\"two words\"]", "\"ci\""] {
            let told = errors(&pool_with(&format!("topics = {bad}")));
            assert!(told.starts_with("f.toml: pools[x64].topics: "), "{told}");
        }
        let twice = loaded(&pool_with("topics = [\"ci\", \"CI\"]"));
        assert!(twice.warnings[0].to_string().contains("\"CI\" is listed twice"));
    }
}
