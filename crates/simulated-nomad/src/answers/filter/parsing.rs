//! The language of filters: selectors, values, matches, `not`, `and`, `or`, parentheses.
//!
//! go-bexpr's parser backtracks, and says of a text that it does not take what it would have taken
//! where it came furthest. This one does likewise: each attempt notes what it looked for.
//! Read next: `matching.rs`.

/// The steps that go-bexpr's parser may take, in characters of a quoted text: longer ones are
/// refused ([V], with 100 000 characters: at the 99 887th).
const LONGEST_TEXT: usize = 99_886;
/// Deeper expressions than anybody writes would exhaust the stack.
const DEEPEST: usize = 600;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Expression {
    Not(Box<Expression>),
    And(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
    Match(Match),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Match {
    pub selector: Vec<String>,
    pub operator: Operator,
    /// It is the opposite that is asked for.
    pub negated: bool,
    pub value: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    Empty,
    /// The value is in what is selected.
    In,
    Matches,
}

/// # Errors
/// In go-bexpr's words.
pub(super) fn parse(text: &str) -> Result<Expression, String> {
    let mut parser = Parser { text, furthest: 0, expected: Vec::new(), failed: None, depth: 0 };
    let found = parser.whole();
    match (parser.failed, found) {
        (Some(failed), _) => Err(failed),
        (None, Some(expression)) => Ok(expression),
        (None, None) => {
            let mut expected = parser.expected;
            expected.sort_unstable();
            expected.dedup();
            if let Some(at) = expected.iter().position(|it| *it == END) {
                expected.remove(at);
                expected.push("EOF");
            }
            let last = expected.pop().unwrap_or_default();
            let list = match expected.as_slice() {
                [] => last.to_owned(),
                some => format!("{} or {last}", some.join(", ")),
            };
            let place = place(text, parser.furthest);
            Err(format!("{place}: no match found, expected: {list}"))
        }
    }
}

const SPACE: &str = "[ \\t\\r\\n]";
const END: &str = "!.";

/// `line:column (offset)`.
fn place(text: &str, at: usize) -> String {
    let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("{line}:{column} ({at})")
}

struct Parser<'a> {
    text: &'a str,
    furthest: usize,
    expected: Vec<&'static str>,
    /// What nothing can be made of, wherever it is tried.
    failed: Option<String>,
    depth: usize,
}

/// Where an attempt ended, and what it found.
type Found<T> = Option<(usize, T)>;

impl Parser<'_> {
    fn whole(&mut self) -> Option<Expression> {
        let at = self.maybe_space(0);
        let (at, expression) = self.or(at)?;
        let at = self.maybe_space(at);
        if at == self.text.len() {
            return Some(expression);
        }
        self.missed(at, END);
        None
    }

    /// Each of the three can hold another one, and the stack is only so deep.
    fn deeper(
        &mut self,
        at: usize,
        read: impl FnOnce(&mut Self, usize) -> Found<Expression>,
    ) -> Found<Expression> {
        if self.depth > DEEPEST {
            self.failed.get_or_insert_with(|| "max number of expressions parsed".to_owned());
            return None;
        }
        self.depth += 1;
        let found = read(self, at);
        self.depth -= 1;
        found
    }

    fn or(&mut self, at: usize) -> Found<Expression> {
        self.deeper(at, Self::or_below)
    }

    fn and(&mut self, at: usize) -> Found<Expression> {
        self.deeper(at, Self::and_below)
    }

    fn not(&mut self, at: usize) -> Found<Expression> {
        self.deeper(at, Self::not_below)
    }

    fn or_below(&mut self, at: usize) -> Found<Expression> {
        let (at, left) = self.and(at)?;
        let right = self.spaced_word(at, "\"or\"", "or").and_then(|at| self.or(at));
        Some(match right {
            Some((at, right)) => (at, Expression::Or(Box::new(left), Box::new(right))),
            None => (at, left),
        })
    }

    fn and_below(&mut self, at: usize) -> Found<Expression> {
        let (at, left) = self.not(at)?;
        let right = self.spaced_word(at, "\"and\"", "and").and_then(|at| self.and(at));
        Some(match right {
            Some((at, right)) => (at, Expression::And(Box::new(left), Box::new(right))),
            None => (at, left),
        })
    }

    fn not_below(&mut self, at: usize) -> Found<Expression> {
        let inner = self.word(at, "\"not\"", "not").and_then(|at| self.space(at));
        if let Some((at, inner)) = inner.and_then(|at| self.not(at)) {
            return Some((at, Expression::Not(Box::new(inner))));
        }
        if let Some(found) = self.grouped(at) {
            return Some(found);
        }
        self.matching(at).map(|(at, found)| (at, Expression::Match(found)))
    }

    fn grouped(&mut self, at: usize) -> Found<Expression> {
        let at = self.word(at, "\"(\"", "(")?;
        let at = self.maybe_space(at);
        let (at, inner) = self.or(at)?;
        let at = self.maybe_space(at);
        Some((self.word(at, "\")\"", ")")?, inner))
    }

    fn matching(&mut self, at: usize) -> Found<Match> {
        if let Some((after, selector)) = self.selector(at) {
            if let Some((at, operator, negated)) = self.before_value(after)
                && let Some((at, value)) = self.value(at)
            {
                return Some((at, Match { selector, operator, negated, value }));
            }
            if let Some((at, negated)) = self.is_empty(after) {
                let operator = Operator::Empty;
                return Some((at, Match { selector, operator, negated, value: String::new() }));
            }
        }
        let (at, value) = self.value(at)?;
        let (at, negated) = self.after_value(at)?;
        let (at, selector) = self.selector(at)?;
        Some((at, Match { selector, operator: Operator::In, negated, value }))
    }

    fn before_value(&mut self, at: usize) -> Option<(usize, Operator, bool)> {
        let close = self.maybe_space(at);
        for (shown, word, negated) in [("\"==\"", "==", false), ("\"!=\"", "!=", true)] {
            if let Some(at) = self.word(close, shown, word) {
                return Some((self.maybe_space(at), Operator::Equal, negated));
            }
        }
        let spaced = self.space(at)?;
        let words = [
            ("\"contains\"", "contains", Operator::In),
            ("\"matches\"", "matches", Operator::Matches),
        ];
        for (shown, word, operator) in words {
            let plain = self.word(spaced, shown, word).and_then(|at| self.space(at));
            if let Some(at) = plain {
                return Some((at, operator, false));
            }
            let not = self.word(spaced, "\"not\"", "not").and_then(|at| self.space(at));
            let negated = not.and_then(|at| self.word(at, shown, word));
            if let Some(at) = negated.and_then(|at| self.space(at)) {
                return Some((at, operator, true));
            }
        }
        None
    }

    fn is_empty(&mut self, at: usize) -> Found<bool> {
        let at = self.space(at)?;
        let at = self.word(at, "\"is\"", "is")?;
        let at = self.space(at)?;
        if let Some(at) = self.word(at, "\"empty\"", "empty") {
            return Some((at, false));
        }
        let at = self.word(at, "\"not\"", "not")?;
        let at = self.space(at)?;
        Some((self.word(at, "\"empty\"", "empty")?, true))
    }

    fn after_value(&mut self, at: usize) -> Found<bool> {
        let at = self.space(at)?;
        if let Some(at) = self.word(at, "\"in\"", "in").and_then(|at| self.space(at)) {
            return Some((at, false));
        }
        let at = self.word(at, "\"not\"", "not")?;
        let at = self.space(at)?;
        let at = self.word(at, "\"in\"", "in")?;
        Some((self.space(at)?, true))
    }

    /// `Meta.name`, `Meta["name"]`, `"/Meta/name"`.
    fn selector(&mut self, at: usize) -> Found<Vec<String>> {
        if self.text[at..].starts_with("\"/") {
            let (end, text) = self.quoted(at)?;
            let part = |part: &str| part.replace("~1", "/").replace("~0", "~");
            return Some((end, text.split('/').skip(1).map(part).collect()));
        }
        let (mut at, first) = self.identifier(at)?;
        let mut parts = vec![first];
        loop {
            let dotted = self.word(at, "\".\"", ".").and_then(|at| self.identifier(at));
            if let Some((end, part)) = dotted.or_else(|| self.index(at)) {
                parts.push(part);
                at = end;
            } else {
                return Some((at, parts));
            }
        }
    }

    fn index(&mut self, at: usize) -> Found<String> {
        let at = self.word(at, "\"[\"", "[")?;
        let at = self.maybe_space(at);
        let (at, text) = self.quoted(at)?;
        let at = self.maybe_space(at);
        Some((self.word(at, "\"]\"", "]")?, text))
    }

    fn identifier(&mut self, at: usize) -> Found<String> {
        if !self.text[at..].starts_with(|c: char| c.is_ascii_alphabetic()) {
            self.missed(at, "[a-zA-Z]");
            return None;
        }
        let more = |c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '/';
        let end = self.text[at..].find(more).map_or(self.text.len(), |length| at + length);
        Some((end, self.text[at..end].to_owned()))
    }

    fn value(&mut self, at: usize) -> Found<String> {
        if let Some((end, parts)) = self.selector(at) {
            // A word without quotes is a text.
            let pointer = self.text[at..].starts_with('"');
            let text = if pointer { self.quoted(at)?.1 } else { parts.join(".") };
            return Some((end, text));
        }
        self.number(at).or_else(|| self.quoted(at))
    }

    fn number(&mut self, at: usize) -> Found<String> {
        let start = self.word(at, "\"-\"", "-").unwrap_or(at);
        let rest = &self.text[start..];
        if !rest.starts_with(|c: char| c.is_ascii_digit()) {
            self.missed(start, "\"0\"");
            self.missed(start, "[1-9]");
            return None;
        }
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        Some((start + end, self.text[at..start + end].to_owned()))
    }

    fn quoted(&mut self, at: usize) -> Found<String> {
        let rest = &self.text[at..];
        let raw = match rest.chars().next() {
            Some('`') => true,
            Some('"') => false,
            _ => {
                self.missed(at, "\"`\"");
                self.missed(at, "\"\\\"\"");
                return None;
            }
        };
        let inside = &rest[1..];
        let length = inside.find(if raw { '`' } else { '"' });
        if length.unwrap_or(inside.len()) > LONGEST_TEXT {
            let rule = if raw { "RawStringChar" } else { "DoubleStringChar" };
            let place = place(self.text, at + 1 + LONGEST_TEXT);
            let why = format!("{place}: rule {rule}: max number of expressions parsed");
            self.failed.get_or_insert(why);
            return None;
        }
        let Some(length) = length else {
            let why =
                format!("{}: rule \"string\": Unterminated string literal", place(self.text, at));
            self.failed.get_or_insert(why);
            return None;
        };
        let end = at + 1 + length + 1;
        let text = &inside[..length];
        if raw {
            return Some((end, text.replace('\r', "")));
        }
        let Some(text) = unquoted(text) else {
            let why = format!("{}: rule \"string\": invalid syntax", place(self.text, at));
            self.failed.get_or_insert(why);
            return Some((end, String::new()));
        };
        Some((end, text))
    }

    fn spaced_word(&mut self, at: usize, shown: &'static str, word: &str) -> Option<usize> {
        let at = self.space(at)?;
        let at = self.word(at, shown, word)?;
        self.space(at)
    }

    fn word(&mut self, at: usize, shown: &'static str, word: &str) -> Option<usize> {
        if self.text[at..].starts_with(word) {
            return Some(at + word.len());
        }
        self.missed(at, shown);
        None
    }

    fn space(&mut self, at: usize) -> Option<usize> {
        let end = self.maybe_space(at);
        (end > at).then_some(end)
    }

    fn maybe_space(&mut self, at: usize) -> usize {
        let rest = &self.text[at..];
        let length = rest.find(|c: char| !" \t\r\n".contains(c)).unwrap_or(rest.len());
        self.missed(at + length, SPACE);
        at + length
    }

    fn missed(&mut self, at: usize, expected: &'static str) {
        if at > self.furthest {
            self.furthest = at;
            self.expected.clear();
        }
        if at == self.furthest {
            self.expected.push(expected);
        }
    }
}

/// Go's escapes in a text between double quotes.
fn unquoted(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c == '\n' {
            return None;
        }
        if c != '\\' {
            out.push(c);
            continue;
        }
        let (digits, radix) = match rest.next()? {
            'a' => ("7".to_owned(), 16),
            'b' => ("8".to_owned(), 16),
            'f' => ("c".to_owned(), 16),
            'n' => ("a".to_owned(), 16),
            'r' => ("d".to_owned(), 16),
            't' => ("9".to_owned(), 16),
            'v' => ("b".to_owned(), 16),
            '\\' => ("5c".to_owned(), 16),
            'x' => (exactly(&mut rest, 2)?, 16),
            'u' => (exactly(&mut rest, 4)?, 16),
            'U' => (exactly(&mut rest, 8)?, 16),
            first @ '0'..='7' => (format!("{first}{}", exactly(&mut rest, 2)?), 8),
            _ => return None,
        };
        out.push(char::from_u32(u32::from_str_radix(&digits, radix).ok()?)?);
    }
    Some(out)
}

fn exactly(rest: &mut std::str::Chars<'_>, count: usize) -> Option<String> {
    let digits: String = rest.by_ref().take(count).collect();
    (digits.chars().count() == count).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse(text).unwrap_err()
    }

    #[test]
    fn expressions_are_read_with_their_precedence() {
        let Ok(Expression::Or(left, _)) = parse("not (A == 1) and B is not empty or \"x\" in C.d")
        else {
            panic!("`or` binds least")
        };
        assert!(matches!(*left, Expression::And(..)));
        let Ok(Expression::Match(one)) = parse("Meta[\"a b\"].c not matches `^\\d`") else {
            panic!()
        };
        assert_eq!(one.selector, ["Meta", "a b", "c"]);
        assert_eq!((one.operator, one.negated), (Operator::Matches, true));
        assert_eq!(one.value, "^\\d");
        let Ok(Expression::Match(one)) = parse(r#"Token=="a\x22b\\c""#) else { panic!() };
        assert_eq!(one.value, "a\"b\\c");
        assert!(parse("\"x\" not in \"/Meta/name\"").is_ok());
        assert!(parse("Stop == true").is_ok());
    }

    #[test]
    fn no_filter_is_too_deep_or_too_long_to_be_refused() {
        for filter in [
            "not ".repeat(50_000) + "A == 1",
            vec!["A == 1"; 50_000].join(" and "),
            "(".repeat(50_000),
            format!("ID == \"{}\"", "é€".repeat(70_000)),
        ] {
            assert!(parse(&filter).is_err(), "{}", &filter[..8]);
        }
    }

    #[test]
    fn what_is_not_understood_is_told_in_its_words() {
        let operators = "expected: \"!=\", \"==\", \"contains\", \"in\", \"is\", \"matches\", \"not\" \
                         or [ \\t\\r\\n]";
        assert_eq!(error("Priority > 40"), format!("1:10 (9): no match found, {operators}"));
        let values = "expected: \"-\", \"0\", \"\\\"\", \"`\", [ \\t\\r\\n], [1-9] or [a-zA-Z]";
        assert_eq!(error("ID =="), format!("1:6 (5): no match found, {values}"));
        assert_eq!(error("ID == 'x'"), format!("1:7 (6): no match found, {values}"));
        assert_eq!(error(r#"ID == "a\/b""#), "1:7 (6): rule \"string\": invalid syntax");
        assert!(error(&"(".repeat(100_000)).contains("max number"));
    }
}
