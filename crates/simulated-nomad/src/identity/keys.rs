//! The servers' key that signs identities: RSA, as Nomad makes since 1.7, and what the world needs
//! to know of it (`/.well-known/jwks.json`).
//!
//! Read next: `proof.rs`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    KeyPair, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use serde_json::{Value, json};

use super::base64url;
use super::claims::Claims;

/// What a key's file ends in.
const ENDING: &str = "pkcs8";

/// The one key that is in use. (There is no rotation here.)
pub(crate) struct Keyring {
    /// `kid`.
    id: String,
    pair: RsaKeyPair,
}

impl Keyring {
    /// A new key of that id.
    ///
    /// # Errors
    /// Where the system has no randomness.
    pub fn new(id: String) -> io::Result<Self> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(io::Error::other)?;
        Ok(Self { id, pair })
    }

    /// The key of that folder, which is made where there is none; a new one gets that id.
    ///
    /// # Errors
    /// When the folder or a key in it cannot be read or written.
    pub fn kept_in(folder: &Path, id: String) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|it| it == ENDING)
                && let Some(id) = path.file_stem().and_then(|it| it.to_str())
            {
                let pair = RsaKeyPair::from_pkcs8(&fs::read(&path)?).map_err(io::Error::other)?;
                return Ok(Self { id: id.to_owned(), pair });
            }
        }
        let made = Self::new(id)?;
        let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&made.pair).map_err(io::Error::other)?;
        let file = folder.join(format!("{}.{ENDING}", made.id));
        let mut options = File::options();
        options.write(true).create_new(true).mode(0o600).open(file)?.write_all(der.as_ref())?;
        Ok(made)
    }

    /// As a set of JWKs.
    pub fn public(&self) -> Value {
        let (modulus, exponent) = integers(self.pair.public_key().as_ref()).unwrap_or_default();
        json!({"keys": [{
            "use": "sig",
            "kty": "RSA",
            "kid": self.id,
            "alg": "RS256",
            "n": base64url::encode(modulus),
            "e": base64url::encode(exponent),
        }]})
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn holds(&self, id: &str) -> bool {
        self.id == id
    }

    /// A JWT of these claims.
    ///
    /// # Errors
    /// Where the system has no randomness.
    pub fn sign(&self, claims: &Claims) -> io::Result<String> {
        let head = json!({"alg": "RS256", "kid": self.id, "typ": "JWT"}).to_string();
        let body = serde_json::to_vec(claims).map_err(io::Error::other)?;
        let signed = format!("{}.{}", base64url::encode(head.as_bytes()), base64url::encode(&body));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(io::Error::other)?;
        Ok(format!("{signed}.{}", base64url::encode(&signature)))
    }

    pub fn has_signed(&self, text: &str, signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, self.pair.public_key())
            .verify(text.as_bytes(), signature)
            .is_ok()
    }
}

/// The two numbers of a public key as PKCS #1 has it: a sequence of them, in DER.
fn integers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (sequence, _) = content(der, 0x30)?;
    let (modulus, rest) = content(sequence, 0x02)?;
    let (exponent, _) = content(rest, 0x02)?;
    // A zero goes before a number whose first bit is set.
    Some((modulus.strip_prefix(&[0]).unwrap_or(modulus), exponent))
}

/// What is in the first value, which has that tag, and what comes after it.
fn content(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (own, rest) = der.split_first()?;
    let (first, rest) = rest.split_first().filter(|_| *own == tag)?;
    if *first < 0x80 {
        return rest.split_at_checked(usize::from(*first));
    }
    let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
    let length = length.iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte));
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_key_is_the_same_again() {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keystore");
        let first = Keyring::kept_in(&keys, "a".to_owned()).unwrap();
        let again = Keyring::kept_in(&keys, "b".to_owned()).unwrap();
        assert_eq!(first.public(), again.public());
        let public = again.public();
        assert_eq!(public["keys"][0]["e"], "AQAB");
        let modulus = base64url::decode(public["keys"][0]["n"].as_str().unwrap()).unwrap();
        assert_eq!((modulus.len(), modulus[0] >> 7), (256, 1));
        assert!(again.holds("a") && !again.holds("b"));
    }
}
