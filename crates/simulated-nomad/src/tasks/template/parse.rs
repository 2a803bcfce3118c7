//! From a template's text to its tree.
//!
//! Read next: `run.rs`.

use super::functions;
use super::values::Value;

#[derive(Clone, Debug)]
pub(in crate::tasks) struct Delimiters {
    pub left: String,
    pub right: String,
}

impl Default for Delimiters {
    fn default() -> Self {
        Self { left: "{{".to_owned(), right: "}}".to_owned() }
    }
}

#[derive(Clone, Debug)]
pub(super) enum Node {
    Text(String),
    /// Printed, unless it only sets a variable.
    Action(Pipeline),
    If(Pipeline, Vec<Node>, Vec<Node>),
    With(Pipeline, Vec<Node>, Vec<Node>),
    Range(Pipeline, Vec<Node>, Vec<Node>),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Pipeline {
    /// `$x :=`, or two of a range.
    pub sets: Vec<String>,
    pub commands: Vec<Command>,
}

#[derive(Clone, Debug)]
pub(super) struct Command {
    pub operands: Vec<Operand>,
    /// As Go shows it in an error.
    pub shown: String,
    /// Line, counted from 1, and column, counted from 0.
    pub at: (usize, usize),
}

#[derive(Clone, Debug)]
pub(super) enum Operand {
    Value(Value),
    /// `.a.b`
    Dot(Vec<String>),
    /// `$x.a`
    Variable(String, Vec<String>),
    Function(String),
    Inner(Box<Pipeline>, Vec<String>),
}

type Place = (usize, usize);

/// An action's text and where it begins; None: the end of the template.
struct Piece {
    text: String,
    action: Option<(String, Place)>,
}

/// # Errors
/// As Go words them, from `template: ` on.
pub(super) fn parse(text: &str, delimiters: &Delimiters) -> Result<Vec<Node>, String> {
    let mut pieces = pieces(text, delimiters)?.into_iter();
    let lines = text.lines().count().max(1);
    let (nodes, end) = block(&mut pieces, lines)?;
    match end {
        End::OfText => Ok(nodes),
        End::Of(_, (line, _)) => Err(format!("template: :{line}: unexpected {{{{end}}}}")),
    }
}

fn pieces(text: &str, delimiters: &Delimiters) -> Result<Vec<Piece>, String> {
    let mut all = Vec::new();
    let (mut rest, mut from, mut trim) = (text, 0, false);
    let place = |at: usize| {
        let before = &text[..at];
        let line = before.matches('\n').count() + 1;
        (line, at - before.rfind('\n').map_or(0, |it| it + 1))
    };
    while let Some(at) = rest.find(&delimiters.left) {
        let mut before = &rest[..at];
        if trim {
            before = before.trim_start();
        }
        let start = at + delimiters.left.len();
        let Some(length) = end_of_action(&rest[start..], &delimiters.right) else {
            return Err(format!("template: :{}: unclosed action", place(from + at).0));
        };
        let mut action = &rest[start..start + length];
        let mut offset = from + start;
        if action.starts_with("- ") || action.starts_with("-\n") || action.starts_with("-\t") {
            before = before.trim_end();
            action = &action[1..];
            offset += 1;
        }
        trim = action.ends_with(" -") || action.ends_with("\n-");
        let action = if trim { &action[..action.len() - 1] } else { action };
        let blank = action.len() - action.trim_start().len();
        all.push(Piece {
            text: before.to_owned(),
            action: Some((action.trim().to_owned(), place(offset + blank))),
        });
        let next = start + length + delimiters.right.len();
        rest = &rest[next..];
        from += next;
    }
    let text = if trim { rest.trim_start() } else { rest };
    all.push(Piece { text: text.to_owned(), action: None });
    Ok(all)
}

/// Where the right delimiter is, outside of texts.
fn end_of_action(text: &str, right: &str) -> Option<usize> {
    let mut quote = None;
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match quote {
            Some('"') if letter == '\\' => {
                letters.next();
            }
            Some(open) if open == letter => quote = None,
            Some(_) => {}
            None if text[at..].starts_with(right) => return Some(at),
            None if letter == '"' || letter == '`' => quote = Some(letter),
            None => {}
        }
    }
    None
}

enum End {
    OfText,
    /// `end`, `else`, `else if …`.
    Of(String, Place),
}

fn block(
    pieces: &mut impl Iterator<Item = Piece>,
    lines: usize,
) -> Result<(Vec<Node>, End), String> {
    let mut nodes = Vec::new();
    for piece in pieces.by_ref() {
        if !piece.text.is_empty() {
            nodes.push(Node::Text(piece.text));
        }
        let Some((action, at)) = piece.action else { return Ok((nodes, End::OfText)) };
        if action.is_empty() || action.starts_with("/*") {
            continue;
        }
        let (word, tail) = action.split_once(char::is_whitespace).unwrap_or((&action, ""));
        match word {
            "end" | "else" => return Ok((nodes, End::Of(action, at))),
            "if" | "with" | "range" => {
                let column = at.1 + word.len() + 1;
                nodes.push(branches(word, tail, (at.0, column), pieces, lines)?);
                // `pieces` was borrowed meanwhile; go on behind the branch's end.
                let (more, end) = block(pieces, lines)?;
                nodes.extend(more);
                return Ok((nodes, end));
            }
            _ => nodes.push(Node::Action(Parser::new(&action, at).whole()?)),
        }
    }
    Ok((nodes, End::OfText))
}

fn branches(
    word: &str,
    tail: &str,
    at: Place,
    pieces: &mut dyn Iterator<Item = Piece>,
    lines: usize,
) -> Result<Node, String> {
    let condition = Parser::new(tail, at).whole()?;
    let mut pieces = pieces;
    let (body, end) = block(&mut pieces, lines)?;
    let otherwise = match end {
        End::OfText => return Err(format!("template: :{lines}: unexpected EOF")),
        End::Of(end, _) if end == "end" => Vec::new(),
        End::Of(end, at) => match end.strip_prefix("else").map(str::trim) {
            Some("") => match block(&mut pieces, lines)? {
                (nodes, End::Of(end, _)) if end == "end" => nodes,
                _ => return Err(format!("template: :{lines}: unexpected EOF")),
            },
            Some(more) => {
                let (word, tail) = more.split_once(char::is_whitespace).unwrap_or((more, ""));
                vec![branches(word, tail, at, pieces, lines)?]
            }
            None => return Err(format!("template: :{}: unexpected {end}", at.0)),
        },
    };
    Ok(match word {
        "if" => Node::If(condition, body, otherwise),
        "with" => Node::With(condition, body, otherwise),
        _ => Node::Range(condition, body, otherwise),
    })
}

struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
    at: Place,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, at: Place) -> Self {
        Self { text, rest: text, at }
    }

    fn whole(mut self) -> Result<Pipeline, String> {
        let pipeline = self.pipeline()?;
        if self.rest.is_empty() { Ok(pipeline) } else { Err(self.unexpected()) }
    }

    fn pipeline(&mut self) -> Result<Pipeline, String> {
        let mut pipeline = Pipeline { sets: self.sets(), commands: Vec::new() };
        loop {
            pipeline.commands.push(self.command()?);
            if !self.take("|") {
                return Ok(pipeline);
            }
        }
    }

    /// `$a :=`, `$a, $b :=`, `$a =`.
    fn sets(&mut self) -> Vec<String> {
        let Some((names, rest)) =
            self.rest.split_once(":=").or_else(|| self.rest.split_once(" = "))
        else {
            return Vec::new();
        };
        let names: Vec<&str> = names.split(',').map(str::trim).collect();
        let is_name = |name: &str| name.starts_with('$') && name[1..].chars().all(is_part);
        if !names.iter().all(|name| is_name(name)) {
            return Vec::new();
        }
        self.rest = rest;
        names.into_iter().map(str::to_owned).collect()
    }

    fn command(&mut self) -> Result<Command, String> {
        self.skip_spaces();
        let column = self.text.len() - self.rest.len();
        let before = self.rest;
        let mut operands = Vec::new();
        loop {
            self.skip_spaces();
            if self.rest.is_empty() || self.rest.starts_with(['|', ')']) {
                break;
            }
            operands.push(self.operand()?);
        }
        if operands.is_empty() {
            return Err(format!("template: :{}: missing value for command", self.at.0));
        }
        let shown = before[..before.len() - self.rest.len()].trim().to_owned();
        Ok(Command { operands, shown, at: (self.at.0, self.at.1 + column) })
    }

    fn operand(&mut self) -> Result<Operand, String> {
        if self.take("(") {
            let inner = self.pipeline()?;
            if !self.take(")") {
                return Err(format!("template: :{}: unclosed left paren", self.at.0));
            }
            return Ok(Operand::Inner(Box::new(inner), self.fields()));
        }
        if let Some(quote) = self.rest.chars().next().filter(|it| "\"`".contains(*it)) {
            return self.quoted(quote).map(|text| Operand::Value(Value::Text(text)));
        }
        if self.rest.starts_with('$') {
            let length = self.rest[1..].find(|c| !is_part(c)).map_or(self.rest.len(), |it| it + 1);
            let (name, rest) = self.rest.split_at(length);
            self.rest = rest;
            return Ok(Operand::Variable(name.to_owned(), self.fields()));
        }
        if self.rest.starts_with('.') {
            let fields = self.fields();
            if fields.is_empty() {
                self.rest = &self.rest[1..];
            }
            return Ok(Operand::Dot(fields));
        }
        let length = self.rest.find(|c| !is_part(c) && c != '-').unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(length);
        if word.is_empty() {
            return Err(self.unexpected());
        }
        self.rest = rest;
        if let Ok(number) = word.parse() {
            return Ok(Operand::Value(Value::Number(number)));
        }
        match word {
            "nil" => Ok(Operand::Value(Value::Nil)),
            "true" | "false" => Ok(Operand::Value(Value::Bool(word == "true"))),
            _ if functions::is_known(word) => Ok(Operand::Function(word.to_owned())),
            _ => Err(format!("template: :{}: function {word:?} not defined", self.at.0)),
        }
    }

    /// `.a.b`
    fn fields(&mut self) -> Vec<String> {
        let mut fields = Vec::new();
        while let Some(tail) = self.rest.strip_prefix('.') {
            let length = tail.find(|c| !is_part(c)).unwrap_or(tail.len());
            if length == 0 {
                break;
            }
            fields.push(tail[..length].to_owned());
            self.rest = &tail[length..];
        }
        fields
    }

    fn quoted(&mut self, quote: char) -> Result<String, String> {
        let mut text = String::new();
        let mut letters = self.rest.char_indices().skip(1);
        while let Some((at, letter)) = letters.next() {
            match letter {
                _ if letter == quote => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(text);
                }
                '\\' if quote == '"' => match letters.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, 'r')) => text.push('\r'),
                    Some((_, other)) => text.push(other),
                    None => break,
                },
                _ => text.push(letter),
            }
        }
        Err(format!("template: :{}: unterminated quoted string", self.at.0))
    }

    fn take(&mut self, text: &str) -> bool {
        self.skip_spaces();
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn unexpected(&self) -> String {
        let found = self.rest.chars().next().unwrap_or(' ');
        format!("template: :{}: unexpected {found:?} in command", self.at.0)
    }
}

fn is_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
