//! Places in a text, and what HCL says is wrong at them.
//!
//! hcl-rs says only where it could go no further. The few mistakes that people make are told apart
//! by looking at the text around that place, and said as hashicorp/hcl says them; for any other
//! its general words have to do.

use std::fmt;
use std::ops::Range;

use hcl::edit::Span as _;
use hcl::edit::structure::{Attribute, Block, Body};

/// What the request's text is called.
const NAME: &str = "input.hcl";

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// None: nowhere in particular.
    at: Option<String>,
    summary: String,
    detail: String,
}

impl Diagnostic {
    pub fn new(at: String, summary: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { at: Some(at), summary: summary.into(), detail: detail.into() }
    }

    pub fn nowhere(summary: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { at: None, summary: summary.into(), detail: detail.into() }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at.as_deref().unwrap_or("<nil>");
        write!(f, "{at}: {}; {}", self.summary, self.detail)
    }
}

/// A text with its lines.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    pub text: &'a str,
}

impl<'a> Source<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text }
    }

    pub fn read(&self) -> Result<Body, Diagnostic> {
        hcl::edit::parser::parse_body(self.text)
            .map_err(|error| self.syntax(error.location().offset()))
    }

    /// `input.hcl:LINE,COLUMN-COLUMN`, counted from one; the end is the place after the last.
    pub fn range(&self, span: Option<Range<usize>>) -> String {
        let span = span.unwrap_or_default();
        let (line, column) = self.position(span.start);
        let (end_line, end_column) = self.position(span.end);
        if line == end_line {
            format!("{NAME}:{line},{column}-{end_column}")
        } else {
            format!("{NAME}:{line},{column}-{end_line},{end_column}")
        }
    }

    fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line..].chars().count() + 1)
    }

    pub fn unexpected_block(&self, block: &Block) -> Diagnostic {
        let kind = block.ident.as_str();
        let detail = format!("Blocks of type {kind:?} are not expected here.");
        Diagnostic::new(self.range(block.ident.span()), "Unsupported block type", detail)
    }

    pub fn unexpected_argument(&self, attribute: &Attribute) -> Diagnostic {
        let name = attribute.key.as_str();
        let detail = format!("An argument named {name:?} is not expected here.");
        Diagnostic::new(self.range(attribute.key.span()), "Unsupported argument", detail)
    }

    /// Why the text cannot be read beyond `offset`.
    fn syntax(&self, offset: usize) -> Diagnostic {
        let text = self.text;
        let end = text.len();
        let offset = offset.min(end);
        if text.trim_end().ends_with('=') {
            return Diagnostic::new(
                self.range(Some(end..end)),
                "Missing expression",
                "Expected the start of an expression, but found the end of the file.",
            );
        }
        if let Some(open) = open_brace(text) {
            return Diagnostic::new(
                self.range(Some(open..open + 1)),
                "Unclosed configuration block",
                "There is no closing brace for this block before the end of the file. This may be \
                 caused by incorrect brace nesting elsewhere in this file.",
            );
        }
        let rest = &text[offset..];
        let start = offset + (rest.len() - rest.trim_start_matches([' ', '\t']).len());
        let word = text[start..].find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-'));
        // At least one character, however many bytes that has.
        let first = text[start..].chars().next().map_or(0, char::len_utf8);
        let word = start..start + word.unwrap_or(end - start).max(first).min(end - start);
        let line = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let before = &text[line..start];
        // What stands before it in the block: its one argument.
        let inside = before.rfind('{').is_some_and(|at| before[at..].contains('='));
        let is_name = text[word.clone()].starts_with(|c: char| c.is_alphabetic() || c == '_');
        if inside && is_name {
            return Diagnostic::new(
                self.range(Some(word)),
                "Invalid single-argument block definition",
                "A single-line block definition must end with a closing brace immediately after \
                 its single argument definition.",
            );
        }
        Diagnostic::new(
            self.range(Some(word)),
            "Argument or block definition required",
            "An argument or block definition is required here.",
        )
    }
}

/// The innermost brace that is never closed.
fn open_brace(text: &str) -> Option<usize> {
    let mut open = Vec::new();
    let mut rest = text.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        match c {
            '{' => open.push(at),
            '}' => {
                open.pop();
            }
            '"' => {
                while let Some((_, c)) = rest.next() {
                    match c {
                        '\\' => {
                            rest.next();
                        }
                        '"' | '\n' => break,
                        _ => {}
                    }
                }
            }
            '#' => while rest.next_if(|(_, c)| *c != '\n').is_some() {},
            '/' if rest.next_if(|(_, c)| *c == '/').is_some() => {
                while rest.next_if(|(_, c)| *c != '\n').is_some() {}
            }
            _ => {}
        }
    }
    open.pop()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        Source::new(text).read().unwrap_err().to_string()
    }

    fn begins(text: &str, said: &str) {
        let why = wrong(text);
        assert!(why.starts_with(said), "{why}");
    }

    #[test]
    fn mistakes_are_told_apart() {
        begins("job \"x\" { type = ", "input.hcl:1,18-18: Missing expression; ");
        begins("job \"x\" {\n  group \"g\" {\n", "input.hcl:2,13-14: Unclosed configuration ");
        let two = "job \"x\" {\n  a { b = \"c\" d = [\"a\"] }\n}";
        begins(two, "input.hcl:2,15-16: Invalid single-argument block definition; ");
        begins("job \"x\" {\n  type = \"a\"\n  ]\n}", "input.hcl:3,3-4: Argument or block ");
    }
}
