//! What the query of a request asks for beside its object: namespace, region, index and wait, pages,
//! a prefix, a filter.
//!
//! Go's reading of a query: pairs with a broken escape or a semicolon are dropped, the first of a
//! name counts. Read next: `call.rs`.

use std::time::Duration;

use super::refusal::Refusal;

/// Nomad's own wait where none is said, and its greatest.
const WAIT: Duration = Duration::from_secs(300);
const MAX_WAIT: Duration = Duration::from_secs(600);

/// The pairs of a query.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub fn read(query: &str) -> Self {
        let pairs = query.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';'));
        let read = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((unescaped(&name.replace('+', " "))?, unescaped(&value.replace('+', " "))?))
        };
        Self(pairs.filter_map(read).collect())
    }

    /// The first of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The first of that name, where it says something.
    pub fn said(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// `true` and `false` in the spellings that Go takes; None where nothing is said.
    ///
    /// # Errors
    /// Anything else.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, Refusal> {
        let Some(text) = self.said(name) else { return Ok(None) };
        let wrong = || {
            format!(
                "Failed to parse value of {name:?} ({text}) as a bool: strconv.ParseBool: parsing \
                 {text:?}: invalid syntax"
            )
        };
        parse_bool(text).map(Some).ok_or_else(|| Refusal::new(500, wrong()))
    }

    /// A whole number; None where nothing is said.
    ///
    /// # Errors
    /// Anything else.
    pub fn number(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let Some(text) = self.said(name) else { return Ok(None) };
        let wrong = |_| {
            let why = format!(
                "Failed to parse value of {name:?} ({text}) as a int: strconv.Atoi: parsing \
                 {text:?}: invalid syntax"
            );
            Refusal::new(500, why)
        };
        text.parse().map(Some).map_err(wrong)
    }
}

/// As `strconv.ParseBool`.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// What a read may ask for.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Answer only once there is something newer; 0: at once.
    pub index: u64,
    pub wait: Duration,
    pub prefix: String,
    /// 0: all. A negative page holds nothing.
    pub per_page: i32,
    pub next_token: String,
    pub filter: String,
    pub reverse: bool,
}

impl Options {
    pub fn read(query: &Query) -> Result<Self, Refusal> {
        if let Some(stale) = query.said("stale")
            && parse_bool(stale).is_none()
        {
            let why = "Expect `true` or `false` for `stale` query string parameter";
            return Err(Refusal::new(400, why));
        }
        let per_page = query.said("per_page").unwrap_or("0").parse().map_err(|_| {
            Refusal::new(400, "Expect a number for `per_page` query string parameter")
        })?;
        let wait = match query.said("wait") {
            Some(text) => duration(text).ok_or_else(|| Refusal::new(400, "Invalid wait time"))?,
            None => Duration::ZERO,
        };
        let wait = if wait.is_zero() { WAIT } else { wait.min(MAX_WAIT) };
        let index = match query.said("index") {
            Some(text) => text.parse().map_err(|_| Refusal::new(400, "Invalid index"))?,
            None => 0,
        };
        let text = |name| query.get(name).unwrap_or_default().to_owned();
        Ok(Self {
            index,
            wait,
            prefix: text("prefix"),
            per_page,
            next_token: text("next_token"),
            filter: text("filter"),
            reverse: query.get("reverse") == Some("true"),
        })
    }
}

/// As Go writes lengths of time; one below nothing is nothing.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let (mut rest, mut seconds) = (text, 0.0);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        let units = [
            ("ns", 1e-9),
            ("us", 1e-6),
            ("µs", 1e-6),
            ("ms", 1e-3),
            ("s", 1.0),
            ("m", 60.0),
            ("h", 3_600.0),
        ];
        let (unit, worth) = units.into_iter().find(|(unit, _)| rest[end..].starts_with(unit))?;
        seconds += number * worth;
        rest = &rest[end + unit.len()..];
    }
    if text.is_empty() {
        return None;
    }
    Duration::try_from_secs_f64(if negative { 0.0 } else { seconds }).ok()
}

/// Percent-encoded text; None where an escape is broken.
pub(crate) fn unescaped(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
            out.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            out.push(byte);
        }
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_as_go_reads_it() {
        let query = Query::read("a=1&a=2&b=%ZZ&c=x;d=y&e=p+q%2Br&f&=g");
        assert_eq!(query.get("a"), Some("1"));
        assert_eq!(query.all("a").count(), 2);
        assert_eq!(query.get("b"), None);
        assert_eq!((query.get("c"), query.get("d")), (None, None));
        assert_eq!(query.get("e"), Some("p q+r"));
        assert_eq!((query.get("f"), query.said("f")), (Some(""), None));
    }

    #[test]
    fn waits_are_read_as_go_writes_them() {
        let of = |text: &str| duration(text).map(|it| it.as_millis());
        assert_eq!(of("1500ms"), Some(1_500));
        assert_eq!(of("1m30s"), Some(90_000));
        assert_eq!(of("1.5s"), Some(1_500));
        assert_eq!(of("-1s"), Some(0));
        assert_eq!(of("0"), Some(0));
        assert_eq!((of("soon"), of("10"), of(""), of("s")), (None, None, None, None));
        let options = |query: &str| Options::read(&Query::read(query)).map(|it| it.wait);
        assert_eq!(options("wait=-1s").ok(), Some(WAIT));
        assert_eq!(options("wait=1000h").ok(), Some(MAX_WAIT));
        assert!(options("index=-1").is_err());
    }
}
