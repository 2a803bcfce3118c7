//! The exchange in life: HTTP by reqwest, whom it trusts, which proxies it asks, and how its failures
//! are told.

use std::error::Error as _;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use url::{Host, Url};

use super::FORGE_TIMEOUT;
use super::exchange::{Answering, Body, Exchange, Failure, Request, Response, Transport};

const FORGE_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Mozilla's roots, so that a host without a CA bundle can verify public certificates.
pub fn bundled_roots() -> impl Iterator<Item = reqwest::Certificate> {
    webpki_root_certs::TLS_SERVER_ROOT_CERTS
        .iter()
        .filter_map(|der| reqwest::Certificate::from_der(der.as_ref()).ok())
}

/// Those in a PEM file; `None`: there is none.
pub fn certificates(pem: &[u8]) -> Option<Vec<reqwest::Certificate>> {
    let found = reqwest::Certificate::from_pem_bundle(pem).ok()?;
    (!found.is_empty()).then_some(found)
}

/// Whether that is this machine. No proxy of the environment's is asked for it: that one would look for
/// it at home, and get the token in clear.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            name == "localhost" || name.ends_with(".localhost")
        }
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.to_canonical().is_loopback(),
        None => false,
    }
}

/// With the proxies of the environment, where the address is not this machine.
pub fn builder_for(url: &Url) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder();
    if is_loopback(url) { builder.no_proxy() } else { builder }
}

/// Where a forge's API is, and whose certificates are trusted there besides those of the bundle and
/// the system.
#[derive(Clone, Debug)]
pub struct Server {
    pub base: Url,
    pub ca_cert_pem: Option<Vec<u8>>,
}

impl From<Url> for Server {
    fn from(base: Url) -> Server {
        Server { base, ca_cert_pem: None }
    }
}

impl FromStr for Server {
    type Err = url::ParseError;

    fn from_str(text: &str) -> Result<Server, url::ParseError> {
        text.parse().map(Url::into)
    }
}

/// The way to the forge.
pub fn forge(server: &Server) -> Result<Transport, NoWay> {
    let own = match &server.ca_cert_pem {
        Some(pem) => certificates(pem).ok_or(NoWay::CaCert)?,
        None => Vec::new(),
    };
    let http = builder_for(&server.base)
        .user_agent(concat!("roustabout/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(FORGE_CONNECT_TIMEOUT)
        .timeout(FORGE_TIMEOUT)
        .tcp_keepalive(Duration::from_secs(30))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .tls_certs_merge(bundled_roots().chain(own))
        .build()?;
    Ok(Transport::new(http))
}

/// Why there can be no way to a forge.
#[derive(Debug, thiserror::Error)]
pub enum NoWay {
    #[error("ca_cert_file holds no certificate in PEM form")]
    CaCert,
    #[error("the HTTP client cannot be set up: {0}")]
    Http(#[from] reqwest::Error),
}

impl Exchange for reqwest::Client {
    fn send(&self, request: Request) -> Answering<'_, Response> {
        let timeout = request.timeout;
        let mut builder =
            self.request(request.method, request.url).headers(request.headers).timeout(timeout);
        if let Some(body) = request.body {
            builder = builder.body(body);
        }
        Box::pin(async move {
            let mut answer = builder.send().await.map_err(|error| failure(&error, timeout))?;
            let headers = std::mem::take(answer.headers_mut());
            let status = answer.status();
            Ok(Response { status, headers, body: Box::new(Incoming { answer, timeout }) })
        })
    }
}

struct Incoming {
    answer: reqwest::Response,
    timeout: Duration,
}

impl Body for Incoming {
    fn chunk(&mut self) -> Answering<'_, Option<Bytes>> {
        let timeout = self.timeout;
        Box::pin(async move { self.answer.chunk().await.map_err(|error| failure(&error, timeout)) })
    }
}

fn failure(error: &reqwest::Error, timeout: Duration) -> Failure {
    let sent = !(error.is_connect() || error.is_builder());
    let reason = match error.is_timeout() && sent {
        true => format!("no answer within {} s", timeout.as_secs()),
        false => cause(error),
    };
    Failure { sent, reason }
}

/// The innermost reason. Of the URL, which may hold a password, host and port where nothing answers.
pub fn cause(error: &reqwest::Error) -> String {
    let mut deepest = error.source();
    while let Some(next) = deepest.and_then(|e| e.source()) {
        deepest = Some(next);
    }
    match deepest {
        Some(inner) if error.is_connect() => {
            let fix = match is_of_unknown_issuer(inner) {
                true => " (nobody known issued its certificate: set ca_cert_file to who did)",
                false => "",
            };
            match error.url().and_then(at) {
                Some(at) => format!("cannot connect to {at}: {inner}{fix}"),
                None => format!("cannot connect: {inner}{fix}"),
            }
        }
        Some(inner) => inner.to_string(),
        None => "the request cannot be built".to_owned(),
    }
}

/// Whether the server's certificate is of an authority that is not trusted here.
fn is_of_unknown_issuer(error: &(dyn std::error::Error + 'static)) -> bool {
    // An I/O error hides the one it carries from `source`, and may carry another I/O error.
    let mut tls = error.downcast_ref::<rustls::Error>();
    let mut outer = error.downcast_ref::<std::io::Error>();
    while let Some(carried) = outer.and_then(|error| error.get_ref()) {
        tls = carried.downcast_ref::<rustls::Error>();
        outer = carried.downcast_ref::<std::io::Error>();
    }
    matches!(tls, Some(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer)))
}

/// `host:port`; nothing for a Unix socket, whose requests go to `http://localhost/`.
fn at(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    if host == "localhost" && url.port().is_none() && url.scheme() == "http" {
        return None;
    }
    Some(format!("{host}:{}", url.port_or_known_default()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn where_nothing_answers_is_named_without_what_may_be_secret() {
        let url = "http://user:secret@127.0.0.1:4/v1/jobs";
        let error = builder_for(&url.parse().unwrap()).build().unwrap().get(url).send().await;
        let cause = cause(&error.unwrap_err());
        assert!(cause.starts_with("cannot connect to 127.0.0.1:4: "), "{cause}");
        assert_eq!(at(&"http://localhost/v1/jobs".parse().unwrap()), None, "a socket");
        assert_eq!(at(&"https://[::1]/v1".parse().unwrap()).as_deref(), Some("[::1]:443"));
    }

    #[test]
    fn this_machine_is_told_from_others() {
        for here in [
            "http://127.0.0.1:4646",
            "http://127.9.9.9",
            "https://[::1]:4646",
            "http://[::ffff:127.0.0.1]",
            "http://LOCALHOST:1",
            "http://nomad.localhost.",
        ] {
            assert!(is_loopback(&here.parse().unwrap()), "{here}");
        }
        for elsewhere in ["http://10.0.0.1", "http://localhost.example.org", "https://[fe80::1]"] {
            assert!(!is_loopback(&elsewhere.parse().unwrap()), "{elsewhere}");
        }
    }
}
