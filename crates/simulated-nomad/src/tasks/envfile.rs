//! A template with `env = true`: lines of `NAME=value`, with quotes, escapes and comments, and what
//! of it is an error.
//!
//! The rules are those of the parser that Nomad uses (hashicorp/go-envparse); the text of the error
//! is seen in a task's event.

use std::collections::BTreeMap;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Plain,
    Single,
    Double,
    Escape,
}

/// # Errors
/// `error on line N: …`.
pub(super) fn parse(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut variables = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        if line.is_empty() {
            continue;
        }
        let (name, value) =
            read(line).map_err(|why| format!("error on line {}: {why}", number + 1))?;
        variables.insert(name.to_owned(), value);
    }
    Ok(variables)
}

fn read(line: &str) -> Result<(&str, String), String> {
    let (name, value) = line.split_once('=').ok_or("missing =")?;
    let name = name.trim();
    let name = name.strip_prefix("export ").unwrap_or(name);
    let first = name.chars().next().ok_or("empty key")?;
    if !first.is_ascii_alphabetic() && first != '_' {
        return Err(format!("key must start with [A-Za-z_] but found {first:?}"));
    }
    Ok((name, value_of(value.trim())?))
}

fn value_of(text: &str) -> Result<String, String> {
    let mut value = String::new();
    // So much of it is kept before a comment: spaces outside of quotes are not.
    let mut kept = 0;
    let mut mode = Mode::Plain;
    for letter in text.chars() {
        if u32::from(letter) < 32 {
            return Err(format!("0x{:02x} is an invalid value character", u32::from(letter)));
        }
        let next = match (mode, letter) {
            (Mode::Plain, '"') => Some(Mode::Double),
            (Mode::Plain, '\'') => Some(Mode::Single),
            (Mode::Plain, '#') => {
                value.truncate(kept);
                return Ok(value);
            }
            (Mode::Double, '"') | (Mode::Single, '\'') => Some(Mode::Plain),
            (Mode::Double, '\\') => Some(Mode::Escape),
            _ => None,
        };
        if let Some(next) = next {
            mode = next;
            continue;
        }
        if mode == Mode::Escape {
            value.push(match letter {
                '"' | '\\' => letter,
                'n' => '\n',
                't' => '\t',
                other if other.is_ascii() => {
                    return Err(format!("invalid escape sequence: {other}"));
                }
                _ => {
                    return Err("multibyte characters disallowed in escape sequences".to_owned());
                }
            });
            mode = Mode::Double;
        } else {
            value.push(letter);
        }
        if mode != Mode::Plain || !letter.is_ascii_whitespace() {
            kept = value.len();
        }
    }
    match mode {
        Mode::Plain => Ok(value),
        Mode::Single => Err("unmatched '".to_owned()),
        Mode::Double => Err("unmatched \"".to_owned()),
        Mode::Escape => Err("incomplete escape sequence".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_escapes_and_comments() {
        let all = [
            ("T=  a  b  ", "a  b"),
            ("T=a # b", "a"),
            ("T='a # b' # c", "a # b"),
            ("export T=\"a\\n\\\"b\\\"\"", "a\n\"b\""),
            ("T=say \"x\" 'y' `z`", "say x y `z`"),
            ("T=", ""),
        ];
        for (line, value) in all {
            assert_eq!(parse(line).unwrap()["T"], value, "{line}");
        }
        for (text, why) in [
            ("A=1\ntwo", "error on line 2: missing ="),
            ("=1", "error on line 1: empty key"),
            ("A='", "error on line 1: unmatched '"),
        ] {
            assert_eq!(parse(text).unwrap_err(), why);
        }
    }
}
