//! Lists of patterns with `*`, as `repositories`, `events` and `actors` have them: a `!` always
//! excludes, in whatever order, and case does not matter.

/// What a list allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patterns {
    allowed: Vec<String>,
    excluded: Vec<String>,
}

impl Patterns {
    pub fn new<S: AsRef<str>>(patterns: &[S]) -> Self {
        let (mut allowed, mut excluded) = (Vec::new(), Vec::new());
        for pattern in patterns {
            match pattern.as_ref().strip_prefix('!') {
                Some(rest) => excluded.push(rest.to_lowercase()),
                None => allowed.push(pattern.as_ref().to_lowercase()),
            }
        }
        Self { allowed, excluded }
    }

    /// Everything.
    pub fn any() -> Self {
        Self::new(&["*"])
    }

    /// Whether nothing can be refused, so that nobody need be asked.
    pub fn is_any(&self) -> bool {
        self.excluded.is_empty() && self.allowed.iter().any(|pattern| pattern == "*")
    }

    pub fn matches(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        hit(&self.allowed, &text) && !hit(&self.excluded, &text)
    }

    pub(super) fn excludes(&self, text: &str) -> bool {
        hit(&self.excluded, &text.to_lowercase())
    }

    /// Whether one of the patterns is this text, without a star.
    pub(super) fn names(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        self.allowed.contains(&text) && !text.contains(['*', '?'])
    }
}

fn hit(patterns: &[String], lower: &str) -> bool {
    patterns.iter().any(|pattern| glob(pattern.as_bytes(), lower.as_bytes()))
}

/// `*` is any text within one side of a slash, `?` one character of it.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    // The usual two-pointer walk: on a mismatch let the last star swallow one more byte.
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(b'?') if text[t] != b'/' => (p, t) = (p + 1, t + 1),
            Some(&byte) if byte == text[t] => (p, t) = (p + 1, t + 1),
            _ => match star {
                Some((at, swallowed)) if text[swallowed] != b'/' => {
                    star = Some((at, swallowed + 1));
                    (p, t) = (at + 1, swallowed + 1);
                }
                _ => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exclusion_counts_wherever_it_stands_and_case_does_not() {
        for patterns in [["*", "!Dependabot[bot]"], ["!dependabot[BOT]", "*"]] {
            let patterns = Patterns::new(&patterns);
            assert!(patterns.matches("octocat") && !patterns.matches("dependabot[bot]"));
            assert!(patterns.matches("dependabotb"), "brackets are letters");
            assert!(!patterns.is_any());
        }
        let some = Patterns::new(&["push", "pull_request*"]);
        assert!(some.matches("PULL_REQUEST_TARGET") && !some.matches("workflow_run"));
        assert!(!some.is_any() && Patterns::any().is_any() && Patterns::any().matches(""));
    }
}
