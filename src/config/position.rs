//! In which line of the file a key stands, so that errors come in the order of the file.
//!
//! A plain scan of the text: the merged values know no lines. It only orders what is said, so
//! where it is fooled (a table written inline) an error stands beside its section, no worse.

use std::collections::HashMap;

/// Lines by place: `webhook`, `webhook.listen`, `pools.0`, `pools.0.labels`.
#[derive(Default)]
pub(super) struct Positions(HashMap<String, usize>);

impl Positions {
    pub(super) fn of(text: &str) -> Self {
        let mut lines = HashMap::new();
        let mut counts: HashMap<String, usize> = HashMap::new();
        let mut section = String::new();
        let mut within_text = false;
        for (number, line) in text.lines().enumerate() {
            let delimiters = line.matches("\"\"\"").count() + line.matches("'''").count();
            let began_within = within_text;
            within_text ^= delimiters % 2 == 1;
            let line = line.trim();
            if began_within || line.starts_with('#') {
                continue;
            }
            if let Some(name) = between(line, "[[", "]]") {
                let count = counts.entry(name.to_owned()).or_insert(0);
                section = format!("{name}.{count}");
                *count += 1;
            } else if let Some(name) = between(line, "[", "]") {
                section = match name.split_once('.') {
                    // `[pools.meta]` belongs to the pool that was begun last.
                    Some((array, rest)) if counts.contains_key(array) => {
                        format!("{array}.{}.{rest}", counts[array] - 1)
                    }
                    _ => name.to_owned(),
                };
            } else if let Some((key, _)) = line.split_once('=') {
                let key = key.trim().trim_matches(['"', '\'']);
                let place =
                    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") };
                lines.entry(place).or_insert(number + 1);
                continue;
            } else {
                continue;
            }
            lines.entry(section.clone()).or_insert(number + 1);
        }
        Self(lines)
    }

    /// The line of a place, else that of the nearest section around it, else past the last line.
    pub(super) fn line(&self, place: &str) -> usize {
        let mut place = place;
        loop {
            if let Some(line) = self.0.get(place) {
                return *line;
            }
            match place.rsplit_once('.') {
                Some((around, _)) => place = around,
                None => return usize::MAX - 1,
            }
        }
    }
}

fn between<'t>(line: &'t str, open: &str, close: &str) -> Option<&'t str> {
    let (name, _) = line.strip_prefix(open)?.split_once(close)?;
    Some(name.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_where_they_stand() {
        let positions = Positions::of(
            "a = 1\n[webhook]\nlisten = \"x\" # = y\n[[pools]]\nname = \"\"\"\nlisten = 1\n\"\"\"\n[pools.meta]\nK = \"v\"\n\n[[pools]]\n\"name\" = 'b'\n",
        );
        let line = |place| positions.line(place);
        assert_eq!(line("a"), 1);
        assert_eq!(line("webhook"), 2);
        assert_eq!(line("webhook.listen"), 3);
        assert_eq!(line("webhook.secret"), 2, "a missing key stands at its section");
        assert_eq!(line("pools.0.name"), 5);
        assert_eq!(line("pools.0.listen"), 4, "text in a string is no key");
        assert_eq!(line("pools.0.meta.K"), 9);
        assert_eq!(line("pools.1.name"), 12);
        assert_eq!(line("nomad.address"), usize::MAX - 1);
    }
}
