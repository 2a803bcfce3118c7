//! HCL in its first version, which policies are written in: reads a text into nested blocks.
//!
//! Not HCL 2, as jobs are: here several arguments of a block may stand on one line, and the errors
//! name a token and its place. The same in JSON is read as well. No heredocs and no interpolation,
//! for no policy has them. Read next: `rules.rs`.

use serde_json::Value as Json;

/// `keys… = value` or `keys… { … }`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Item {
    pub keys: Vec<String>,
    pub value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    /// A number or a bool, as it was written.
    Bare(String),
    List(Vec<Value>),
    Block(Vec<Item>),
}

/// # Errors
/// `At 1:13: …`, in the parser's words.
pub(super) fn parse(text: &str) -> Result<Vec<Item>, String> {
    if text.trim_start().starts_with('{') {
        let json: Json = serde_json::from_str(text).map_err(|error| error.to_string())?;
        return Ok(from_json(&json));
    }
    let mut parser = Parser { scanner: Scanner::new(text), ahead: None, depth: 0 };
    parser.items(Within::File).map_err(|Error { line, column, what }| {
        // Places are counted from the last line's beginning, and each read past the end is one.
        format!("At {line}:{column}: {what}")
    })
}

fn from_json(json: &Json) -> Vec<Item> {
    let Json::Object(object) = json else { return Vec::new() };
    object.iter().flat_map(|(key, value)| labelled(vec![key.clone()], value)).collect()
}

/// Objects of objects are blocks with labels, and lists of objects are several blocks.
fn labelled(keys: Vec<String>, value: &Json) -> Vec<Item> {
    match value {
        Json::Array(all) if !all.is_empty() && all.iter().all(Json::is_object) => {
            all.iter().flat_map(|one| labelled(keys.clone(), one)).collect()
        }
        Json::Object(inner) if !inner.is_empty() && inner.values().all(Json::is_object) => {
            let deeper = inner.iter().map(|(label, value)| {
                let keys = keys.iter().chain([label]).cloned().collect();
                // One label is all that a policy has: what is below it is content.
                Item { keys, value: Value::Block(from_json(value)) }
            });
            deeper.collect()
        }
        Json::Object(_) => vec![Item { keys, value: Value::Block(from_json(value)) }],
        Json::Array(all) => vec![Item { keys, value: Value::List(all.iter().map(bare).collect()) }],
        other => vec![Item { keys, value: bare(other) }],
    }
}

fn bare(json: &Json) -> Value {
    match json {
        Json::String(text) => Value::Text(text.clone()),
        other => Value::Bare(other.to_string()),
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Eof,
    Illegal,
    Ident(String),
    Number(String),
    Bool(String),
    Text(String),
    LBrack,
    LBrace,
    Comma,
    RBrack,
    RBrace,
    Assign,
}

impl Kind {
    fn name(&self) -> &'static str {
        match self {
            Self::Eof => "EOF",
            Self::Illegal => "ILLEGAL",
            Self::Ident(_) => "IDENT",
            Self::Number(_) => "NUMBER",
            Self::Bool(_) => "BOOL",
            Self::Text(_) => "STRING",
            Self::LBrack => "LBRACK",
            Self::LBrace => "LBRACE",
            Self::Comma => "COMMA",
            Self::RBrack => "RBRACK",
            Self::RBrace => "RBRACE",
            Self::Assign => "ASSIGN",
        }
    }
}

#[derive(Clone, Debug)]
struct Token {
    kind: Kind,
    line: usize,
    column: usize,
}

#[derive(Debug)]
struct Error {
    line: usize,
    column: usize,
    what: String,
}

impl Token {
    fn error(&self, what: impl Into<String>) -> Error {
        Error { line: self.line, column: self.column, what: what.into() }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Within {
    File,
    Braces,
}

/// So deep blocks and lists may be in each other; no policy has more than three. It is read by recursion, and
/// the stack has an end.
const DEEPEST: usize = 100;

struct Parser<'a> {
    scanner: Scanner<'a>,
    ahead: Option<Token>,
    depth: usize,
}

impl Parser<'_> {
    fn next(&mut self) -> Result<Token, Error> {
        match self.ahead.take() {
            Some(token) => Ok(token),
            None => self.scanner.token(),
        }
    }

    fn items(&mut self, within: Within) -> Result<Vec<Item>, Error> {
        let mut items = Vec::new();
        loop {
            let token = self.next()?;
            if token.kind == Kind::Eof {
                return Ok(items);
            }
            if within == Within::Braces && token.kind == Kind::RBrace {
                self.ahead = Some(token);
                return Ok(items);
            }
            self.ahead = Some(token);
            match self.item()? {
                Some(item) => items.push(item),
                None => return Ok(items),
            }
            let token = self.next()?;
            if token.kind != Kind::Comma {
                self.ahead = Some(token);
            }
        }
    }

    /// None: the text ended.
    fn item(&mut self) -> Result<Option<Item>, Error> {
        let mut keys: Vec<String> = Vec::new();
        loop {
            let token = self.next()?;
            match &token.kind {
                Kind::Ident(key) | Kind::Text(key) => keys.push(key.clone()),
                Kind::Eof if keys.is_empty() => return Ok(None),
                Kind::Eof => {
                    let keys = keys.join(" ");
                    return Err(token.error(format!(
                        "key '{keys}' expected start of object ('{{') or assignment ('=')"
                    )));
                }
                Kind::Assign if keys.is_empty() => return Err(token.error("no object keys found!")),
                Kind::Assign if keys.len() > 1 => {
                    return Err(token.error("nested object expected: LBRACE got: ASSIGN"));
                }
                Kind::Assign => return Ok(Some(Item { keys, value: self.value()? })),
                Kind::LBrace if keys.is_empty() => {
                    return Err(token.error("expected: IDENT | STRING got: LBRACE"));
                }
                Kind::LBrace => return Ok(Some(Item { keys, value: self.block()? })),
                Kind::Illegal => return Err(token.error("illegal character")),
                other => {
                    let name = other.name();
                    return Err(token
                        .error(format!("expected: IDENT | STRING | ASSIGN | LBRACE got: {name}")));
                }
            }
        }
    }

    /// After `{`.
    fn block(&mut self) -> Result<Value, Error> {
        let items = self.deeper(|parser| parser.items(Within::Braces))?;
        let token = self.next()?;
        if token.kind == Kind::RBrace {
            return Ok(Value::Block(items));
        }
        Err(token.error(format!("object expected closing RBRACE got: {}", token.kind.name())))
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        if self.depth == DEEPEST {
            let (line, column) = (self.scanner.line, self.scanner.column);
            let what = format!("nested more than {DEEPEST} deep");
            return Err(Error { line, column, what });
        }
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn value(&mut self) -> Result<Value, Error> {
        let token = self.next()?;
        match token.kind {
            Kind::Text(text) => Ok(Value::Text(text)),
            Kind::Number(text) | Kind::Bool(text) => Ok(Value::Bare(text)),
            Kind::LBrace => self.block(),
            Kind::LBrack => self.deeper(Self::list),
            ref other => Err(token.error(format!("Unknown token: {}", other.name()))),
        }
    }

    /// After `[`.
    fn list(&mut self) -> Result<Value, Error> {
        let mut list = Vec::new();
        let mut comma = true;
        loop {
            let token = self.next()?;
            match &token.kind {
                Kind::RBrack => return Ok(Value::List(list)),
                Kind::Comma if !comma => comma = true,
                Kind::Text(_) | Kind::Number(_) | Kind::Bool(_) | Kind::LBrace | Kind::LBrack
                    if comma =>
                {
                    self.ahead = Some(token);
                    list.push(self.value()?);
                    comma = false;
                }
                other if !comma => {
                    let name = other.name();
                    return Err(token.error(format!(
                        "error parsing list, expected comma or list end, got: {name}"
                    )));
                }
                other => {
                    let name = other.name();
                    return Err(token.error(format!("unexpected token while parsing list: {name}")));
                }
            }
        }
    }
}

struct Scanner<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    line: usize,
    column: usize,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text.chars().peekable(), line: 1, column: 0 }
    }

    fn bump(&mut self) -> Option<char> {
        let next = self.rest.next();
        self.column += 1;
        if next == Some('\n') {
            self.line += 1;
            self.column = 0;
        }
        next
    }

    fn take_while(&mut self, so: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(next) = self.rest.next_if(|next| so(*next)) {
            self.column += 1;
            taken.push(next);
        }
        taken
    }

    fn token(&mut self) -> Result<Token, Error> {
        loop {
            while self.rest.peek().is_some_and(|next| " \t\r\n".contains(*next)) {
                self.bump();
            }
            let first = self.bump();
            let (line, column) = (self.line, self.column);
            let kind = match first {
                None => Kind::Eof,
                Some('#') => {
                    self.take_while(|next| next != '\n');
                    continue;
                }
                Some('/') => {
                    self.comment(line, column)?;
                    continue;
                }
                Some('{') => Kind::LBrace,
                Some('}') => Kind::RBrace,
                Some('[') => Kind::LBrack,
                Some(']') => Kind::RBrack,
                Some(',') => Kind::Comma,
                Some('=') => Kind::Assign,
                Some('"') => Kind::Text(self.text(line, column)?),
                Some(first) if first.is_ascii_digit() || first == '-' => {
                    let more = self.take_while(|next| next.is_ascii_alphanumeric() || next == '.');
                    Kind::Number(format!("{first}{more}"))
                }
                Some(first) if first.is_alphabetic() || first == '_' => {
                    let more =
                        self.take_while(|next| next.is_alphanumeric() || "_-.".contains(next));
                    match format!("{first}{more}") {
                        word if word == "true" || word == "false" => Kind::Bool(word),
                        word => Kind::Ident(word),
                    }
                }
                Some(_) => Kind::Illegal,
            };
            return Ok(Token { kind, line, column });
        }
    }

    /// After the first `/`.
    fn comment(&mut self, line: usize, column: usize) -> Result<(), Error> {
        let error = |what: &str| Error { line, column, what: what.to_owned() };
        match self.rest.peek() {
            Some('/') => {
                self.take_while(|next| next != '\n');
                Ok(())
            }
            Some('*') => {
                self.bump();
                let mut last = ' ';
                while let Some(next) = self.bump() {
                    if last == '*' && next == '/' {
                        return Ok(());
                    }
                    last = next;
                }
                Err(error("comment not terminated"))
            }
            _ => Err(error("expected '/' for comment")),
        }
    }

    /// After the first `"`.
    fn text(&mut self, line: usize, column: usize) -> Result<String, Error> {
        let mut text = String::new();
        loop {
            match self.bump() {
                Some('"') => return Ok(text),
                Some('\\') => match self.bump() {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some(other) => text.push(other),
                    None => {}
                },
                None | Some('\n') => {
                    let what = "literal not terminated".to_owned();
                    return Err(Error { line, column, what });
                }
                Some(other) => text.push(other),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(keys: &[&str], items: Vec<Item>) -> Item {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        Item { keys, value: Value::Block(items) }
    }

    fn text(key: &str, value: &str) -> Item {
        Item { keys: vec![key.to_owned()], value: Value::Text(value.to_owned()) }
    }

    #[test]
    fn blocks_on_one_line_comments_and_json() {
        let expected =
            vec![block(&["namespace", "ci"], vec![text("policy", "read"), text("x", "y")])];
        let one_line = r#"namespace "ci" { policy = "read" x = "y" } # and no more"#;
        assert_eq!(parse(one_line), Ok(expected.clone()));
        let json = r#"{"namespace": {"ci": {"policy": "read", "x": "y"}}}"#;
        assert_eq!(parse(json), Ok(expected));
        let list = parse("/* a */ capabilities = [\"a\", // first\n \"b\",]").unwrap();
        let both = vec![Value::Text("a".into()), Value::Text("b".into())];
        assert_eq!(list[0].value, Value::List(both));
    }

    #[test]
    fn what_is_too_deep_is_refused() {
        for open in ["a {", "a = {"] {
            let error = parse(&open.repeat(100_000)).unwrap_err();
            assert!(error.contains("nested more than 100 deep"), "{error}");
        }
        let lists = format!("a = {}", "[".repeat(100_000));
        assert!(parse(&lists).unwrap_err().contains("nested more than 100 deep"));
        assert!(parse(&format!("{}{}", "a {".repeat(100), "}".repeat(100))).is_ok());
    }

    #[test]
    fn errors_name_their_place() {
        for (text, error) in [
            ("namespace {", "At 1:13: object expected closing RBRACE got: EOF"),
            (
                "a = [\"x\" \"y\"]",
                "At 1:10: error parsing list, expected comma or list end, got: STRING",
            ),
            ("a = \"x", "At 1:5: literal not terminated"),
            ("a { ] }", "At 1:5: expected: IDENT | STRING | ASSIGN | LBRACE got: RBRACK"),
            ("a b = 1", "At 1:5: nested object expected: LBRACE got: ASSIGN"),
        ] {
            assert_eq!(parse(text), Err(error.to_owned()), "{text}");
        }
    }
}
