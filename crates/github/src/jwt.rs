//! A GitHub App's private key, and the tokens by which the App says who it is: RS256, for ten
//! minutes at most (docs.github.com, "Generating a JSON Web Token (JWT) for a GitHub App").
//!
//! GitHub hands out keys in PKCS#1; PKCS#8 is what other tools make of them.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::sign::RsaSigningKey;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::SigningKey;
use secrecy::{ExposeSecret, SecretString};

/// It counts from a minute ago, for clocks differ, and is good for nine more.
const BEGAN: SignedDuration = SignedDuration::from_secs(-60);
const ENDS: SignedDuration = SignedDuration::from_secs(540);

/// The private key of an App. `Debug` does not show it.
#[derive(Clone)]
pub struct AppKey {
    pem: SecretString,
    key: Arc<RsaSigningKey>,
}

/// What a text is, if it is no private key of an App. Reads after the name of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAKey {
    #[error("contains no private key in PEM form (-----BEGIN RSA PRIVATE KEY-----)")]
    NoPem,
    #[error("contains a public key, not the private key")]
    Public,
    #[error("contains a certificate, not the private key")]
    Certificate,
    #[error("contains a private key that is encrypted with a passphrase")]
    Encrypted,
    #[error("contains a key in OpenSSH's own format, not the PEM file that GitHub made")]
    OpenSsh,
    #[error("contains a private key that is damaged or is not RSA of 2048 bits or more")]
    NotRsa,
}

impl std::fmt::Debug for AppKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AppKey(…)")
    }
}

impl PartialEq for AppKey {
    fn eq(&self, other: &AppKey) -> bool {
        self.pem.expose_secret() == other.pem.expose_secret()
    }
}

impl AppKey {
    /// As PKCS#1 or PKCS#8, also with the byte order mark and the line ends of Windows.
    pub fn from_pem(pem: SecretString) -> Result<AppKey, NotAKey> {
        let text = pem.expose_secret().trim_start_matches('\u{feff}');
        let of_kind = |kind: &str| text.contains(&format!("-----BEGIN {kind}-----"));
        // With a passphrase OpenSSL writes PKCS#8 under a name of its own, and marks PKCS#1 by a
        // header, which is no base64.
        if of_kind("ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") {
            return Err(NotAKey::Encrypted);
        }
        let Ok(der) = PrivateKeyDer::from_pem_slice(text.as_bytes()) else {
            return Err(match () {
                () if of_kind("OPENSSH PRIVATE KEY") => NotAKey::OpenSsh,
                () if text.contains(" PRIVATE KEY-----") => NotAKey::NotRsa,
                () if of_kind("PUBLIC KEY") || of_kind("RSA PUBLIC KEY") => NotAKey::Public,
                () if text.contains("CERTIFICATE-----") => NotAKey::Certificate,
                () => NotAKey::NoPem,
            });
        };
        let key = RsaSigningKey::new(&der).map_err(|_| NotAKey::NotRsa)?;
        Ok(AppKey { pem, key: Arc::new(key) })
    }

    /// A JWT of that issuer as of `now`, GitHub's.
    pub(super) fn sign(&self, issuer: &str, now: Timestamp) -> SecretString {
        let claims = serde_json::json!({
            "iat": (now + BEGAN).as_second(),
            "exp": (now + ENDS).as_second(),
            "iss": issuer,
        });
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let head = encode(br#"{"alg":"RS256","typ":"JWT"}"#);
        let signed = format!("{head}.{}", encode(claims.to_string().as_bytes()));
        let signer = self.key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]);
        // An RSA key has this scheme, and signing fails only where the system has no randomness;
        // a token without a signature is refused by GitHub.
        let signature = signer.and_then(|signer| signer.sign(signed.as_bytes()).ok());
        format!("{signed}.{}", encode(&signature.unwrap_or_default())).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{
        KeyPair, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey,
    };
    use base64::engine::general_purpose::STANDARD;

    fn pem(kind: &str, der: &[u8]) -> SecretString {
        format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", STANDARD.encode(der)).into()
    }

    /// A key as PKCS#8, and the pair it is of.
    fn made() -> (Vec<u8>, RsaKeyPair) {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
        (der.as_ref().to_vec(), pair)
    }

    /// The PKCS#1 key inside a PKCS#8 one: its last octet string.
    fn pkcs1(pkcs8: &[u8]) -> &[u8] {
        let at = pkcs8.windows(4).skip(4).position(|w| {
            w[0] == 0x30 && w[1] == 0x82 && {
                let length = usize::from(w[2]) << 8 | usize::from(w[3]);
                length > 1000
            }
        });
        &pkcs8[at.unwrap() + 4..]
    }

    #[test]
    fn both_forms_of_a_key_sign_what_its_public_half_takes() {
        let (der, pair) = made();
        for (kind, der) in [("PRIVATE KEY", &der[..]), ("RSA PRIVATE KEY", pkcs1(&der))] {
            let key = AppKey::from_pem(pem(kind, der)).unwrap();
            let now = Timestamp::from_second(1_800_000_000).unwrap();
            let jwt = key.sign("Iv23li", now);
            let (signed, signature) = jwt.expose_secret().rsplit_once('.').unwrap();
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key())
                .verify(signed.as_bytes(), &signature)
                .unwrap();
            let claims = URL_SAFE_NO_PAD.decode(signed.split_once('.').unwrap().1).unwrap();
            let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
            assert_eq!(claims["iss"], "Iv23li");
            assert_eq!(claims["iat"], 1_799_999_940);
            assert_eq!(claims["exp"], 1_800_000_540);
            assert!(!format!("{key:?} {jwt:?}").contains(&STANDARD.encode(der)[..40]));
        }
    }

    #[test]
    fn a_key_that_went_through_windows_is_a_key() {
        let (der, _) = made();
        let text = pem("RSA PRIVATE KEY", pkcs1(&der));
        let text = text.expose_secret().replace('\n', "\r\n");
        for text in [format!("\u{feff}{text}"), text] {
            assert!(AppKey::from_pem(text.into()).is_ok());
        }
    }

    #[test]
    fn what_is_no_key_is_told_apart() {
        let told = |pem: SecretString| AppKey::from_pem(pem).unwrap_err();
        assert_eq!(told("ghp_token".into()), NotAKey::NoPem);
        assert_eq!(told("".into()), NotAKey::NoPem);
        assert_eq!(told(pem("PUBLIC KEY", b"x")), NotAKey::Public);
        assert_eq!(told(pem("RSA PUBLIC KEY", b"x")), NotAKey::Public);
        assert_eq!(told(pem("CERTIFICATE", b"x")), NotAKey::Certificate);
        assert_eq!(told(pem("TRUSTED CERTIFICATE", b"x")), NotAKey::Certificate);
        assert_eq!(told(pem("OPENSSH PRIVATE KEY", b"x")), NotAKey::OpenSsh);
        assert_eq!(told(pem("ENCRYPTED PRIVATE KEY", b"x")), NotAKey::Encrypted);
        let passphrase = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\
                          DEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
        assert_eq!(told(passphrase.into()), NotAKey::Encrypted);
        assert_eq!(told(pem("RSA PRIVATE KEY", b"not a key")), NotAKey::NotRsa);
        assert_eq!(told(pem("EC PRIVATE KEY", b"not a key")), NotAKey::NotRsa);
        let (der, _) = made();
        assert_eq!(told(pem("PRIVATE KEY", &der[..der.len() / 2])), NotAKey::NotRsa);
        let cut = pem("PRIVATE KEY", &der).expose_secret().replace("-----END PRIVATE KEY-----", "");
        assert_eq!(told(cut.into()), NotAKey::NotRsa);
    }
}
