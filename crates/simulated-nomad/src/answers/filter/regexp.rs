//! Regular expressions, and what Go says of those that are none.
//!
//! Both are RE2's language; only the errors are worded otherwise. Read next: `matching.rs`.

use regex::Regex;

/// # Errors
/// In Go's words, as far as anybody's typing errors go.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    Regex::new(pattern).map_err(|error| {
        let why = why(pattern).unwrap_or_else(|| {
            error.to_string().lines().last().unwrap_or_default().trim().to_owned()
        });
        format!("failed to compile regular expression {pattern:?}: error parsing regexp: {why}")
    })
}

fn why(pattern: &str) -> Option<String> {
    let (mut open, mut class, mut before) = (0_usize, None, None);
    let mut rest = pattern.char_indices();
    while let Some((at, c)) = rest.next() {
        match c {
            '\\' if rest.next().is_none() => {
                return Some("trailing backslash at end of expression: ``".to_owned());
            }
            '\\' => {}
            ']' if class.is_some_and(|start| at > start + 1) => class = None,
            _ if class.is_some() => {}
            '[' => class = Some(at),
            '(' => open += 1,
            ')' if open == 0 => return Some(format!("unexpected ): `{pattern}`")),
            ')' => open -= 1,
            '*' | '+' | '?' if matches!(before, None | Some('(' | '|')) => {
                return Some(format!("missing argument to repetition operator: `{c}`"));
            }
            _ => {}
        }
        before = Some(c);
    }
    if let Some(start) = class {
        return Some(format!("missing closing ]: `{}`", &pattern[start..]));
    }
    (open > 0).then(|| format!("missing closing ): `{pattern}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_broken_is_told_in_gos_words() {
        let error = |pattern: &str| {
            let error = compile(pattern).unwrap_err();
            error.split("error parsing regexp: ").nth(1).unwrap().to_owned()
        };
        assert_eq!(error("("), "missing closing ): `(`");
        assert_eq!(error("a[b"), "missing closing ]: `[b`");
        assert_eq!(error("a)"), "unexpected ): `a)`");
        assert_eq!(error("*a"), "missing argument to repetition operator: `*`");
        assert!(compile("^a[]x]\\(b+$").is_ok());
    }
}
