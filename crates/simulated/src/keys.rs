//! RSA keys of GitHub Apps, as PEM in both forms, for whoever plays one. Made once a process: it takes
//! a while.

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A private key and its public half.
#[derive(Clone, Debug)]
pub struct AppKeys {
    /// As GitHub hands it out (`BEGIN RSA PRIVATE KEY`).
    pub pkcs1: String,
    /// As `openssl pkcs8` makes it (`BEGIN PRIVATE KEY`).
    pub pkcs8: String,
    /// In PKCS#1, DER.
    pub public: Vec<u8>,
}

impl AppKeys {
    /// A new one.
    ///
    /// # Panics
    /// Where the system has no randomness.
    #[must_use]
    #[expect(clippy::unwrap_used, reason = "it fails only where the system has no randomness")]
    pub fn generate() -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let whole = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
        let whole = whole.as_ref();
        Self {
            pkcs1: pem("RSA PRIVATE KEY", inner(whole)),
            pkcs8: pem("PRIVATE KEY", whole),
            public: pair.public_key().as_ref().to_vec(),
        }
    }

    /// The public half, as `openssl rsa -RSAPublicKey_out` shows it.
    #[must_use]
    pub fn public_pem(&self) -> String {
        pem("RSA PUBLIC KEY", &self.public)
    }

    /// The one that all who do not care share.
    #[must_use]
    pub fn usual() -> &'static Self {
        static USUAL: LazyLock<AppKeys> = LazyLock::new(AppKeys::generate);
        &USUAL
    }
}

/// The private key that every simulated App has by default.
#[must_use]
pub fn app_key() -> String {
    AppKeys::usual().pkcs1.clone()
}

fn pem(kind: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        (0..text.len()).step_by(64).map(|at| &text[at..(at + 64).min(text.len())]).collect();
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"))
}

/// The PKCS#1 key inside a PKCS#8 one of 2048 bits: what is in its last field, an octet string.
/// Before it are a sequence's head (4 bytes), a version (3), an algorithm (15) and its own head (4).
fn inner(pkcs8: &[u8]) -> &[u8] {
    &pkcs8[4 + 3 + 15 + 4..]
}
