//! A task's template, as far as the jobspecs that we ship use the language: a variable of the
//! task's environment, and a text left out of its value. Anything else is refused.

use std::collections::BTreeMap;

/// # Errors
/// In words, for an action that is not understood.
pub fn render(text: &str, variables: &BTreeMap<String, String>) -> Result<String, String> {
    let mut rendered = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (action, after) = after.split_once("}}").ok_or("a template that does not end")?;
        rendered += before;
        rendered +=
            &value(action, variables).ok_or_else(|| format!("templates with {{{{{action}}}}}"))?;
        rest = after;
    }
    Ok(rendered + rest)
}

/// `env "NAME"`, and maybe `| replaceAll "TEXT" ""`.
fn value(action: &str, variables: &BTreeMap<String, String>) -> Option<String> {
    let mut parts = action.splitn(2, '|').map(str::trim);
    let name = quoted(parts.next()?.strip_prefix("env ")?)?;
    let value = variables.get(name).cloned().unwrap_or_default();
    let Some(filter) = parts.next() else { return Some(value) };
    let text = quoted(filter.strip_prefix("replaceAll ")?.strip_suffix(" \"\"")?)?;
    Some(value.replace(text, ""))
}

fn quoted(text: &str) -> Option<&str> {
    let inner = text.trim().strip_prefix('"')?.strip_suffix('"')?;
    (!inner.is_empty() && !inner.contains(['"', '\\'])).then_some(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_filled_in_and_nothing_else_is_understood() {
        let variables = BTreeMap::from([("A".to_owned(), "it's".to_owned())]);
        let render = |text| render(text, &variables);
        assert_eq!(render("x={{ env \"A\" }};").unwrap(), "x=it's;");
        assert_eq!(render("{{ env \"A\" | replaceAll \"'\" \"\" }}{{env \"B\"}}").unwrap(), "its");
        for text in ["{{ key \"a\" }}", "{{ env \"A\"", "{{ env \"A\" | toUpper }}"] {
            assert!(render(text).is_err(), "{text}");
        }
    }
}
