//! Filter expressions as Nomad reads them (hashicorp/go-bexpr).
//!
//! A string literal there may hold no quote at all, but is unquoted by Go's rules, so `\x22` is
//! one. `matches` takes a Go regular expression.

/// `selector == "value"`.
pub(super) fn equals(selector: &str, value: &str) -> String {
    format!("{selector} == {}", literal(value))
}

/// `selector matches "^value"`.
pub(super) fn starts_with(selector: &str, value: &str) -> String {
    let mut pattern = String::from("^");
    for c in value.chars() {
        // Go's regexp.QuoteMeta escapes the same.
        if r"\.+*?()|[]{}^$".contains(c) {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    format!("{selector} matches {}", literal(&pattern))
}

fn literal(value: &str) -> String {
    let mut out = String::from('"');
    for c in value.chars() {
        match c {
            '"' => out.push_str(r"\x22"),
            '\\' => out.push_str(r"\\"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_backslashes_cannot_end_a_literal() {
        assert_eq!(equals("T", r#"a" or T == "b\"#), r#"T == "a\x22 or T == \x22b\\""#);
        assert_eq!(equals("T", "a\nb"), "T == \"a\\u000ab\"");
    }

    #[test]
    fn a_prefix_is_taken_literally() {
        assert_eq!(starts_with("T", "a.b-"), r#"T matches "^a\\.b-""#);
    }
}
