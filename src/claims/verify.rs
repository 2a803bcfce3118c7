//! Whether a JWT is the workload identity of a task: signed by a key of Nomad's, with an algorithm that
//! Nomad signs with, for us, and not over. Pure: the key is given, and so is the time.

use std::time::Duration;

use aws_lc_rs::signature::{
    ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer};

use crate::ledger::Time;
use crate::nomad::PublicKey;

/// Nomad's have some 1 200 bytes.
const LONGEST: usize = 8 * 1024;
/// How far the clocks of this machine and of Nomad's servers may differ.
const LEEWAY: Duration = Duration::from_secs(30);

/// Why a text proves nothing. Reads after "the claim was refused: ".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    #[error("there is no Authorization: Bearer with a workload identity")]
    Missing,
    #[error("what was sent is not a workload identity of Nomad")]
    Malformed,
    #[error("the identity is signed with an algorithm that Nomad does not sign with")]
    Algorithm,
    #[error("the identity is signed with a key that Nomad does not have")]
    UnknownKey,
    #[error("the signature of the identity is invalid")]
    Signature,
    #[error(
        "the identity is for another audience; set aud in the identity block of the task to claims.audience"
    )]
    Audience,
    #[error("the identity has no expiry; set ttl in the identity block of the task")]
    Endless,
    #[error("the identity has expired")]
    Expired,
    #[error(
        "the identity is not valid yet; does the clock of this machine differ from that of Nomad's servers?"
    )]
    TooEarly,
}

/// What a task is, as Nomad has signed it. A dispatched child has the id of its parent for its job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub namespace: String,
    pub job: String,
    pub allocation: String,
    pub task: String,
    pub(super) subject: String,
}

impl Identity {
    /// Its subject names the group as well, which no claim of its own does:
    /// `region:namespace:job:group:task:identity`. (Before Nomad 1.8.4 its job was the child.)
    pub fn is_of(&self, group: &str, child: &str) -> bool {
        let Self { namespace, job, task, subject, .. } = self;
        let after_region = subject.split_once(':').map_or("", |(_, rest)| rest);
        [job.as_str(), child]
            .iter()
            .any(|job| after_region.starts_with(&format!("{namespace}:{job}:{group}:{task}:")))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Rs256,
    EdDsa,
}

/// A JWT in parts, of which nothing is believed yet.
pub struct Unverified<'a> {
    algorithm: Algorithm,
    /// Which key it says to be signed with.
    pub key_id: String,
    signed: &'a str,
    payload: &'a str,
    signature: Vec<u8>,
}

#[derive(Deserialize)]
struct Head {
    alg: String,
    kid: Option<String>,
    /// What must be understood: nothing is.
    crit: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Claims {
    #[serde(default, deserialize_with = "one_or_many")]
    aud: Vec<String>,
    exp: Option<i64>,
    nbf: Option<i64>,
    iat: Option<i64>,
    nomad_namespace: String,
    nomad_job_id: String,
    nomad_allocation_id: String,
    nomad_task: String,
    sub: String,
}

impl<'a> Unverified<'a> {
    pub fn read(jwt: &'a str) -> Result<Self, Unproven> {
        let malformed = Unproven::Malformed;
        if jwt.len() > LONGEST {
            return Err(malformed);
        }
        let (signed, signature) = jwt.rsplit_once('.').ok_or(malformed)?;
        let (head, payload) = signed.split_once('.').ok_or(malformed)?;
        if payload.contains('.') {
            return Err(malformed);
        }
        let head: Head = json(head)?;
        if head.crit.is_some() {
            return Err(malformed);
        }
        let algorithm = match head.alg.as_str() {
            "RS256" => Algorithm::Rs256,
            "EdDSA" => Algorithm::EdDsa,
            _ => return Err(Unproven::Algorithm),
        };
        let key_id = head.kid.filter(|id| !id.is_empty()).ok_or(malformed)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| malformed)?;
        Ok(Self { algorithm, key_id, signed, payload, signature })
    }

    /// The key decides the algorithm, the head only agrees.
    pub fn verify(self, key: &PublicKey, audience: &str, now: Time) -> Result<Identity, Unproven> {
        let text = self.signed.as_bytes();
        let holds = match (self.algorithm, key) {
            (Algorithm::Rs256, PublicKey::Rsa { n, e }) => RsaPublicKeyComponents { n, e }
                .verify(&RSA_PKCS1_2048_8192_SHA256, text, &self.signature)
                .is_ok(),
            (Algorithm::EdDsa, PublicKey::Ed25519(key)) => {
                UnparsedPublicKey::new(&ED25519, key).verify(text, &self.signature).is_ok()
            }
            _ => return Err(Unproven::Algorithm),
        };
        if !holds {
            return Err(Unproven::Signature);
        }
        let claims: Claims = json(self.payload)?;
        if !claims.aud.iter().any(|aud| aud == audience) {
            return Err(Unproven::Audience);
        }
        let ends = claims.exp.ok_or(Unproven::Endless)?;
        if now >= moment(ends) + LEEWAY {
            return Err(Unproven::Expired);
        }
        let began = claims.nbf.into_iter().chain(claims.iat).max();
        if began.is_some_and(|began| moment(began) > now + LEEWAY) {
            return Err(Unproven::TooEarly);
        }
        Ok(Identity {
            namespace: claims.nomad_namespace,
            job: claims.nomad_job_id,
            allocation: claims.nomad_allocation_id,
            task: claims.nomad_task,
            subject: claims.sub,
        })
    }
}

fn moment(seconds: i64) -> Time {
    Time(seconds.saturating_mul(1_000).min(i64::MAX / 2))
}

fn json<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, Unproven> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| Unproven::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| Unproven::Malformed)
}

/// One audience is a text, several are a list.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(one) => Ok(vec![one]),
        many => serde_json::from_value(many).map_err(serde::de::Error::custom),
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
    use serde_json::{Value, json};

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn now() -> Time {
        Time(NOW * 1_000)
    }

    fn part(value: &Value) -> String {
        URL_SAFE_NO_PAD.encode(value.to_string())
    }

    fn claims() -> Value {
        json!({
            "aud": "roustabout", "exp": NOW + 3_600, "nbf": NOW, "iat": NOW, "jti": "1",
            "nomad_namespace": "ci", "nomad_job_id": "gha", "nomad_allocation_id": "a-1",
            "nomad_task": "claim", "sub": "global:ci:gha:runner:claim:roustabout",
        })
    }

    fn with(key: &str, value: Value) -> Value {
        let mut claims = claims();
        claims[key] = value;
        claims
    }

    fn without(key: &str) -> Value {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(key);
        claims
    }

    struct Rsa(RsaKeyPair);

    impl Rsa {
        fn new() -> Self {
            Self(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
        }

        fn public(&self) -> PublicKey {
            let key = self.0.public_key();
            let parts = RsaPublicKeyComponents::<Vec<u8>>::from(key);
            PublicKey::Rsa { n: parts.n, e: parts.e }
        }

        fn signature(&self, text: &str) -> String {
            let mut signature = vec![0; self.0.public_modulus_len()];
            let random = SystemRandom::new();
            self.0.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature).unwrap();
            URL_SAFE_NO_PAD.encode(signature)
        }

        fn jwt_as(&self, head: &Value, claims: &Value) -> String {
            let text = format!("{}.{}", part(head), part(claims));
            format!("{text}.{}", self.signature(&text))
        }

        fn jwt(&self, claims: &Value) -> String {
            self.jwt_as(&json!({"alg": "RS256", "kid": "k", "typ": "JWT"}), claims)
        }
    }

    fn judged(jwt: &str, key: &PublicKey) -> Result<Identity, Unproven> {
        Unverified::read(jwt)?.verify(key, "roustabout", now())
    }

    #[test]
    fn an_identity_is_what_its_claims_say() {
        let rsa = Rsa::new();
        let jwt = rsa.jwt(&claims());
        assert_eq!(Unverified::read(&jwt).unwrap().key_id, "k");
        let identity = judged(&jwt, &rsa.public()).unwrap();
        assert_eq!((identity.namespace.as_str(), identity.job.as_str()), ("ci", "gha"));
        assert_eq!((identity.allocation.as_str(), identity.task.as_str()), ("a-1", "claim"));
        assert!(identity.is_of("runner", "gha/dispatch-1"));
        assert!(!identity.is_of("other", "gha/dispatch-1"));
        let listed = with("aud", json!(["vault.io", "roustabout"]));
        assert!(judged(&rsa.jwt(&listed), &rsa.public()).is_ok());
        let of_child = with("sub", json!("global:ci:gha/dispatch-1:runner:claim:x"));
        let identity = judged(&rsa.jwt(&of_child), &rsa.public()).unwrap();
        assert!(identity.is_of("runner", "gha/dispatch-1"));
        assert!(!identity.is_of("runner", "gha/dispatch-2"));
    }

    #[test]
    fn the_other_algorithm_of_nomad_is_taken_too() {
        let pair = Ed25519KeyPair::generate().unwrap();
        let text = format!("{}.{}", part(&json!({"alg": "EdDSA", "kid": "k"})), part(&claims()));
        let jwt = format!("{text}.{}", URL_SAFE_NO_PAD.encode(pair.sign(text.as_bytes())));
        let key = PublicKey::Ed25519(pair.public_key().as_ref().to_vec());
        assert!(judged(&jwt, &key).is_ok());
        assert_eq!(judged(&jwt, &Rsa::new().public()), Err(Unproven::Algorithm));
    }

    #[test]
    fn what_is_over_too_early_or_for_others_is_refused() {
        let rsa = Rsa::new();
        for (claims, why) in [
            (with("aud", json!("vault.io")), Unproven::Audience),
            (without("aud"), Unproven::Audience),
            (with("aud", json!([])), Unproven::Audience),
            (with("exp", json!(NOW - 31)), Unproven::Expired),
            (with("exp", json!(i64::MIN)), Unproven::Expired),
            (without("exp"), Unproven::Endless),
            (with("nbf", json!(NOW + 31)), Unproven::TooEarly),
            (with("iat", json!(NOW + 31)), Unproven::TooEarly),
            (without("nomad_allocation_id"), Unproven::Malformed),
            (without("nomad_namespace"), Unproven::Malformed),
            (without("sub"), Unproven::Malformed),
        ] {
            assert_eq!(judged(&rsa.jwt(&claims), &rsa.public()), Err(why), "{claims}");
        }
        // Clocks differ by a little.
        assert!(judged(&rsa.jwt(&with("exp", json!(NOW - 29))), &rsa.public()).is_ok());
    }

    #[test]
    fn only_a_signature_by_that_key_with_nomads_algorithms_counts() {
        let (rsa, other) = (Rsa::new(), Rsa::new());
        let head = |alg: &str| json!({"alg": alg, "kid": "k"});
        for alg in ["none", "None", "HS256", "RS384", "PS256", "ES256", ""] {
            let jwt = rsa.jwt_as(&head(alg), &claims());
            assert_eq!(judged(&jwt, &rsa.public()), Err(Unproven::Algorithm), "{alg}");
        }
        let unsigned = format!("{}.{}.", part(&head("none")), part(&claims()));
        assert_eq!(judged(&unsigned, &rsa.public()), Err(Unproven::Algorithm));
        let unsigned = format!("{}.{}.", part(&head("RS256")), part(&claims()));
        assert_eq!(judged(&unsigned, &rsa.public()), Err(Unproven::Signature));
        assert_eq!(judged(&rsa.jwt(&claims()), &other.public()), Err(Unproven::Signature));
        // Claims of another, under a signature that is right for the first.
        let jwt = rsa.jwt(&claims());
        let parts: Vec<&str> = jwt.split('.').collect();
        let forged = with("nomad_allocation_id", json!("a-2"));
        let forged = format!("{}.{}.{}", parts[0], part(&forged), parts[2]);
        assert_eq!(judged(&forged, &rsa.public()), Err(Unproven::Signature));
        let weak = PublicKey::Rsa { n: vec![0xff; 128], e: vec![1, 0, 1] };
        assert_eq!(judged(&jwt, &weak), Err(Unproven::Signature));
    }

    #[test]
    fn what_is_no_jwt_is_refused_before_any_key_is_asked_for() {
        let rsa = Rsa::new();
        let jwt = rsa.jwt(&claims());
        let long = "a".repeat(LONGEST + 1);
        let no_kid = rsa.jwt_as(&json!({"alg": "RS256"}), &claims());
        let critical = rsa.jwt_as(&json!({"alg": "RS256", "kid": "k", "crit": ["b64"]}), &claims());
        let twice = format!("{jwt}.{}", rsa.signature("x"));
        for text in ["", ".", "..", "a.b", "a.b.c", &long, &no_kid, &critical, &twice] {
            assert_eq!(Unverified::read(text).err(), Some(Unproven::Malformed), "{text}");
        }
    }
}
