//! What our clients of JSON over HTTP have in common, whoever they ask: whom they trust, where
//! they let themselves be sent, and how a failure is told. No word of any API.
//!
//! Read next: `github/transport.rs`, `gitea/transport.rs`, `nomad/transport.rs`.

use std::error::Error as _;
use std::time::Duration;

use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use url::{Host, Url};

use strangers_text::harmless_up_to;

/// Of a whole call to a forge, connecting and reading included.
const FORGE_TIMEOUT: Duration = Duration::from_secs(10);
const FORGE_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Of a message that an error repeats.
const TEXT_LIMIT: usize = 500;

/// Mozilla's roots, so that a host without a CA bundle can verify public certificates.
pub fn bundled_roots() -> impl Iterator<Item = reqwest::Certificate> {
    webpki_root_certs::TLS_SERVER_ROOT_CERTS
        .iter()
        .filter_map(|der| reqwest::Certificate::from_der(der.as_ref()).ok())
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

/// A client of the forge at `base`: it neither retries nor follows redirects by itself.
pub fn forge_client(base: &Url) -> reqwest::Result<reqwest::Client> {
    builder_for(base)
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
pub fn redirect(
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
pub fn forge_message(body: &[u8]) -> String {
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
pub fn forge_cause(error: &reqwest::Error) -> String {
    if error.is_timeout() && !error.is_connect() {
        return format!("no answer within {} s", FORGE_TIMEOUT.as_secs());
    }
    cause(error)
}

/// The innermost reason, without the URL (it may hold a password).
pub fn cause(error: &reqwest::Error) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

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
