//! The two filter expressions that a dispatcher uses, on the idempotency token. Any other is
//! refused: it would find the wrong jobs.
//!
//! (Nomad reads them with hashicorp/go-bexpr; literals are unquoted by Go's rules.)

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Filter {
    Is(String),
    StartsWith(String),
}

impl Filter {
    /// # Errors
    /// In words.
    pub fn read(text: &str) -> Result<Self, String> {
        let unknown = || format!("the stand-in for Nomad knows no filter like {text:?}");
        let mut words = text.splitn(3, ' ');
        let (Some("DispatchIdempotencyToken"), Some(operator), Some(literal)) =
            (words.next(), words.next(), words.next())
        else {
            return Err(unknown());
        };
        let inside = literal.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let value = inside.and_then(unquoted).ok_or_else(unknown)?;
        match operator {
            "==" => Ok(Self::Is(value)),
            "matches" => {
                let pattern = value.strip_prefix('^').ok_or_else(unknown)?;
                Ok(Self::StartsWith(literally(pattern).ok_or_else(unknown)?))
            }
            _ => Err(unknown()),
        }
    }

    pub fn holds(&self, token: Option<&str>) -> bool {
        let token = token.unwrap_or_default();
        match self {
            Self::Is(wanted) => token == wanted,
            Self::StartsWith(wanted) => token.starts_with(wanted),
        }
    }
}

/// Go's escapes, as far as anybody writes them.
fn unquoted(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let (digits, radix) = match rest.next()? {
            '\\' => {
                out.push('\\');
                continue;
            }
            'x' => (2, 16),
            'u' => (4, 16),
            _ => return None,
        };
        let code: String = rest.by_ref().take(digits).collect();
        out.push(char::from_u32(u32::from_str_radix(&code, radix).ok()?)?);
    }
    Some(out)
}

/// A regular expression without any expression in it.
fn literally(pattern: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' => out.push(rest.next().filter(|it| it.is_ascii_punctuation())?),
            c if r".+*?()|[]{}^$".contains(c) => return None,
            c => out.push(c),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_writes_is_read() {
        let is = Filter::read(r#"DispatchIdempotencyToken == "a\x22b\\c""#);
        assert_eq!(is, Ok(Filter::Is(r#"a"b\c"#.to_owned())));
        let begins = Filter::read(r#"DispatchIdempotencyToken matches "^a\\.b-""#);
        assert_eq!(begins, Ok(Filter::StartsWith("a.b-".to_owned())));
        for other in [
            "Status == \"dead\"",
            r#"DispatchIdempotencyToken matches "^a.*""#,
            r#"DispatchIdempotencyToken matches "a""#,
            r#"DispatchIdempotencyToken != "a""#,
        ] {
            assert!(Filter::read(other).is_err(), "{other}");
        }
    }
}
