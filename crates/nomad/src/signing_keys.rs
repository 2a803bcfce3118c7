//! The keys with which Nomad signs workload identities, as it shows them to the world.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::endpoint::Endpoint;
use super::error::Error;
use super::transport::{Call, Client};
use super::wire;

/// More are not looked at: a key lives for a month, and an old one is removed when nothing signed by
/// it is left.
const MOST: usize = 64;

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKey {
    /// `kid`, as the head of a JWT names it.
    pub id: String,
    pub key: PublicKey,
}

/// Of the kinds that Nomad makes: RSA since 1.7, Ed25519 before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// Modulus and exponent, big-endian.
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    Ed25519(Vec<u8>),
}

#[derive(Deserialize)]
struct WireKeys {
    #[serde(default, deserialize_with = "wire::or_default")]
    keys: Vec<WireKey>,
}

#[derive(Deserialize)]
struct WireKey {
    #[serde(default, deserialize_with = "wire::or_default")]
    kid: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    kty: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    r#use: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    crv: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    n: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    e: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    x: String,
}

impl WireKey {
    /// `None`: of a kind that signs no identities.
    fn read(self) -> Option<SigningKey> {
        let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).ok().filter(|it| !it.is_empty());
        if self.kid.is_empty() || !matches!(self.r#use.as_str(), "" | "sig") {
            return None;
        }
        let key = match (self.kty.as_str(), self.crv.as_str()) {
            ("RSA", _) => PublicKey::Rsa { n: bytes(&self.n)?, e: bytes(&self.e)? },
            ("OKP", "Ed25519") => PublicKey::Ed25519(bytes(&self.x)?),
            _ => return None,
        };
        Some(SigningKey { id: self.kid, key })
    }
}

impl Client {
    /// `GET /.well-known/jwks.json`: the keys of a region, the connection's own where none is named.
    /// Needs no capability.
    pub async fn signing_keys(&self, region: Option<&str>) -> Result<Vec<SigningKey>, Error> {
        let mut call = Call::to(Endpoint::SigningKeys);
        if let Some(region) = region {
            call = call.query("region", region);
        }
        let (wire, _) = self.read::<WireKeys>(call).await?;
        Ok(wire.keys.into_iter().filter_map(WireKey::read).take(MOST).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use serde_json::json;
    use wiremock::matchers::{path, query_param};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    #[tokio::test]
    async fn keys_that_sign_are_read_and_others_left_out() {
        let server = MockServer::start().await;
        Mock::given(path("/.well-known/jwks.json"))
            .and(query_param("region", "eu"))
            .respond_with(ResponseTemplate::new(200).set_body_json(json!({"keys": [
                {"use": "sig", "kty": "RSA", "kid": "a", "alg": "RS256", "n": "AQID", "e": "AQAB"},
                {"use": "sig", "kty": "OKP", "kid": "b", "alg": "EdDSA", "crv": "Ed25519", "x": "BAU"},
                {"use": "enc", "kty": "RSA", "kid": "c", "n": "AQID", "e": "AQAB"},
                {"use": "sig", "kty": "oct", "kid": "d", "k": "AQID"},
                {"use": "sig", "kty": "RSA", "kid": "e", "n": "?", "e": "AQAB"},
                {"use": "sig", "kty": "RSA", "n": "AQID", "e": "AQAB"},
            ]})))
            .mount(&server)
            .await;
        let keys = testing::client(&server.uri()).signing_keys(Some("eu")).await.unwrap();
        let rsa = PublicKey::Rsa { n: vec![1, 2, 3], e: vec![1, 0, 1] };
        let ed = PublicKey::Ed25519(vec![4, 5]);
        let expected = [("a", rsa), ("b", ed)];
        let expected = expected.map(|(id, key)| SigningKey { id: id.to_owned(), key });
        assert_eq!(keys, expected);
    }
}
