//! Where Nomad is and how to prove who we are: the settings of one client, and the HTTP client
//! that is built from them.
//!
//! It opens nothing: a wrong address shows with the first call. The meaning of each setting follows
//! Nomad's own `NOMAD_*` variables (Nomad `api/api.go`). Read `transport` next.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::HeaderValue;
use secrecy::SecretString;
use transport::Transport;
use url::Url;

/// How long a connection may take to open, name resolution and TLS included.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where an agent's HTTP API listens.
#[derive(Clone, PartialEq, Eq)]
pub enum Address {
    /// `http://` or `https://`; a path is kept as a prefix, `user:password@` becomes basic
    /// authentication.
    Http(Url),
    /// A socket file, as tasks get it in `NOMAD_UNIX_ADDR`. Always authenticated, never TLS.
    Unix(PathBuf),
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Not the whole URL, for it may hold a password.
            Address::Http(url) => write!(f, "Http({})", url.origin().ascii_serialization()),
            Address::Unix(path) => write!(f, "Unix({})", path.display()),
        }
    }
}

/// Namespace and region of a call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Nomad's name for "no namespace" is `default`.
    pub namespace: String,
    /// None: the region of the agent that is asked.
    pub region: Option<String>,
}

/// Everything a client needs to know of one Nomad.
#[derive(Clone)]
pub struct Connection {
    pub address: Address,
    /// The namespace of [`Client::place`](super::Client::place); each call names its own.
    pub namespace: String,
    pub region: Option<String>,
    /// ACL token or workload identity, sent as `X-Nomad-Token`.
    pub token: Option<SecretString>,
    /// Where the token stands, if it stands in a file: read again whenever it has changed, for a
    /// workload identity is renewed there.
    pub token_file: Option<PathBuf>,
    /// PEM, one or several certificates. When given, only these are trusted, as Nomad's own
    /// client has it; else the system's and the bundled Mozilla roots.
    pub ca_cert_pem: Option<Vec<u8>>,
    /// PEM with the client's certificate and its key.
    pub client_identity_pem: Option<Vec<u8>>,
    /// The name that the agent's certificate must carry, where it is not the address's host
    /// (Nomad's own are `server.<region>.nomad`). With it, no system proxy is used.
    pub tls_server_name: Option<String>,
    pub tls_skip_verify: bool,
}

impl Connection {
    /// Nothing but the address is said.
    pub fn to(address: Address) -> Self {
        Self {
            address,
            namespace: "default".to_owned(),
            region: None,
            token: None,
            token_file: None,
            ca_cert_pem: None,
            client_identity_pem: None,
            tls_server_name: None,
            tls_skip_verify: false,
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("address", &self.address)
            .field("namespace", &self.namespace)
            .field("region", &self.region)
            .field("token", &self.token.is_some())
            .field("token_file", &self.token_file)
            .field("client_identity_pem", &self.client_identity_pem.is_some())
            .field("tls_server_name", &self.tls_server_name)
            .field("tls_skip_verify", &self.tls_skip_verify)
            .finish_non_exhaustive()
    }
}

/// Why no client can be built from a [`Connection`].
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("the address's scheme is {0:?}; use http, https or unix")]
    Scheme(String),
    #[error("the address names no host")]
    NoHost,
    #[error("the CA certificate is no PEM certificate: {0}")]
    CaCert(String),
    #[error("the client certificate and key are no PEM pair: {0}")]
    ClientIdentity(String),
    #[error("the TLS server name {0:?} is no host name")]
    ServerName(String),
    #[error("the HTTP client cannot be set up: {0}")]
    Http(String),
}

/// What the transport needs of a connection.
pub(super) struct Built {
    pub wire: Transport,
    /// Requests go below it. Its host is the TLS server name where there is one.
    pub base: Url,
    /// The address's real host and port, where `base` has another.
    pub host: Option<HeaderValue>,
}

pub(super) fn build(connection: &Connection) -> Result<Built, BuildError> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("roustabout/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_keepalive(Duration::from_secs(30))
        .pool_idle_timeout(Duration::from_secs(60))
        .redirect(reqwest::redirect::Policy::none())
        // A request that may have been sent is the caller's to repeat, not ours.
        .retry(reqwest::retry::never())
        .http1_only()
        .tls_danger_accept_invalid_certs(connection.tls_skip_verify);

    builder = match &connection.ca_cert_pem {
        Some(pem) => {
            let certificates = reqwest::Certificate::from_pem_bundle(pem)
                .map_err(|e| BuildError::CaCert(e.to_string()))?;
            if certificates.is_empty() {
                return Err(BuildError::CaCert("it holds no certificate".to_owned()));
            }
            builder.tls_certs_only(certificates)
        }
        None => builder.tls_certs_merge(transport::bundled_roots()),
    };
    if let Some(pem) = &connection.client_identity_pem {
        let identity = reqwest::Identity::from_pem(pem)
            .map_err(|e| BuildError::ClientIdentity(e.to_string()))?;
        builder = builder.identity(identity);
    }

    let mut host = None;
    let base = match &connection.address {
        Address::Unix(path) => {
            builder = builder.unix_socket(path.as_path()).no_proxy();
            Url::parse("http://localhost/").map_err(|e| BuildError::Http(e.to_string()))?
        }
        Address::Http(url) => {
            if !matches!(url.scheme(), "http" | "https") {
                return Err(BuildError::Scheme(url.scheme().to_owned()));
            }
            let real = url.host_str().ok_or(BuildError::NoHost)?.to_owned();
            let port = url.port_or_known_default().ok_or(BuildError::NoHost)?;
            if transport::is_loopback(url) {
                builder = builder.no_proxy();
            }
            let mut base = url.clone();
            base.set_query(None);
            base.set_fragment(None);
            if let (Some(name), "https") = (&connection.tls_server_name, url.scheme()) {
                // reqwest verifies the URL's host. So the URL carries the certificate's name, and
                // that name, whatever it is, resolves to the real host.
                base.set_host(Some(name)).map_err(|_| BuildError::ServerName(name.clone()))?;
                // An IP address would be connected to, not resolved.
                base.domain().ok_or_else(|| BuildError::ServerName(name.clone()))?;
                host = HeaderValue::from_str(&format!("{real}:{port}")).ok();
                let target = real.trim_start_matches('[').trim_end_matches(']').to_owned();
                builder = builder.dns_resolver(Pinned { host: target, port }).no_proxy();
            }
            base
        }
    };
    let http = builder.build().map_err(|e| BuildError::Http(e.to_string()))?;
    Ok(Built { wire: Transport::new(http), base, host })
}

/// Resolves every name to one host.
struct Pinned {
    host: String,
    port: u16,
}

impl Resolve for Pinned {
    fn resolve(&self, _: Name) -> Resolving {
        let target = (self.host.clone(), self.port);
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host(target).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn connection(address: &str) -> Connection {
        testing::install_provider();
        Connection {
            token: Some(SecretString::from("s3cr3t-token")),
            client_identity_pem: None,
            ..testing::connection(address)
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let mut shown = connection("http://user:pa55word@127.0.0.1:4646");
        shown.client_identity_pem = Some(b"k3y".to_vec());
        let text = format!("{shown:?}");
        assert!(!text.contains("s3cr3t") && !text.contains("pa55word"), "{text}");
        assert!(!text.contains("107, 51"), "{text}");
    }

    #[test]
    fn what_cannot_work_is_said_at_once() {
        assert!(matches!(build(&connection("ftp://x")), Err(BuildError::Scheme(_))));
        let mut broken = connection("https://x");
        broken.ca_cert_pem = Some(b"no pem".to_vec());
        assert!(matches!(build(&broken), Err(BuildError::CaCert(_))));
        let mut broken = connection("https://x");
        broken.client_identity_pem = Some(b"no pem".to_vec());
        assert!(matches!(build(&broken), Err(BuildError::ClientIdentity(_))));
    }

    #[test]
    fn a_tls_server_name_takes_the_hosts_place() {
        let mut named = connection("https://10.0.0.1:4646/nomad");
        named.tls_server_name = Some("server.global.nomad".to_owned());
        let built = build(&named).unwrap();
        assert_eq!(built.base.as_str(), "https://server.global.nomad:4646/nomad");
        assert_eq!(built.host.unwrap(), "10.0.0.1:4646");
        named.tls_server_name = Some("10.0.0.2".to_owned());
        assert!(matches!(build(&named), Err(BuildError::ServerName(_))));
    }
}
