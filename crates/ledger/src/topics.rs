//! Topics of a repository, by which a pool may pick it. People set them at the forge, so they come
//! and go; case does not matter.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// More than any forge lets a repository have.
const MOST: usize = 100;
/// Longer than any forge lets one be.
const LONGEST: usize = 64;

/// In lower case, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topics(BTreeSet<String>);

impl Topics {
    /// What a forge says, as far as it can be a topic.
    pub fn from_outside(said: impl IntoIterator<Item = String>) -> Self {
        let topics = said.into_iter().filter(|topic| is_topic(topic));
        Self(topics.map(|topic| topic.to_lowercase()).take(MOST).collect())
    }

    pub fn has_one_of<S: AsRef<str>>(&self, wanted: &[S]) -> bool {
        wanted.iter().any(|wanted| self.0.contains(&wanted.as_ref().to_lowercase()))
    }
}

/// Whether that can be a topic at GitHub or at a Gitea.
pub fn is_topic(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    !text.is_empty() && text.len() <= LONGEST && text.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_does_not_matter_and_nothing_strange_is_kept() {
        let said = ["CI-Runner", "ci-runner", "", "a b", "x\u{202e}y", &"a".repeat(65)];
        let topics = Topics::from_outside(said.map(str::to_owned));
        assert_eq!(topics.0.len(), 1);
        assert!(topics.has_one_of(&["other", "ci-RUNNER"]));
        assert!(!topics.has_one_of::<&str>(&[]) && !topics.has_one_of(&["other"]));
    }
}
