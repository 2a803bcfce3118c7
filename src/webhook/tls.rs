//! The certificate of a door that speaks TLS, taken up when its files change: looked at for every new
//! connection. What cannot be read, or does not fit together, leaves the one before in use.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

/// Clones share what was read last.
#[derive(Clone)]
pub struct Tls(Arc<Files>);

struct Files {
    cert: PathBuf,
    key: PathBuf,
    read: Mutex<Read>,
}

struct Read {
    acceptor: TlsAcceptor,
    /// What the files were when they were looked at last.
    marks: [Option<Mark>; 2],
}

/// When a file was written, and how long it is.
type Mark = (SystemTime, u64);

impl Tls {
    /// # Errors
    /// In words, if there is no certificate with its key in the files.
    pub fn of(cert: &Path, key: &Path) -> Result<Self, String> {
        let marks = [mark(cert), mark(key)];
        let read = Mutex::new(Read { acceptor: acceptor(cert, key)?, marks });
        Ok(Self(Arc::new(Files { cert: cert.to_owned(), key: key.to_owned(), read })))
    }

    /// By the files as they are now.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let Files { cert, key, read } = &*self.0;
        // It is exchanged as a whole, whatever panicked beside it.
        let mut read = read.lock().unwrap_or_else(PoisonError::into_inner);
        let marks = [mark(cert), mark(key)];
        if marks != read.marks {
            match acceptor(cert, key) {
                Ok(acceptor) => {
                    info!(certificate = %cert.display(), "new TLS certificate taken up");
                    read.acceptor = acceptor;
                }
                // Most likely one of them is still to be written.
                Err(reason) => {
                    warn!(
                        reason,
                        "cannot read the new TLS certificate; the one before stays in use"
                    );
                }
            }
            read.marks = marks;
        }
        read.acceptor.clone()
    }
}

fn mark(path: &Path) -> Option<Mark> {
    let file = std::fs::metadata(path).ok()?;
    Some((file.modified().ok()?, file.len()))
}

fn acceptor(cert: &Path, key: &Path) -> Result<TlsAcceptor, String> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(cert)
        .and_then(|certificates| certificates.collect())
        .map_err(|error| format!("{}: {error}", cert.display()))?;
    if chain.is_empty() {
        return Err(format!("{} contains no certificate in PEM form", cert.display()));
    }
    let private =
        PrivateKeyDer::from_pem_file(key).map_err(|error| format!("{}: {error}", key.display()))?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| format!("{} and {}: {error}", cert.display(), key.display()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
