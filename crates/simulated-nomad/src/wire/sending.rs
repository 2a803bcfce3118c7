//! Answers on their way out: heads in Go's spelling and order, bodies with a length, in chunks, or
//! until the connection ends.
//!
//! Read next: `mod.rs`.

use std::fmt::Write as _;

use axum::body::{Body, HttpBody as _};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use http_body_util::BodyExt as _;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use super::head::Request;
use super::{Connection, UntilClosed};

/// What of a request its answer depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct How {
    modern: bool,
    keeps_alive: bool,
    head_only: bool,
}

impl How {
    pub fn of(request: &Request) -> Self {
        let (modern, keeps_alive) = (request.modern, request.keeps_alive());
        Self { modern, keeps_alive, head_only: request.method == Method::HEAD }
    }
}

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Length(u64),
    Chunks,
    Close,
    /// There is none.
    Nothing,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Whether the connection goes on.
    pub(super) async fn send(&mut self, response: Response, how: How) -> bool {
        let (parts, body) = response.into_parts();
        let bare = parts.status == StatusCode::NO_CONTENT || parts.status.is_informational();
        let ending = match body.size_hint().exact() {
            _ if bare => Ending::Nothing,
            Some(length) => Ending::Length(length),
            None if how.modern && parts.extensions.get::<UntilClosed>().is_none() => Ending::Chunks,
            None => Ending::Close,
        };
        let mut headers = parts.headers;
        let says_close = headers.get(header::CONNECTION).is_some_and(|it| it == "close");
        let goes_on = how.keeps_alive && !says_close && ending != Ending::Close;
        let head = head(parts.status, &mut headers, ending, how, goes_on);
        let sent = if how.head_only {
            self.stream.write_all(head.as_bytes()).await.is_ok()
        } else {
            self.send_body(head.into_bytes(), body, ending).await
        };
        if sent && !goes_on {
            self.linger().await;
        }
        sent && goes_on
    }

    async fn send_body(&mut self, mut ahead: Vec<u8>, mut body: Body, ending: Ending) -> bool {
        // A short answer goes out in one piece, the heads of a long one at once.
        if !matches!(ending, Ending::Length(_)) {
            if self.stream.write_all(&ahead).await.is_err() || self.stream.flush().await.is_err() {
                return false;
            }
            ahead.clear();
        }
        loop {
            let Some(next) = self.unless_gone(body.frame()).await else { return false };
            let Some(Ok(frame)) = next else { break };
            let Ok(data) = frame.into_data() else { continue };
            if data.is_empty() {
                continue;
            }
            if ending == Ending::Chunks {
                ahead.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
            }
            ahead.extend_from_slice(&data);
            if ending == Ending::Chunks {
                ahead.extend_from_slice(b"\r\n");
            }
            if self.stream.write_all(&ahead).await.is_err() || self.stream.flush().await.is_err() {
                return false;
            }
            ahead.clear();
        }
        if ending == Ending::Chunks {
            ahead.extend_from_slice(b"0\r\n\r\n");
        }
        self.stream.write_all(&ahead).await.is_ok() && self.stream.flush().await.is_ok()
    }
}

fn head(
    status: StatusCode,
    headers: &mut HeaderMap,
    ending: Ending,
    how: How,
    goes_on: bool,
) -> String {
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::TRANSFER_ENCODING);
    let version = if how.modern { "HTTP/1.1" } else { "HTTP/1.0" };
    let reason = status.canonical_reason().unwrap_or("");
    let mut out = format!("{version} {} {reason}\r\n", status.as_u16());
    let mut fields: Vec<(String, &str)> = headers
        .iter()
        .filter(|(name, _)| *name != header::CONNECTION)
        .filter_map(|(name, value)| Some((spelt(name.as_str()), value.to_str().ok()?)))
        .collect();
    fields.sort_by(|left, right| left.0.cmp(&right.0));
    // Writing to text does not fail.
    for (name, value) in fields {
        let _ = write!(out, "{name}: {value}\r\n");
    }
    let date = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT");
    let _ = write!(out, "Date: {date}\r\n");
    if let Ending::Length(length) = ending {
        let _ = write!(out, "Content-Length: {length}\r\n");
    }
    // Of HTTP/1.0 it is known anyhow.
    if how.modern && !goes_on {
        out.push_str("Connection: close\r\n");
    } else if !how.modern && goes_on {
        out.push_str("Connection: keep-alive\r\n");
    }
    if ending == Ending::Chunks {
        out.push_str("Transfer-Encoding: chunked\r\n");
    }
    out.push_str("\r\n");
    out
}

/// `X-Nomad-Knownleader`: each part with a capital, and nothing else.
fn spelt(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut first = true;
    for c in name.chars() {
        out.push(if first { c.to_ascii_uppercase() } else { c });
        first = c == '-';
    }
    out
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use axum::body::HttpBody;
    use axum::response::IntoResponse as _;
    use bytes::Bytes;
    use hyper::body::Frame;
    use tokio::io::{AsyncReadExt as _, duplex};

    use super::super::serve;
    use super::*;

    /// What comes back for what is sent, with the date left out.
    async fn exchange(sent: &str) -> String {
        let (mut here, there) = duplex(1 << 20);
        let server = tokio::spawn(serve(there, |request: Request| async move {
            match request.path.as_str() {
                "/long" => Response::new(Body::new(Frames(vec!["ab", "cd"]))),
                path => (StatusCode::OK, format!("{path} {}", request.body.len())).into_response(),
            }
        }));
        here.write_all(sent.as_bytes()).await.unwrap();
        here.shutdown().await.unwrap();
        let mut back = String::new();
        here.read_to_string(&mut back).await.unwrap();
        server.await.unwrap();
        let lines = back.split_inclusive("\r\n").filter(|line| !line.starts_with("Date: "));
        lines.collect()
    }

    /// Some pieces, one after the other.
    struct Frames(Vec<&'static str>);

    impl HttpBody for Frames {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let next = (!self.0.is_empty()).then(|| self.0.remove(0));
            Poll::Ready(next.map(|it| Ok(Frame::data(it.into()))))
        }
    }

    #[tokio::test]
    async fn requests_are_answered_one_after_the_other() {
        let back = exchange(
            "GET /long HTTP/1.1\r\nHost: x\r\n\r\n\r\nPUT /b HTTP/1.1\r\nHost: x\r\n\
             Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;e\r\nc\r\n0\r\n\r\n\
             GET /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nGET /d HTTP/1.1\r\nHost: x\r\n\r\n",
        )
        .await;
        let plain = "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 4\r\n";
        assert_eq!(
            back,
            format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n\
                 HTTP/1.1 200 OK\r\n{plain}\r\n/b 3\
                 HTTP/1.1 200 OK\r\n{plain}Connection: close\r\n\r\n/c 0"
            )
        );
    }

    #[tokio::test]
    async fn nobody_waits_for_a_peer_that_has_gone() {
        let (mut here, there) = duplex(1 << 10);
        let server = tokio::spawn(serve(there, |_: Request| std::future::pending()));
        here.write_all(b"GET /v1/jobs?index=9 HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        drop(here);
        server.await.unwrap();
    }

    #[tokio::test]
    async fn what_is_no_request_is_hung_up_on() {
        let back = exchange("NONSENSE\r\n\r\n").await;
        assert!(back.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{back}");
        assert!(back.ends_with("\r\n\r\n400 Bad Request"), "{back}");
    }
}
