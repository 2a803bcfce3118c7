//! JSON as Go reads it: the first value counts, keys are found in any case, `null` is nothing said,
//! and what is wrong is told in Go's words.
//!
//! A [`Shape`] says what is to be read; [`decode`] gives it with its keys in their proper spelling.
//! Read next: `dispatching.rs` (one that is read so).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// A type of Go's, as far as JSON is read into it.
#[derive(Debug)]
pub(crate) enum Shape {
    Text,
    Int,
    Bool,
    /// Text in base64.
    Bytes,
    /// Whatever it is.
    Any,
    Map(&'static Shape),
    List(&'static Shape),
    Struct(&'static Struct),
}

#[derive(Debug)]
pub(crate) struct Struct {
    /// With its package.
    pub name: &'static str,
    pub fields: &'static [(&'static str, Shape)],
}

/// # Errors
/// In Go's words.
pub(crate) fn decode(body: &[u8], into: &'static Struct) -> Result<Value, String> {
    let shape = Shape::Struct(into);
    read(&value(body)?, &shape, &Place { inside: "", path: String::new() })
}

/// Values within values. Go takes 10 000, which is more than this stack may hold; nothing real has ten.
const DEEPEST: usize = 1_000;

/// The first value in a text; whatever comes after it is left alone.
///
/// # Errors
/// In Go's words.
pub(crate) fn value(body: &[u8]) -> Result<Value, String> {
    let mut scanner = Scanner { text: body, at: 0, depth: 0 };
    scanner.space();
    if scanner.peek().is_none() {
        return Err("EOF".to_owned());
    }
    let start = scanner.at;
    scanner.value()?;
    let text = String::from_utf8_lossy(&body[start..scanner.at]);
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

/// Where in the value the reading is.
struct Place {
    /// The struct around, without its package; empty at the outside.
    inside: &'static str,
    path: String,
}

fn read(value: &Value, shape: &Shape, place: &Place) -> Result<Value, String> {
    let wrong = |what: &str| {
        let of = name(shape);
        if place.path.is_empty() {
            return format!("json: cannot unmarshal {what} into Go value of type {of}");
        }
        let (inside, path) = (place.inside, &place.path);
        format!("json: cannot unmarshal {what} into Go struct field {inside}.{path} of type {of}")
    };
    match (shape, value) {
        (_, Value::Null) => Ok(Value::Null),
        (Shape::Any, any) => Ok(any.clone()),
        (Shape::Text, Value::String(_)) | (Shape::Bool, Value::Bool(_)) => Ok(value.clone()),
        (Shape::Int, Value::Number(number)) if number.is_i64() => Ok(value.clone()),
        (Shape::Int, Value::Number(number)) => Err(wrong(&format!("number {number}"))),
        (Shape::Bytes, Value::String(text)) => {
            base64_error(text.as_bytes()).map_or_else(|| Ok(value.clone()), Err)
        }
        (Shape::Map(inner), Value::Object(map)) => {
            let one = |(key, value): (&String, &Value)| {
                read(value, inner, place).map(|value| (key.clone(), value))
            };
            map.iter().map(one).collect::<Result<Map<_, _>, _>>().map(Value::Object)
        }
        (Shape::List(inner), Value::Array(list)) => {
            list.iter().map(|value| read(value, inner, place)).collect()
        }
        (Shape::Struct(inner), Value::Object(map)) => {
            let mut out = Map::new();
            for (key, value) in map {
                let known = |(name, _): &&(&str, Shape)| name.eq_ignore_ascii_case(key);
                let Some((name, shape)) = inner.fields.iter().find(known) else { continue };
                let dot = if place.path.is_empty() { "" } else { "." };
                let path = format!("{}{dot}{name}", place.path);
                let inside = inner.name.rsplit('.').next().unwrap_or_default();
                let value = read(value, shape, &Place { inside, path })?;
                if !value.is_null() {
                    out.insert((*name).to_owned(), value);
                }
            }
            Ok(Value::Object(out))
        }
        (_, value) => Err(wrong(match value {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        })),
    }
}

fn name(shape: &Shape) -> String {
    match shape {
        Shape::Text => "string".to_owned(),
        Shape::Int => "int".to_owned(),
        Shape::Bool => "bool".to_owned(),
        Shape::Bytes => "[]uint8".to_owned(),
        Shape::Any => "interface {}".to_owned(),
        Shape::Map(inner) => format!("map[string]{}", name(inner)),
        Shape::List(inner) => format!("[]{}", name(inner)),
        Shape::Struct(inner) => inner.name.to_owned(),
    }
}

/// What is wrong with a text in base64: the first foreign byte, or the last group where it is short.
fn base64_error(text: &[u8]) -> Option<String> {
    let clean: Vec<u8> = text.iter().copied().filter(|byte| !b"\r\n".contains(byte)).collect();
    if STANDARD.decode(&clean).is_ok() {
        return None;
    }
    let known = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
    let at = text.iter().position(|byte| !known(byte)).unwrap_or(text.len() / 4 * 4);
    Some(format!("illegal base64 data at input byte {at}"))
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Result<u8, String> {
        let byte = self.peek().ok_or("unexpected EOF")?;
        self.at += 1;
        Ok(byte)
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|byte| b" \t\r\n".contains(&byte)) {
            self.at += 1;
        }
    }

    /// The next byte that is no space.
    fn mark(&mut self) -> Result<u8, String> {
        self.space();
        self.next()
    }

    fn value(&mut self) -> Result<(), String> {
        if self.depth > DEEPEST {
            return Err("exceeded max depth".to_owned());
        }
        self.depth += 1;
        let read = self.one_value();
        self.depth -= 1;
        read
    }

    fn one_value(&mut self) -> Result<(), String> {
        match self.mark()? {
            b'{' => self.object(),
            b'[' => self.array(),
            b'"' => self.string(),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            b'-' => match self.next()? {
                byte if byte.is_ascii_digit() => self.number(byte),
                byte => Err(invalid(byte, "in numeric literal")),
            },
            byte if byte.is_ascii_digit() => self.number(byte),
            byte => Err(invalid(byte, "looking for beginning of value")),
        }
    }

    fn object(&mut self) -> Result<(), String> {
        let mut first = true;
        loop {
            match self.mark()? {
                b'}' if first => return Ok(()),
                b'"' => self.string()?,
                byte => return Err(invalid(byte, "looking for beginning of object key string")),
            }
            match self.mark()? {
                b':' => self.value()?,
                byte => return Err(invalid(byte, "after object key")),
            }
            match self.mark()? {
                b',' => first = false,
                b'}' => return Ok(()),
                byte => return Err(invalid(byte, "after object key:value pair")),
            }
        }
    }

    fn array(&mut self) -> Result<(), String> {
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value()?;
            match self.mark()? {
                b',' => {}
                b']' => return Ok(()),
                byte => return Err(invalid(byte, "after array element")),
            }
        }
    }

    fn string(&mut self) -> Result<(), String> {
        loop {
            match self.next()? {
                b'"' => return Ok(()),
                b'\\' => match self.next()? {
                    b'u' => {
                        for _ in 0..4 {
                            let byte = self.next()?;
                            if !byte.is_ascii_hexdigit() {
                                return Err(invalid(byte, "in \\u hexadecimal character escape"));
                            }
                        }
                    }
                    byte if b"bfnrt\\/\"".contains(&byte) => {}
                    byte => return Err(invalid(byte, "in string escape code")),
                },
                byte if byte < b' ' => return Err(invalid(byte, "in string literal")),
                _ => {}
            }
        }
    }

    fn literal(&mut self, word: &str) -> Result<(), String> {
        for expected in word.bytes().skip(1) {
            let byte = self.next()?;
            if byte != expected {
                let expected = char::from(expected);
                let what = format!("in literal {word} (expecting '{expected}')");
                return Err(invalid(byte, &what));
            }
        }
        Ok(())
    }

    fn number(&mut self, first: u8) -> Result<(), String> {
        if first != b'0' {
            self.digits();
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digit("after decimal point in numeric literal")?;
        }
        if self.peek().is_some_and(|byte| b"eE".contains(&byte)) {
            self.at += 1;
            if self.peek().is_some_and(|byte| b"+-".contains(&byte)) {
                self.at += 1;
            }
            self.digit("in exponent of numeric literal")?;
        }
        Ok(())
    }

    fn digit(&mut self, place: &str) -> Result<(), String> {
        let byte = self.next()?;
        if !byte.is_ascii_digit() {
            return Err(invalid(byte, place));
        }
        self.digits();
        Ok(())
    }

    fn digits(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
    }
}

fn invalid(byte: u8, place: &str) -> String {
    // Go takes the byte for a character of that number.
    let shown = match byte {
        b'\'' => "\\'".to_owned(),
        b'"' => "\"".to_owned(),
        b'\\' => "\\\\".to_owned(),
        7 => "\\a".to_owned(),
        8 => "\\b".to_owned(),
        b'\t' => "\\t".to_owned(),
        b'\n' => "\\n".to_owned(),
        11 => "\\v".to_owned(),
        12 => "\\f".to_owned(),
        b'\r' => "\\r".to_owned(),
        byte if byte < b' ' || byte == 0x7f => format!("\\x{byte:02x}"),
        byte if (0x80..=0xa0).contains(&byte) || byte == 0xad => format!("\\u{byte:04x}"),
        byte => char::from(byte).to_string(),
    };
    format!("invalid character '{shown}' {place}")
}

#[cfg(test)]
mod tests {
    use super::*;

    static INNER: Struct = Struct { name: "api.Inner", fields: &[("ID", Shape::Text)] };
    static OUTER: Struct = Struct {
        name: "structs.Outer",
        fields: &[
            ("Inner", Shape::Struct(&INNER)),
            ("Meta", Shape::Map(&Shape::Text)),
            ("Bytes", Shape::Bytes),
            ("Priority", Shape::Int),
        ],
    };

    #[test]
    fn what_is_broken_is_told_in_gos_words() {
        let error = |text: &str| value(text.as_bytes()).unwrap_err();
        assert_eq!(error(""), "EOF");
        assert_eq!(error("{\"a\": {"), "unexpected EOF");
        assert_eq!(error("{a"), "invalid character 'a' looking for beginning of object key string");
        assert_eq!(error("[1 2]"), "invalid character '2' after array element");
        assert_eq!(error("{\"a\" 1}"), "invalid character '1' after object key");
        assert_eq!(error("nul]"), "invalid character ']' in literal null (expecting 'l')");
        assert_eq!(error("\u{1f}"), "invalid character '\\x1f' looking for beginning of value");
        assert_eq!(value(b"{} {").unwrap(), serde_json::json!({}));
        assert_eq!(value(b" [1.5e3, -0, \"\\u00e9\"]x").unwrap()[2], "é");
    }

    #[test]
    fn a_value_that_is_too_deep_is_refused() {
        for deep in ["[".repeat(100_000), "{\"a\":".repeat(100_000)] {
            assert_eq!(value(deep.as_bytes()).unwrap_err(), "exceeded max depth");
        }
    }

    #[test]
    fn shapes_are_held_to() {
        let error = |text: &str| decode(text.as_bytes(), &OUTER).unwrap_err();
        assert_eq!(error("[]"), "json: cannot unmarshal array into Go value of type structs.Outer");
        assert_eq!(
            error("{\"inner\": {\"id\": 7}}"),
            "json: cannot unmarshal number into Go struct field Inner.Inner.ID of type string"
        );
        assert_eq!(
            error("{\"Meta\": []}"),
            "json: cannot unmarshal array into Go struct field Outer.Meta of type map[string]string"
        );
        assert_eq!(
            error("{\"Priority\": 1.5}"),
            "json: cannot unmarshal number 1.5 into Go struct field Outer.Priority of type int"
        );
        for (text, at) in [("$$$", 0), ("eA", 0), ("AAAA_", 4), ("AAAAeA", 4)] {
            let wrong = format!("illegal base64 data at input byte {at}");
            assert_eq!(error(&format!("{{\"Bytes\": \"{text}\"}}")), wrong);
        }
        let read = decode(b"{\"META\": {\"a\": \"b\"}, \"More\": 1, \"Priority\": null}", &OUTER);
        assert_eq!(read.unwrap(), serde_json::json!({"Meta": {"a": "b"}}));
    }
}
