//! A line of text in pieces of one tone each, as wide as a terminal shows it.

use unicode_width::UnicodeWidthChar;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Dim,
    Strong,
    Good,
    Bad,
    Wait,
    Busy,
    /// Where the cursor is.
    Chosen,
}

impl Tone {
    fn code(self) -> Option<&'static str> {
        Some(match self {
            Tone::Plain => return None,
            Tone::Dim => "2",
            Tone::Strong => "1",
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Wait => "33",
            Tone::Busy => "36",
            Tone::Chosen => "7",
        })
    }
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Line(Vec<(Tone, String)>);

impl Line {
    #[must_use]
    pub fn with(mut self, tone: Tone, text: impl Into<String>) -> Self {
        self.0.push((tone, text.into()));
        self
    }

    /// In columns of a terminal.
    pub fn width(&self) -> usize {
        self.0.iter().map(|(_, text)| columns(text)).sum()
    }

    /// At most so wide; what does not fit ends in an ellipsis.
    #[must_use]
    pub fn cut(self, width: usize) -> Self {
        if self.width() <= width {
            return self;
        }
        let Some(mut left) = width.checked_sub(1) else { return Self::default() };
        let mut cut = Self::default();
        for (tone, text) in self.0 {
            let fits = first(&text, left);
            left -= columns(fits);
            cut = cut.with(tone, fits);
            if fits.len() < text.len() {
                break;
            }
        }
        cut.with(Tone::Dim, "…")
    }

    /// The whole of it in one tone, up to that width.
    #[must_use]
    pub fn all(self, tone: Tone, width: usize) -> Self {
        let mut text: String = self.0.into_iter().map(|(_, text)| text).collect();
        text.push_str(&" ".repeat(width.saturating_sub(columns(&text))));
        Self(vec![(tone, text)])
    }

    pub fn show(&self, colour: bool) -> String {
        let paint = |(tone, text): &(Tone, String)| match tone.code().filter(|_| colour) {
            Some(code) => format!("\x1b[{code}m{text}\x1b[0m"),
            None => text.clone(),
        };
        let text: String = self.0.iter().map(paint).collect();
        text.trim_end().to_owned()
    }
}

/// How many columns of a terminal a text takes.
pub fn columns(text: &str) -> usize {
    text.chars().map(wide).sum()
}

/// What of it fits into so many columns.
fn first(text: &str, width: usize) -> &str {
    let mut taken = 0;
    for (place, c) in text.char_indices() {
        taken += wide(c);
        if taken > width {
            return &text[..place];
        }
    }
    text
}

/// Exactly so wide: cut with an ellipsis, or filled up with spaces.
pub fn fit(text: &str, width: usize) -> String {
    let mut fitted = match columns(text) > width {
        true => format!("{}…", first(text, width.saturating_sub(1))),
        false => text.to_owned(),
    };
    if width == 0 {
        fitted.clear();
    }
    fitted.push_str(&" ".repeat(width.saturating_sub(columns(&fitted))));
    fitted
}

fn wide(c: char) -> usize {
    c.width().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_is_cut_where_the_terminal_ends() {
        let line = Line::default().with(Tone::Good, "done ").with(Tone::Plain, "octo/app");
        assert_eq!(line.clone().cut(13).show(false), "done octo/app");
        assert_eq!(line.clone().cut(8).show(false), "done oc…");
        assert_eq!(line.clone().cut(3).show(true), "\x1b[32mdo\x1b[0m\x1b[2m…\x1b[0m");
        assert_eq!(line.cut(0).show(false), "");
    }

    #[test]
    fn a_wide_letter_takes_two_columns() {
        assert_eq!((columns("大きさ"), columns("größe"), columns("e\u{301}")), (6, 5, 1));
        assert_eq!(fit("大きさ", 4), "大… ");
        assert_eq!(fit("ab", 4), "ab  ");
        assert_eq!(fit("ab", 0), "");
    }

    #[test]
    fn a_chosen_line_is_one_bar() {
        let line = Line::default().with(Tone::Good, "a").with(Tone::Bad, "b");
        assert_eq!(line.clone().all(Tone::Chosen, 4).show(true), "\x1b[7mab  \x1b[0m");
        assert_eq!(line.all(Tone::Chosen, 4).show(false), "ab");
    }

    proptest! {
        #[test]
        fn whatever_is_cut_or_fitted_is_as_wide_as_asked(text in ".*", width in 0usize..50) {
            prop_assert_eq!(columns(&fit(&text, width)), width);
            let cut = Line::default().with(Tone::Plain, text.clone()).with(Tone::Dim, text).cut(width);
            prop_assert!(cut.width() <= width);
        }
    }
}
