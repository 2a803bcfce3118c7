//! What our clients of JSON over HTTP have in common, whoever they ask: whom they trust, where
//! they let themselves be sent, and how a failure is told. No word of any API.
//!
//! Read next: `github/transport.rs`, `gitea/transport.rs`, `nomad/transport.rs`.

use std::error::Error as _;
use std::time::Duration;

use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use url::Url;

use crate::strangers_text::harmless_up_to;

/// Of a whole call to a forge, connecting and reading included.
const FORGE_TIMEOUT: Duration = Duration::from_secs(10);
const FORGE_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Of a message that an error repeats.
const TEXT_LIMIT: usize = 500;

/// Mozilla's roots, so that a host without a CA bundle can verify public certificates.
pub(crate) fn bundled_roots() -> impl Iterator<Item = reqwest::Certificate> {
    webpki_root_certs::TLS_SERVER_ROOT_CERTS
        .iter()
        .filter_map(|der| reqwest::Certificate::from_der(der.as_ref()).ok())
}

/// A client of a forge: it neither retries nor follows redirects by itself.
pub(crate) fn forge_client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .user_agent(concat!("roustabout/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(FORGE_CONNECT_TIMEOUT)
        .timeout(FORGE_TIMEOUT)
        .tcp_keepalive(Duration::from_secs(30))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .tls_certs_merge(bundled_roots())
        .build()
}

/// Where to ask again, if that is safe: the token goes to no other origin.
pub(crate) fn redirect(
    method: &Method,
    status: StatusCode,
    headers: &HeaderMap,
    from: &Url,
) -> Option<Url> {
    let keeps_method = match status.as_u16() {
        301 | 302 => *method == Method::GET,
        307 | 308 => true,
        _ => false,
    };
    let target = from.join(headers.get(LOCATION)?.to_str().ok()?).ok()?;
    (keeps_method && target.origin() == from.origin()).then_some(target)
}

/// A forge's own words, bounded and on one line.
pub(crate) fn forge_message(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct WireError {
        #[serde(default)]
        message: String,
    }
    let text = match serde_json::from_slice::<WireError>(body) {
        Ok(wire) => wire.message,
        Err(_) => String::from_utf8_lossy(body).trim().to_owned(),
    };
    harmless_up_to(&text, TEXT_LIMIT)
}

/// As [`cause`], for a call of [`forge_client`].
pub(crate) fn forge_cause(error: &reqwest::Error) -> String {
    if error.is_timeout() && !error.is_connect() {
        return format!("no answer within {} s", FORGE_TIMEOUT.as_secs());
    }
    cause(error)
}

/// The innermost reason, without the URL (it may hold a password).
pub(crate) fn cause(error: &reqwest::Error) -> String {
    let mut deepest = error.source();
    while let Some(next) = deepest.and_then(|e| e.source()) {
        deepest = Some(next);
    }
    match deepest {
        Some(inner) if error.is_connect() => format!("cannot connect: {inner}"),
        Some(inner) => inner.to_string(),
        None => "the request cannot be built".to_owned(),
    }
}
