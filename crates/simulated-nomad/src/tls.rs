//! The TLS side of the HTTP API: the agent's certificate, and where it is asked for, the clients'.
//!
//! The refusals are TLS's own alerts. Read next: `connections.rs`; the certificates themselves are
//! made by `certificates.rs`.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::Tls;

/// Of records of TLS.
const ALERT: u8 = 0x15;
const HANDSHAKE: u8 = 0x16;
const CLIENT_HELLO: u8 = 1;
/// Through the version in a client's hello.
const HELLO_UNTIL_VERSION: usize = 11;
const TLS_1_2: [u8; 2] = [3, 3];
const CERTIFICATE_REQUIRED: u8 = 116;
const HANDSHAKE_FAILURE: u8 = 40;
/// The fatal alert for one that is too old.
const PROTOCOL_VERSION: [u8; 7] = [ALERT, 3, 1, 0, 2, 2, 70];

/// Between two looks at a connection that has not said enough yet.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// How long a refused client may go on before it is cut off.
const HEAR_OUT: Duration = Duration::from_millis(500);
/// What Go takes for a client that speaks HTTP where TLS is spoken.
const BEGINNINGS_OF_HTTP: [&[u8; 5]; 5] = [b"GET /", b"HEAD ", b"POST ", b"PUT /", b"OPTIO"];
const NOT_TLS: &[u8] =
    b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

/// # Errors
/// In words, for a file that is not there or is no certificate or key.
pub(crate) fn acceptor(tls: &Tls) -> Result<TlsAcceptor, String> {
    let own = certificates(&tls.cert_file)?;
    let key = PrivateKeyDer::from_pem_file(&tls.key_file)
        .map_err(|error| format!("{}: {error}", tls.key_file.display()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = if tls.verify_https_client {
        let mut authorities = RootCertStore::empty();
        for one in certificates(&tls.ca_file)? {
            authorities.add(one).map_err(|error| format!("{}: {error}", tls.ca_file.display()))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider);
        builder.with_client_cert_verifier(verifier.build().map_err(|error| error.to_string())?)
    } else {
        builder.with_no_client_auth()
    };
    let config = builder.with_single_cert(own, key).map_err(|error| error.to_string())?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(found) if found.is_empty() => Err(format!("{}: no certificate in it", file.display())),
        Ok(found) => Ok(found),
        Err(error) => Err(format!("{}: {error}", file.display())),
    }
}

/// None where no agreement was reached; the other side was told so.
pub(crate) async fn accept(
    mut stream: TcpStream,
    acceptor: &TlsAcceptor,
) -> Option<TlsStream<Alerting<TcpStream>>> {
    let refusal: &[u8] = match opening(&stream).await {
        Opening::Http => NOT_TLS,
        Opening::TooOld => &PROTOCOL_VERSION,
        Opening::Other => match acceptor.accept(Alerting(stream)).into_fallible().await {
            Ok(agreed) => return Some(agreed),
            Err((_, Alerting(failed))) => {
                hang_up(failed).await;
                return None;
            }
        },
    };
    let _ = stream.write_all(refusal).await;
    hang_up(stream).await;
    None
}

/// Closed at once, a connection with something unread is reset, and the refusal may be lost.
async fn hang_up(mut stream: TcpStream) {
    let _ = stream.shutdown().await;
    let mut unread = [0; 1_024];
    let rest = async { while matches!(stream.read(&mut unread).await, Ok(1..)) {} };
    let _ = tokio::time::timeout(HEAR_OUT, rest).await;
}

/// How the other side begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opening {
    Http,
    /// A TLS before 1.2.
    TooOld,
    /// A good TLS, or nonsense.
    Other,
}

async fn opening(stream: &TcpStream) -> Opening {
    let mut first = [0; HELLO_UNTIL_VERSION];
    loop {
        match stream.peek(&mut first).await {
            // Ended, or broken.
            Ok(0) | Err(_) => return Opening::Other,
            Ok(read) => match judge(&first[..read]) {
                Some(opening) => return opening,
                None => tokio::time::sleep(LOOK_AGAIN).await,
            },
        }
    }
}

/// None: it takes more to tell.
fn judge(first: &[u8]) -> Option<Opening> {
    if BEGINNINGS_OF_HTTP.iter().any(|it| first.starts_with(*it)) {
        return Some(Opening::Http);
    }
    let record = first.first().is_none_or(|kind| *kind == HANDSHAKE);
    if first.len() < 5 && (record || BEGINNINGS_OF_HTTP.iter().any(|it| it.starts_with(first))) {
        return None;
    }
    match (record, first.get(5), first.get(9..HELLO_UNTIL_VERSION)) {
        (false, ..) => Some(Opening::Other),
        (_, Some(kind), _) if *kind != CLIENT_HELLO => Some(Opening::Other),
        (_, _, Some(version)) if *version < TLS_1_2[..] => Some(Opening::TooOld),
        (_, _, Some(_)) => Some(Opening::Other),
        (_, _, None) => None,
    }
}

/// A connection on which a server that wants a certificate in TLS 1.2 says so as Go does.
///
/// `certificate_required` is an alert of TLS 1.3, where alerts are encrypted. In the clear it can only
/// be one for TLS 1.2, to which Go says `handshake_failure`.
pub(crate) struct Alerting<S>(S);

impl<S: AsyncWrite + Unpin> AsyncWrite for Alerting<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let inner = Pin::new(&mut self.0);
        match bytes {
            [ALERT, major, minor, 0, 2, level, CERTIFICATE_REQUIRED] => {
                let instead = [ALERT, *major, *minor, 0, 2, *level, HANDSHAKE_FAILURE];
                inner.poll_write(context, &instead)
            }
            bytes => inner.poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Alerting<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_it_begins_is_told_by_the_first_bytes() {
        assert_eq!(judge(b"GE"), None);
        assert_eq!(judge(b"GET / HTTP/"), Some(Opening::Http));
        assert_eq!(judge(b"hello"), Some(Opening::Other));
        let hello = |version: [u8; 2]| [&[0x16, 3, 1, 0, 9, 1, 0, 0, 5][..], &version].concat();
        assert_eq!(judge(&hello([3, 3])), Some(Opening::Other));
        assert_eq!(judge(&hello([3, 2])), Some(Opening::TooOld));
        assert_eq!(judge(&hello([3, 2])[..10]), None);
    }
}
