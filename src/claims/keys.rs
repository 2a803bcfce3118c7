//! The public keys of Nomad's regions, kept for a while: a key that is not among them is looked for once
//! more, for Nomad rotates them; but not for each of many that name keys which do not exist.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::nomad::{Client, PublicKey, SigningKey};

/// How long a key is believed that Nomad may have removed.
const BELIEVED: Duration = Duration::from_secs(600);
/// Nomad is not asked again sooner, whatever anybody sends.
const ASK_AGAIN: Duration = Duration::from_secs(2);

pub struct Keys {
    nomad: Client,
    known: Mutex<BTreeMap<Option<String>, Known>>,
}

/// Of one region.
struct Known {
    asked_at: Instant,
    /// Or why Nomad did not tell.
    answer: Result<Vec<SigningKey>, String>,
}

/// A key, and the region whose it is.
pub struct Found {
    pub region: Option<String>,
    pub key: PublicKey,
}

#[derive(Debug, PartialEq, Eq)]
pub enum NotFound {
    /// Nomad has no such key.
    Unknown,
    /// It could not be asked, or was asked a moment ago.
    NotYet(String),
}

impl Keys {
    pub fn new(nomad: Client) -> Self {
        Self { nomad, known: Mutex::default() }
    }

    /// Those who ask at the same time wait for one answer.
    pub async fn find(&self, id: &str, regions: &[Option<String>]) -> Result<Found, NotFound> {
        let mut known = self.known.lock().await;
        for region in regions {
            if let Some(found) = known.get(region).and_then(|known| known.find(id, region)) {
                return Ok(found);
            }
        }
        let mut not_yet = None;
        for region in regions {
            let asked_at = Instant::now();
            let lately = known.get(region).filter(|it| asked_at < it.asked_at + ASK_AGAIN);
            if let Some(lately) = lately {
                let reason = lately.answer.as_ref().err().cloned();
                let reason = reason.unwrap_or_else(|| "Nomad's keys were read just now".to_owned());
                not_yet.get_or_insert(reason);
                continue;
            }
            let answer = self.nomad.signing_keys(region.as_deref()).await;
            let fresh = Known { asked_at, answer: answer.map_err(|error| error.to_string()) };
            if let Err(reason) = &fresh.answer {
                not_yet.get_or_insert_with(|| reason.clone());
            }
            let found = fresh.find(id, region);
            known.insert(region.clone(), fresh);
            if let Some(found) = found {
                return Ok(found);
            }
        }
        Err(not_yet.map_or(NotFound::Unknown, NotFound::NotYet))
    }
}

impl Known {
    fn find(&self, id: &str, region: &Option<String>) -> Option<Found> {
        let keys = self.answer.as_ref().ok().filter(|_| self.asked_at.elapsed() < BELIEVED)?;
        let key = keys.iter().find(|key| key.id == id)?.key.clone();
        Some(Found { region: region.clone(), key })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wiremock::matchers::path;
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::*;
    use crate::nomad::{Address, Connection};

    async fn nomad_with(keys: &[&str]) -> (MockServer, Keys) {
        // A second one finds it installed.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let server = MockServer::start().await;
        let client = Client::new(Connection::to(Address::Http(server.uri().parse().unwrap())));
        has(&server, keys).await;
        (server, Keys::new(client.unwrap()))
    }

    async fn has(server: &MockServer, ids: &[&str]) {
        server.reset().await;
        let key =
            |id: &&str| json!({"use": "sig", "kty": "RSA", "kid": id, "n": "AQID", "e": "AQAB"});
        let keys: Vec<_> = ids.iter().map(key).collect();
        let answer = ResponseTemplate::new(200).set_body_json(json!({ "keys": keys }));
        Mock::given(path("/.well-known/jwks.json")).respond_with(answer).mount(server).await;
    }

    async fn asked(server: &MockServer) -> usize {
        server.received_requests().await.unwrap().len()
    }

    async fn later(time: Duration) {
        tokio::time::pause();
        tokio::time::advance(time).await;
        tokio::time::resume();
    }

    #[tokio::test]
    async fn keys_are_read_once_and_again_for_one_that_is_new() {
        let (server, keys) = nomad_with(&["a"]).await;
        for _ in 0..5 {
            assert!(keys.find("a", &[None]).await.is_ok());
        }
        assert_eq!(asked(&server).await, 1);
        has(&server, &["a", "b"]).await;
        later(ASK_AGAIN).await;
        assert!(keys.find("b", &[None]).await.is_ok());
        assert_eq!(asked(&server).await, 1);
    }

    #[tokio::test]
    async fn keys_that_do_not_exist_are_not_looked_for_each_time() {
        let (server, keys) = nomad_with(&["a"]).await;
        assert_eq!(keys.find("x", &[None]).await.err(), Some(NotFound::Unknown));
        for id in ["x", "y", "z"] {
            assert!(matches!(keys.find(id, &[None]).await.err(), Some(NotFound::NotYet(_))));
        }
        assert!(keys.find("a", &[None]).await.is_ok());
        assert_eq!(asked(&server).await, 1);
    }

    #[tokio::test]
    async fn a_key_that_nomad_has_removed_is_not_believed_for_ever() {
        let (server, keys) = nomad_with(&["a"]).await;
        assert!(keys.find("a", &[None]).await.is_ok());
        has(&server, &["b"]).await;
        later(BELIEVED).await;
        assert_eq!(keys.find("a", &[None]).await.err(), Some(NotFound::Unknown));
    }

    #[tokio::test]
    async fn where_nomad_does_not_answer_nothing_is_known() {
        let (server, keys) = nomad_with(&["a"]).await;
        server.reset().await;
        let answer = ResponseTemplate::new(500).set_body_string("No cluster leader");
        Mock::given(path("/.well-known/jwks.json")).respond_with(answer).mount(&server).await;
        let why = keys.find("a", &[None]).await.err();
        assert!(matches!(why, Some(NotFound::NotYet(why)) if why.contains("No cluster leader")));
    }
}
