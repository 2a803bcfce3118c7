//! `X-Hub-Signature-256`: HMAC-SHA256 over the raw body, as GitHub signs it (docs: "Validating
//! webhook deliveries"). Signing is here too, for `send` and the simulated GitHub.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// The secrets that may have signed: of the webhooks of repositories and organizations, and of each
/// App's; today's, and the previous ones while they are being changed.
#[derive(Clone, Default)]
pub struct Secrets {
    keys: Vec<(SecretString, Signer)>,
}

/// Whose webhook it is, and whether that is signed with today's secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The credential that is the App, by its index; `None`: nobody in particular.
    pub app: Option<usize>,
    pub previous: bool,
}

impl Secrets {
    pub fn new(current: SecretString, previous: Option<SecretString>) -> Self {
        Self::default().and(None, Some(current), previous)
    }

    /// With those too.
    pub fn and(
        mut self,
        app: Option<usize>,
        current: Option<SecretString>,
        previous: Option<SecretString>,
    ) -> Self {
        let current = current.map(|key| (key, Signer { app, previous: false }));
        let previous = previous.map(|key| (key, Signer { app, previous: true }));
        self.keys.extend(current.into_iter().chain(previous));
        self
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Begins to judge whether it is the signature of what will come.
    pub fn check(&self, given: Given) -> Checking {
        let macs = self.keys.iter().map(|(key, signer)| (mac(key), signer.clone()));
        Checking { given, macs: macs.collect() }
    }
}

/// Judges a signature of a body that comes in pieces.
pub struct Checking {
    given: Given,
    macs: Vec<(Hmac<Sha256>, Signer)>,
}

impl Checking {
    pub fn update(&mut self, piece: &[u8]) {
        self.macs.iter_mut().for_each(|(mac, _)| mac.update(piece));
    }

    /// Whose secrets made it; nobody's: it is wrong. Compares in constant time.
    pub fn signers(self) -> Vec<Signer> {
        let made_it = self.macs.into_iter().filter(|(mac, _)| {
            // Verifying consumes it.
            mac.clone().verify_slice(&self.given.0).is_ok()
        });
        made_it.map(|(_, signer)| signer).collect()
    }
}

/// A signature by its form, whoever made it.
#[derive(Clone, Copy)]
pub struct Given([u8; 32]);

impl Given {
    /// Of the header's value; `None`: no signature could look like that.
    pub fn read(header: &[u8]) -> Option<Self> {
        let mut tag = [0u8; 32];
        hex::decode_to_slice(header.strip_prefix(b"sha256=")?, &mut tag).ok()?;
        Some(Self(tag))
    }
}

/// The header's value for a body.
pub fn sign(secret: &SecretString, body: &[u8]) -> String {
    let mut mac = mac(secret);
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

fn mac(secret: &SecretString) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes())
        // HMAC pads or hashes keys, so every length is valid (RFC 2104, section 2).
        .unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GitHub's own test vector (docs: "Validating webhook deliveries").
    const VECTOR: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn secret(text: &str) -> SecretString {
        SecretString::from(text)
    }

    fn signed(secrets: &Secrets, header: &str, body: &[u8]) -> bool {
        let Some(given) = Given::read(header.as_bytes()) else { return false };
        let (first, second) = body.split_at(body.len() / 2);
        let mut checking = secrets.check(given);
        checking.update(first);
        checking.update(second);
        !checking.signers().is_empty()
    }

    #[test]
    fn agrees_with_githubs_test_vector() {
        let key = secret("It's a Secret to Everybody");
        assert_eq!(sign(&key, b"Hello, World!"), VECTOR);
        assert!(signed(&Secrets::new(key, None), VECTOR, b"Hello, World!"));
    }

    #[test]
    fn either_secret_may_have_signed() {
        let both = Secrets::new(secret("new"), Some(secret("old")));
        for key in ["new", "old"] {
            assert!(signed(&both, &sign(&secret(key), b"x"), b"x"));
        }
        assert!(!signed(&both, &sign(&secret("other"), b"x"), b"x"));
    }

    #[test]
    fn it_is_told_whose_secret_has_signed() {
        let set = Secrets::new(secret("all"), None)
            .and(Some(0), Some(secret("app")), Some(secret("before")))
            .and(Some(1), Some(secret("all")), None);
        let signers = |key: &str| {
            let given = Given::read(sign(&secret(key), b"x").as_bytes()).unwrap();
            let mut checking = set.check(given);
            checking.update(b"x");
            let all = checking.signers().into_iter();
            all.map(|signer| (signer.app, signer.previous)).collect::<Vec<_>>()
        };
        assert_eq!(signers("app"), [(Some(0), false)]);
        assert_eq!(signers("before"), [(Some(0), true)]);
        assert_eq!(signers("all"), [(None, false), (Some(1), false)]);
        assert_eq!(signers("other"), []);
    }

    #[test]
    fn what_is_not_a_signature_does_not_hold() {
        let secrets = Secrets::new(secret("It's a Secret to Everybody"), None);
        let upper = VECTOR.to_uppercase();
        for header in
            ["", "sha256=", "sha256=00", &VECTOR[7..], "sha1=757107ea", &upper, "sha256=zz"]
        {
            assert!(!signed(&secrets, header, b"Hello, World!"), "{header}");
        }
    }
}
