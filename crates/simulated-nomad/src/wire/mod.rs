//! HTTP/1 on a connection, as Go's server speaks it: its limits, its answers to what is no request,
//! its spelling of heads, and lengths where it knows them.
//!
//! (hyper takes no request line longer than 64 KiB, and says other things to what is broken.)
//! What the answers are is not its business. Read next: `head.rs`, `sending.rs`.

mod head;
mod sending;

use std::time::Duration;

use axum::response::Response;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

pub(crate) use head::Request;
use head::{Bad, Length};

/// An answer without a length that is not sent in chunks either: it ends with the connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UntilClosed;

/// Go's `DefaultMaxHeaderBytes`, and what it reads beyond.
const LONGEST_HEAD: usize = (1 << 20) + 4_096;
/// So much of a next request is read while one is answered.
const READ_AHEAD: usize = 1 << 16;
/// How long it is waited for whoever is still sending when it is hung up on, so that it can read why.
const LINGER: Duration = Duration::from_millis(500);

/// Answers requests until the peer goes, or one of both wants no more.
pub(crate) async fn serve<S, F>(stream: S, mut answer: impl FnMut(Request) -> F)
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = Response>,
{
    let mut connection = Connection { stream, buffer: Vec::new() };
    // Without an answer the peer has gone.
    while let Some(next) = connection.request().await {
        let request = match next {
            Ok(request) => request,
            Err(bad) => return connection.hang_up(&bad).await,
        };
        let how = sending::How::of(&request);
        let answered = answer(request);
        let Some(response) = connection.unless_gone(answered).await else { return };
        if !connection.send(response, how).await {
            return;
        }
    }
}

struct Connection<S> {
    stream: S,
    /// What was read and belongs to nothing yet.
    buffer: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// None: the peer has gone.
    async fn request(&mut self) -> Option<Result<Request, Bad>> {
        let end = loop {
            // Empty lines before a request are passed over.
            let empty = self.buffer.iter().take_while(|byte| b"\r\n".contains(byte)).count();
            self.buffer.drain(..empty);
            if let Some(end) = head::end(&self.buffer) {
                break end;
            }
            if self.buffer.len() > LONGEST_HEAD {
                return Some(Err(Bad::TooLarge));
            }
            self.more().await?;
        };
        if end > LONGEST_HEAD {
            return Some(Err(Bad::TooLarge));
        }
        let text: Vec<u8> = self.buffer.drain(..end).collect();
        let mut request = match head::read(&text) {
            Ok(request) => request,
            Err(bad) => return Some(Err(bad)),
        };
        let length = match request.length() {
            Ok(length) => length,
            Err(bad) => return Some(Err(bad)),
        };
        if request.awaits_leave() && !matches!(length, Length::Known(0)) {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.ok()?;
        }
        request.body = match length {
            Length::Known(length) => self.take(length).await?.into(),
            Length::Chunked => match self.chunks().await? {
                Ok(body) => body.into(),
                Err(bad) => return Some(Err(bad)),
            },
        };
        Some(Ok(request))
    }

    async fn chunks(&mut self) -> Option<Result<Vec<u8>, Bad>> {
        let mut body = Vec::new();
        loop {
            let line = self.line().await?;
            let digits = line.split(';').next().unwrap_or_default().trim().to_owned();
            let Ok(length) = usize::from_str_radix(&digits, 16) else {
                return Some(Err(Bad::Request));
            };
            if length == 0 {
                break;
            }
            body.extend(self.take(length).await?);
            self.line().await?;
        }
        // Whatever heads come after the last chunk.
        while !self.line().await?.is_empty() {}
        Some(Ok(body))
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            if self.buffer.len() > LONGEST_HEAD {
                return None;
            }
            self.more().await?;
        }
    }

    async fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < length {
            self.more().await?;
        }
        Some(self.buffer.drain(..length).collect())
    }

    async fn more(&mut self) -> Option<()> {
        let read = self.stream.read_buf(&mut self.buffer).await.ok()?;
        (read > 0).then_some(())
    }

    /// Waits for something, but not for whoever has gone meanwhile.
    async fn unless_gone<T>(&mut self, something: impl Future<Output = T>) -> Option<T> {
        let gone = async {
            while self.buffer.len() < READ_AHEAD {
                if self.more().await.is_none() {
                    return;
                }
            }
            std::future::pending().await
        };
        tokio::select! {
            biased;
            done = something => Some(done),
            () = gone => None,
        }
    }

    /// Says what is wrong, and ends.
    async fn hang_up(&mut self, bad: &Bad) {
        let why = bad.text();
        let text = format!(
            "HTTP/1.1 {why}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n{why}"
        );
        if self.stream.write_all(text.as_bytes()).await.is_err() {
            return;
        }
        self.linger().await;
    }

    /// Ends its own half, and reads on for a moment: who is cut off while sending reads nothing.
    async fn linger(&mut self) {
        let _ = self.stream.shutdown().await;
        let rest = async {
            loop {
                self.buffer.clear();
                if self.more().await.is_none() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(LINGER, rest).await;
    }
}
