//! The head of a request: its line, its fields, and how long its body is.
//!
//! Pure. Read next: `mod.rs`.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use bytes::Bytes;

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub method: Method,
    /// As it was sent.
    pub path: String,
    pub query: String,
    /// Whether it is HTTP/1.1.
    pub modern: bool,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Why something is no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bad {
    Request,
    WithoutHost,
    TooLarge,
    Version,
    Coding,
}

impl Bad {
    pub fn text(self) -> &'static str {
        match self {
            Self::Request => "400 Bad Request",
            Self::WithoutHost => "400 Bad Request: missing required Host header",
            Self::TooLarge => "431 Request Header Fields Too Large",
            Self::Version => "505 HTTP Version Not Supported: unsupported protocol version",
            Self::Coding => "501 Not Implemented: Unsupported transfer encoding",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    Known(usize),
    Chunked,
}

/// Where a head ends: after its empty line.
pub(super) fn end(text: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = text[from..].iter().position(|byte| *byte == b'\n') {
        let next = from + at + 1;
        match text.get(next..) {
            Some([b'\n', ..]) => return Some(next + 1),
            Some([b'\r', b'\n', ..]) => return Some(next + 2),
            _ => from = next,
        }
    }
    None
}

pub(super) fn read(text: &[u8]) -> Result<Request, Bad> {
    let mut lines = text.split(|byte| *byte == b'\n').map(|line| line.trim_ascii_end());
    let line = std::str::from_utf8(lines.next().unwrap_or_default()).map_err(|_| Bad::Request)?;
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Bad::Request);
    };
    let modern = match version {
        "HTTP/1.1" => true,
        "HTTP/1.0" => false,
        other if other.starts_with("HTTP/") => return Err(Bad::Version),
        _ => return Err(Bad::Request),
    };
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| Bad::Request)?;
    let target = without_host(target).ok_or(Bad::Request)?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers = fields(lines)?;
    if modern && !headers.contains_key(header::HOST) {
        return Err(Bad::WithoutHost);
    }
    let (path, query) = (path.to_owned(), query.to_owned());
    Ok(Request { method, path, query, modern, headers, body: Bytes::new() })
}

/// Path and query, where the target names its host as well.
fn without_host(target: &str) -> Option<&str> {
    if target.starts_with('/') || target == "*" {
        return Some(target);
    }
    let (_, rest) = target.split_once("://")?;
    Some(rest.find(['/', '?']).map_or("/", |at| &rest[at..]))
}

fn fields<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Result<HeaderMap, Bad> {
    let mut headers = HeaderMap::new();
    for line in lines.take_while(|line| !line.is_empty()) {
        let colon = line.iter().position(|byte| *byte == b':').ok_or(Bad::Request)?;
        let name = HeaderName::from_bytes(&line[..colon]).map_err(|_| Bad::Request)?;
        let value = line[colon + 1..].trim_ascii();
        let value = HeaderValue::from_bytes(value).map_err(|_| Bad::Request)?;
        headers.try_append(name, value).map_err(|_| Bad::TooLarge)?;
    }
    Ok(headers)
}

impl Request {
    pub(super) fn length(&self) -> Result<Length, Bad> {
        if let Some(coding) = self.headers.get(header::TRANSFER_ENCODING) {
            let chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked");
            return if chunked { Ok(Length::Chunked) } else { Err(Bad::Coding) };
        }
        let mut lengths = self.headers.get_all(header::CONTENT_LENGTH).iter();
        let Some(length) = lengths.next() else { return Ok(Length::Known(0)) };
        if lengths.any(|other| other != length) {
            return Err(Bad::Request);
        }
        let digits = length.to_str().ok().filter(|it| it.bytes().all(|it| it.is_ascii_digit()));
        digits.and_then(|it| it.parse().ok()).map(Length::Known).ok_or(Bad::Request)
    }

    /// Whether the body is sent only when it is asked for.
    pub(super) fn awaits_leave(&self) -> bool {
        let expected = self.headers.get(header::EXPECT);
        self.modern
            && expected.is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"100-continue"))
    }

    /// Whether the connection goes on after the answer.
    pub(super) fn keeps_alive(&self) -> bool {
        let says = |word: &str| {
            let values = self.headers.get_all(header::CONNECTION).iter();
            values
                .filter_map(|value| value.to_str().ok())
                .any(|value| value.split(',').any(|one| one.trim().eq_ignore_ascii_case(word)))
        };
        if self.modern { !says("close") } else { says("keep-alive") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read() {
        let text =
            b"PUT /v1/job/a%2Fb/dispatch?x=1?2 HTTP/1.1\r\nHost: x\r\nX-Nomad-Token:  t \r\n\
            content-length: 3\r\n\r\nabc";
        let end = end(text).unwrap();
        assert_eq!(&text[end..], b"abc");
        let request = read(&text[..end]).unwrap();
        assert_eq!(
            (request.path.as_str(), request.query.as_str()),
            ("/v1/job/a%2Fb/dispatch", "x=1?2")
        );
        assert_eq!(request.headers["x-nomad-token"], "t");
        assert_eq!(request.length(), Ok(Length::Known(3)));
        assert!(request.keeps_alive());
    }

    #[test]
    fn what_is_no_request_is_told_why() {
        let bad = |text: &str| read(text.as_bytes()).unwrap_err();
        assert_eq!(bad("NONSENSE\r\n\r\n"), Bad::Request);
        assert_eq!(bad("GET / HTTP/1.1\r\n\r\n"), Bad::WithoutHost);
        assert_eq!(bad("GET / HTTP/3.0\r\n\r\n"), Bad::Version);
        assert_eq!(bad("GET / HTTP/1.1\r\nno colon\r\n\r\n"), Bad::Request);
        let old = read(b"GET http://x/v1/jobs?a HTTP/1.0\n\n").unwrap();
        assert_eq!((old.path.as_str(), old.query.as_str()), ("/v1/jobs", "a"));
        assert!(!old.keeps_alive());
        let two = read(b"GET / HTTP/1.0\nContent-Length: 1\nContent-Length: 2\n\n").unwrap();
        assert_eq!(two.length(), Err(Bad::Request));
    }

    #[test]
    fn a_head_ends_with_an_empty_line() {
        assert_eq!(end(b"a\r\nb\r\n\r\nc"), Some(8));
        assert_eq!(end(b"a\n\nb"), Some(3));
        assert_eq!(end(b"a\r\nb\r\n\r"), None);
    }
}
