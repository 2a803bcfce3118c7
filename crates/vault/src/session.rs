//! Whose token goes with a request. A session begins with a login (or with the token that is given), is
//! renewed when two thirds of its lease are over, and is followed by another login when it cannot be renewed or
//! its token is refused. One of these is under way at a time; what waits meanwhile shares the result.

use std::time::Duration;

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::error::Error;
use crate::login::{Login, Secret};
use crate::transport::{Call, Client, success};

/// A token that is refused is not replaced twice within this time: then it is a policy that is missing.
const AT_ONCE: Duration = Duration::from_secs(10);
/// After a failed renewal of a token that still lives.
const AGAIN: Duration = Duration::from_secs(10);

/// How long a token lives, as its login or its renewal said. `None`: it does not end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub seconds: Option<u64>,
    pub renewable: bool,
}

/// The session that is, if any.
pub(crate) struct Sessions {
    login: Login,
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    /// How many there were: who was refused tells it, so that one refusal is acted on once.
    turn: u64,
    session: Option<Session>,
}

struct Session {
    token: HeaderValue,
    began: Instant,
    /// When to renew it.
    due: Option<Instant>,
    ends: Option<Instant>,
    /// What the first lease was; a renewal that gives less than half has met the end of its life.
    first: Option<u64>,
    renewable: bool,
}

impl Sessions {
    pub fn new(login: Login) -> Sessions {
        Sessions { login, current: Mutex::default() }
    }
}

#[derive(Deserialize)]
struct WireAuth {
    auth: Option<WireToken>,
}

#[derive(Deserialize)]
struct WireToken {
    #[serde(deserialize_with = "secret")]
    client_token: SecretString,
    #[serde(default)]
    lease_duration: u64,
    #[serde(default)]
    renewable: bool,
}

fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<SecretString, D::Error> {
    String::deserialize(from).map(SecretString::from)
}

#[derive(Deserialize)]
struct WireLookup {
    data: WireLooked,
}

#[derive(Deserialize)]
struct WireLooked {
    #[serde(default)]
    ttl: u64,
    #[serde(default)]
    renewable: bool,
}

impl Session {
    fn new(token: HeaderValue, lease: Lease) -> Session {
        let mut session = Session {
            token,
            began: Instant::now(),
            due: None,
            ends: None,
            first: lease.seconds,
            renewable: lease.renewable,
        };
        session.lives(lease);
        session
    }

    fn lives(&mut self, lease: Lease) {
        let now = Instant::now();
        let within = lease.seconds.map(Duration::from_secs);
        self.due = within.map(|whole| now + whole * 2 / 3);
        self.ends = within.map(|whole| now + whole);
        self.renewable = lease.renewable;
    }

    /// Until it ends; it cannot be renewed.
    fn goes_on(&mut self) -> bool {
        self.due = self.ends;
        true
    }

    fn is_over(&self) -> bool {
        self.ends.is_some_and(|ends| ends <= Instant::now())
    }

    fn is_due(&self) -> bool {
        self.due.is_some_and(|due| due <= Instant::now())
    }
}

fn lease(seconds: u64, renewable: bool) -> Lease {
    Lease { seconds: (seconds > 0).then_some(seconds), renewable }
}

fn header(token: &SecretString, request: &str) -> Result<HeaderValue, Error> {
    let mut header = HeaderValue::from_str(token.expose_secret()).map_err(|_| Error::Protocol {
        request: request.to_owned(),
        reason: "the token holds characters that no header can carry".to_owned(),
    })?;
    header.set_sensitive(true);
    Ok(header)
}

impl Client {
    /// The token to go with a request, and which one that is.
    pub(crate) async fn token(&self) -> Result<(u64, HeaderValue), Error> {
        let mut current = self.inner.sessions.current.lock().await;
        let usable = match &mut current.session {
            Some(session) if session.is_over() => false,
            Some(session) if session.is_due() => self.keep(session).await,
            Some(_) => true,
            None => false,
        };
        if !usable {
            current.session = Some(self.begin().await?);
            current.turn += 1;
        }
        let session = current.session.as_ref().map(|session| session.token.clone());
        Ok((current.turn, session.expect("it was just begun, or was usable")))
    }

    /// The token of that turn was refused. Whether there is another one now.
    pub(crate) async fn renewed_after(&self, turn: u64) -> Result<bool, Error> {
        let mut current = self.inner.sessions.current.lock().await;
        if current.turn != turn {
            return Ok(true);
        }
        let Some(session) = &current.session else { return Ok(true) };
        if session.began.elapsed() < AT_ONCE {
            return Ok(false);
        }
        // The same status is given for a token that has ended and for a path that no policy allows.
        let lives = self.look_up(session.token.clone()).await;
        if !matches!(lives, Err(Error::Denied { .. })) {
            return Ok(false);
        }
        let new = self.begin().await?;
        let is_another = new.token != session.token;
        current.session = Some(new);
        current.turn += 1;
        Ok(is_another)
    }

    /// Renews it; whether it goes on. What cannot be asked just now does no harm while it lives.
    async fn keep(&self, session: &mut Session) -> bool {
        if let Login::Token(secret @ Secret::File(_)) = &self.inner.sessions.login {
            // The program that writes the file renews its token, or has written another.
            let now = secret.read().and_then(|token| header(&token, "the token"));
            if now.is_ok_and(|now| now != session.token) {
                return false;
            }
        }
        if !session.renewable {
            return self.is_given() && session.goes_on();
        }
        let call = Call::post(&["auth", "token", "renew-self"], &serde_json::json!({}));
        let answer = self.once(&call, Some(session.token.clone())).await;
        let renewed = answer.and_then(|answer| success(&call, answer));
        match renewed.and_then(|answer| answer.read::<WireAuth>(&call.name())) {
            Ok(WireAuth { auth: Some(auth) }) => {
                session.lives(lease(auth.lease_duration, auth.renewable));
                let whole = session.first.unwrap_or_default();
                self.is_given() || auth.lease_duration * 2 >= whole
            }
            Err(error) if error.is_away() => {
                session.due = Some(Instant::now() + AGAIN);
                true
            }
            _ => self.is_given() && session.goes_on(),
        }
    }

    /// Whether the token was made by somebody else: no login gives another.
    fn is_given(&self) -> bool {
        matches!(self.inner.sessions.login, Login::Token(_))
    }

    async fn begin(&self) -> Result<Session, Error> {
        let login = &self.inner.sessions.login;
        if let Login::Token(secret) = login {
            let token = header(&secret.read()?, "the token")?;
            // A token may not be allowed to look itself up; then nothing is known of its end.
            let lease = match self.look_up(token.clone()).await {
                Ok(lease) => lease,
                Err(error) if error.is_away() => return Err(error),
                Err(_) => Lease { seconds: None, renewable: false },
            };
            return Ok(Session::new(token, lease));
        }
        let Some((mount, body)) = login.request()? else {
            unreachable!("all but a token have a login")
        };
        let mut path = vec!["auth"];
        path.extend(mount.split('/'));
        path.push("login");
        let call = Call::post(&path, &body);
        let request = call.name();
        let answer = self.once(&call, None).await?;
        if matches!(answer.status.as_u16(), 400..=404) {
            return Err(Error::Login { request, message: answer.message() });
        }
        let answer = success(&call, answer)?;
        let none = || Error::Protocol { request: request.clone(), reason: "no token".to_owned() };
        let auth = answer.read::<WireAuth>(&request)?.auth.ok_or_else(none)?;
        let token = header(&auth.client_token, &request)?;
        Ok(Session::new(token, lease(auth.lease_duration, auth.renewable)))
    }

    async fn look_up(&self, token: HeaderValue) -> Result<Lease, Error> {
        let call = Call::get(&["auth", "token", "lookup-self"]);
        let answer = success(&call, self.once(&call, Some(token)).await?)?;
        let looked = answer.read::<WireLookup>(&call.name())?.data;
        Ok(lease(looked.ttl, looked.renewable))
    }

    /// Logs in, if need be, and says how long the token still lives.
    ///
    /// # Errors
    /// Where the login is refused, or the token may not look itself up.
    pub async fn lease(&self) -> Result<Lease, Error> {
        let (_, token) = self.token().await?;
        self.look_up(token).await
    }

    /// Ends the session, if a login began it; a token that was given stays valid.
    pub async fn leave(&self) {
        let session = self.inner.sessions.current.lock().await.session.take();
        if let (Some(session), false) = (session, self.is_given()) {
            let call = Call::post(&["auth", "token", "revoke-self"], &serde_json::json!({}));
            // It ends by itself too, only later.
            let _ = self.once(&call, Some(session.token)).await;
        }
    }
}
