//! In which line of the file a key is, for sorting errors: from the spans of the `toml` crate, because the
//! values of the `config` crate have none.

use std::collections::HashMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

/// Lines by path: `webhook`, `webhook.listen`, `pools.0`, `pools.0.labels`.
#[derive(Debug, Default)]
pub(super) struct Positions(HashMap<String, usize>);

/// Why a text is not TOML, and in which line if that is known.
pub(super) struct NotToml {
    pub(super) line: Option<usize>,
    pub(super) what: String,
}

impl Positions {
    pub(super) fn of(text: &str) -> Result<Self, NotToml> {
        let line = |span: Range<usize>| line_of(text, span.start);
        let table = DeTable::parse(text).map_err(|error: Error| NotToml {
            line: error.span().map(line),
            what: error.message().to_owned(),
        })?;
        let mut lines = HashMap::new();
        note_table(&mut lines, &line, "", table.get_ref());
        Ok(Self(lines))
    }

    /// The line of a path, else that of the nearest section around it, else past the last line.
    pub(super) fn line(&self, path: &str) -> usize {
        let around = std::iter::successors(Some(path), |path| Some(path.rsplit_once('.')?.0));
        around.filter_map(|path| self.0.get(path)).next().copied().unwrap_or(usize::MAX - 1)
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

type Lines = HashMap<String, usize>;

fn note_table(
    lines: &mut Lines,
    line: &impl Fn(Range<usize>) -> usize,
    around: &str,
    table: &DeTable<'_>,
) {
    for (key, value) in table {
        let path = match around {
            "" => key.get_ref().to_string(),
            _ => format!("{around}.{}", key.get_ref()),
        };
        lines.insert(path.clone(), line(key.span()));
        note_value(lines, line, &path, value);
    }
}

fn note_value(
    lines: &mut Lines,
    line: &impl Fn(Range<usize>) -> usize,
    path: &str,
    value: &Spanned<DeValue<'_>>,
) {
    match value.get_ref() {
        DeValue::Table(table) => note_table(lines, line, path, table),
        DeValue::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let path = format!("{path}.{index}");
                lines.insert(path.clone(), line(item.span()));
                note_value(lines, line, &path, item);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_where_they_stand() {
        let text = "a = 1\n[webhook]\nlisten = \"x\" # = y\n[[pools]]\nname = \"\"\"\nlisten = 1\n\"\"\"\n[pools.meta]\nK = \"v\"\n\n[[pools]]\n\"name\" = 'b'\nmeta = {\n  L = 'v' }\n";
        let positions = Positions::of(text).unwrap_or_else(|error| panic!("{}", error.what));
        let line = |path| positions.line(path);
        assert_eq!(line("a"), 1);
        assert_eq!(line("webhook"), 2);
        assert_eq!(line("webhook.listen"), 3);
        assert_eq!(line("webhook.secret"), 2, "a missing key stands at its section");
        assert_eq!(line("pools.0"), 4);
        assert_eq!(line("pools.0.name"), 5);
        assert_eq!(line("pools.0.listen"), 4, "text in a string is no key");
        assert_eq!(line("pools.0.meta.K"), 9);
        assert_eq!(line("pools.1.name"), 12);
        assert_eq!(line("pools.1.meta.L"), 14, "also in a table written inline");
        assert_eq!(line("nomad.address"), usize::MAX - 1);
    }
}
