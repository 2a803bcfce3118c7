//! A browser's session: a signed value in a cookie, which is not the token and ends by itself.
//!
//! Nothing is stored, so a session outlives a restart. It ends when its time is over, when the token
//! changes (which signs it), or when its browser signs out. Read next: `who.rs`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, header};
use hmac::{Hmac, KeyInit, Mac};
use rand::TryRngCore;
use rand::rngs::OsRng;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// How long one lasts.
pub const LASTS: Duration = Duration::from_secs(7 * 24 * 3600);
/// Sessions that were ended early and are remembered; the oldest goes first.
const MOST_ENDED: usize = 1024;

/// A session whose signature was good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Seconds since 1970.
    ends: u64,
    nonce: String,
}

/// Sessions that ended by signing out, over reloads. Clones see the same.
#[derive(Debug, Clone, Default)]
pub struct SignedOut(Arc<Mutex<BTreeMap<String, u64>>>);

/// Makes and judges sessions with the door's token.
#[derive(Clone)]
pub struct Sessions {
    token: SecretString,
    signed_out: SignedOut,
}

impl Sessions {
    pub fn new(token: SecretString, signed_out: SignedOut) -> Self {
        Self { token, signed_out }
    }

    /// # Errors
    /// When the system gives no random bytes.
    pub fn begin(&self, now: u64) -> Result<String, rand::rand_core::OsError> {
        let mut nonce = [0; 16];
        OsRng.try_fill_bytes(&mut nonce)?;
        let session = Session { ends: now + LASTS.as_secs(), nonce: hex::encode(nonce) };
        Ok(format!("{:x}.{}.{}", session.ends, session.nonce, self.sign("session", &session)))
    }

    /// The session of a cookie's value, where it is ours and not over.
    pub fn judge(&self, value: &str, now: u64) -> Option<Session> {
        let (ends, rest) = value.split_once('.')?;
        let (nonce, signature) = rest.split_once('.')?;
        let session =
            Session { ends: u64::from_str_radix(ends, 16).ok()?, nonce: nonce.to_owned() };
        let good = self.sign("session", &session).as_bytes().ct_eq(signature.as_bytes());
        let over = session.ends <= now || self.signed_out.has(&session);
        (bool::from(good) && !over).then_some(session)
    }

    /// What a form of this session's pages carries; a page of another origin cannot know it.
    pub fn form_key(&self, session: Option<&Session>) -> String {
        let nobody = Session { ends: 0, nonce: "socket".to_owned() };
        self.sign("form", session.unwrap_or(&nobody))
    }

    pub fn end(&self, session: Session) {
        self.signed_out.add(session);
    }

    fn sign(&self, what: &str, session: &Session) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.token.expose_secret().as_bytes())
            // HMAC pads or hashes keys, so every length is valid (RFC 2104, section 2).
            .unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
        mac.update(format!("roustabout {what} {:x} {}", session.ends, session.nonce).as_bytes());
        hex::encode(mac.finalize().into_bytes())
    }
}

impl SignedOut {
    fn add(&self, session: Session) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST_ENDED {
            let first = all.iter().min_by_key(|(_, ends)| **ends).map(|(nonce, _)| nonce.clone());
            first.and_then(|nonce| all.remove(&nonce));
        }
        all.insert(session.nonce, session.ends);
    }

    fn has(&self, session: &Session) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&session.nonce)
    }
}

/// Browsers keep cookies by host, whatever the port, so the port is in the name: two daemons on one
/// machine do not sign each other's browsers out.
pub fn cookie_name(headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    match host.rsplit_once(':').map(|(_, port)| port) {
        Some(port) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("roustabout-{port}")
        }
        _ => "roustabout".to_owned(),
    }
}

/// The value of the door's cookie.
pub fn cookie(headers: &HeaderMap) -> Option<&str> {
    let name = cookie_name(headers);
    let all = headers.get_all(header::COOKIE).iter().filter_map(|all| all.to_str().ok());
    let mut pairs = all.flat_map(|all| all.split(';')).filter_map(|one| one.trim().split_once('='));
    pairs.find(|(it, _)| *it == name).map(|(_, value)| value)
}

/// `Set-Cookie`; `None` takes it away. `secure`: the page came over HTTPS.
pub fn set_cookie(headers: &HeaderMap, value: Option<&str>, secure: bool) -> String {
    let (value, age) = value.map_or(("", 0), |value| (value, LASTS.as_secs()));
    let secure = if secure { "; Secure" } else { "" };
    let name = cookie_name(headers);
    format!("{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions(token: &str) -> Sessions {
        Sessions::new(token.into(), SignedOut::default())
    }

    #[test]
    fn a_session_is_good_until_it_ends_and_only_with_its_token() {
        let ours = sessions("t0ken");
        let value = ours.begin(1_000).unwrap();
        assert!(!value.contains("t0ken"));
        assert!(ours.judge(&value, 1_000).is_some());
        assert!(ours.judge(&value, 1_000 + LASTS.as_secs()).is_none());
        assert!(sessions("an0ther").judge(&value, 1_000).is_none());
        for wrong in ["", ".", "..", "1.2.3", &value[1..], &value[..value.len() - 1]] {
            assert!(ours.judge(wrong, 1_000).is_none(), "{wrong}");
        }
        let longer = value.replacen(char::is_alphanumeric, "f", 1);
        assert!(ours.judge(&longer, 1_000).is_none(), "its end is signed too");
    }

    #[test]
    fn a_session_that_signed_out_is_over_and_no_other() {
        let ours = sessions("t0ken");
        let (one, two) = (ours.begin(1).unwrap(), ours.begin(1).unwrap());
        let session = ours.judge(&one, 1).unwrap();
        assert_ne!(ours.form_key(Some(&session)), ours.form_key(ours.judge(&two, 1).as_ref()));
        ours.end(session);
        assert!(ours.judge(&one, 1).is_none());
        let reloaded = Sessions::new("t0ken".into(), ours.signed_out.clone());
        assert!(reloaded.judge(&one, 1).is_none() && reloaded.judge(&two, 1).is_some());
    }

    #[test]
    fn what_is_remembered_of_ended_sessions_is_bounded() {
        let ours = sessions("t0ken");
        for now in 0..MOST_ENDED as u64 + 10 {
            let value = ours.begin(now).unwrap();
            ours.end(ours.judge(&value, now).unwrap());
        }
        assert_eq!(ours.signed_out.0.lock().unwrap().len(), MOST_ENDED);
    }

    #[test]
    fn the_cookie_has_the_port_in_its_name() {
        let mut headers = HeaderMap::new();
        assert_eq!(cookie_name(&headers), "roustabout");
        headers.insert(header::HOST, "[::1]:9090".parse().unwrap());
        headers.insert(header::COOKIE, "a=b; roustabout=x; roustabout-9090=y".parse().unwrap());
        assert_eq!(cookie(&headers), Some("y"));
        headers.insert(header::HOST, "[::1]".parse().unwrap());
        assert_eq!(cookie(&headers), Some("x"));
    }
}
