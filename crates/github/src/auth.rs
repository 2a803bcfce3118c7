//! By what a request says who asks: a token, an App's own JWT, or an installation token of an App
//! that is minted when it is needed. A refusal that a new one may cure is tried once more here.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;

use super::error::Error;
use super::installation::Narrowed;
use super::jwt::AppKey;
use super::transport::{Answer, Call, Client};

#[derive(Clone)]
pub(super) enum Auth {
    Token(SecretString),
    Nobody,
    App(Arc<Signer>),
    Installation(Arc<Narrowed>),
}

impl Auth {
    pub(super) async fn call(&self, client: &Client, call: &Call<'_>) -> Result<Answer, Error> {
        match self {
            Auth::Token(token) => client.call_by(call, Some(token)).await,
            Auth::Nobody => client.call_by(call, None).await,
            Auth::App(signer) => signer.call(client, call).await,
            Auth::Installation(narrowed) => narrowed.call(client, call).await,
        }
    }
}

/// Signs for an App. GitHub judges the times in a JWT by its own clock, so its distance from ours
/// is kept once GitHub has complained.
pub(super) struct Signer {
    issuer: String,
    key: AppKey,
    /// Seconds that GitHub's clock is ahead.
    skew: AtomicI64,
    /// The last one, and what GitHub's time was then.
    signed: Mutex<Option<(Timestamp, SecretString)>>,
}

/// One JWT serves all requests of so long; it is good for nine minutes.
const SERVES: SignedDuration = SignedDuration::from_secs(240);

impl Signer {
    pub fn new(issuer: String, key: AppKey) -> Signer {
        Signer { issuer, key, skew: AtomicI64::new(0), signed: Mutex::default() }
    }

    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    pub(super) async fn call(&self, client: &Client, call: &Call<'_>) -> Result<Answer, Error> {
        let answer = match client.call_by(call, Some(&self.jwt(client))).await {
            Err(Error::Unauthorized { message, .. })
                if is_about_time(&message) && self.goes_by_githubs_clock(client) =>
            {
                client.call_by(call, Some(&self.jwt(client))).await
            }
            answer => answer,
        };
        answer.map_err(|error| match error {
            Error::Unauthorized { request, message } => Error::AppRefused { request, message },
            error => error,
        })
    }

    fn jwt(&self, client: &Client) -> SecretString {
        let skew = SignedDuration::from_secs(self.skew.load(Ordering::Relaxed));
        let now: Timestamp = client.clock().now();
        let now = now.checked_add(skew).unwrap_or(now);
        // Replaced as a whole, whatever panicked beside it.
        let mut signed = self.signed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, jwt)) = &*signed
            && *at <= now
            && now.duration_since(*at) < SERVES
        {
            return jwt.clone();
        }
        let jwt = self.key.sign(&self.issuer, now);
        *signed = Some((now, jwt.clone()));
        jwt
    }

    /// Whether that makes a difference. What was signed by the other clock is not used again.
    fn goes_by_githubs_clock(&self, client: &Client) -> bool {
        let Some((server, ours)) = client.server_clock() else { return false };
        let skew = server.as_second() - ours.as_second();
        *self.signed.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.skew.swap(skew, Ordering::Relaxed) != skew
    }
}

/// GitHub's complaints name the claim: `'Expiration time' claim ('exp') is too far in the future`,
/// `'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued`
/// (octokit/auth-app.js, `src/hook.ts`).
fn is_about_time(message: &str) -> bool {
    ["'exp'", "'iat'", "Expiration time", "Issued at"].iter().any(|word| message.contains(word))
}
