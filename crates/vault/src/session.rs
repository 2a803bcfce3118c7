//! Whose token goes with a request. A session begins with a login (or with the token that is given), is
//! renewed when two thirds of its lease are over, and is followed by another login when it cannot be renewed or
//! its token is refused. One of these is under way at a time; what waits meanwhile shares the result.

use std::time::Duration;

use reqwest::header::HeaderValue;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::error::Error;
use crate::login::{Login, Secret};
use crate::transport::{Call, Client, success};

/// A token that is refused is not replaced twice within this time, unless it is that short-lived: then it is a policy
/// that is missing.
const AT_ONCE: Duration = Duration::from_secs(10);
/// A login that was refused is not repeated with the same secret within this time: servers lock out a role after five
/// in a quarter of an hour.
const REFUSED: Duration = Duration::from_secs(300);
/// After a failed renewal of a token that still lives.
const AGAIN: Duration = Duration::from_secs(10);

/// How long a token lives, as its login or its renewal said. `None`: it does not end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub seconds: Option<u64>,
    pub renewable: bool,
}

/// How a token stands.
enum Standing {
    Lives(Lease),
    /// It lives, and may not look itself up.
    Unseen(Error),
    Ended,
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
    refused: Option<Refused>,
}

/// The last login, if it was refused.
struct Refused {
    at: Instant,
    body: Zeroizing<Vec<u8>>,
    error: Error,
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
            current.session = Some(self.begin(&mut current.refused).await?);
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
        if !self.is_replaced(&session.token) {
            if session.began.elapsed() < AT_ONCE && !session.is_due() {
                return Ok(false);
            }
            let standing = self.standing(session.token.clone()).await;
            if !matches!(standing, Ok(Standing::Ended)) {
                return Ok(false);
            }
        }
        let before = session.token.clone();
        let new = self.begin(&mut current.refused).await?;
        let is_another = new.token != before;
        current.session = Some(new);
        current.turn += 1;
        Ok(is_another)
    }

    /// Renews it; whether it goes on. What cannot be asked just now does no harm while it lives.
    async fn keep(&self, session: &mut Session) -> bool {
        // The program that writes the file renews its token, or has written another.
        if self.is_replaced(&session.token) {
            return false;
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

    /// Whether the file that the token is from has another one by now.
    fn is_replaced(&self, token: &HeaderValue) -> bool {
        let Login::Token(secret @ Secret::File(_)) = &self.inner.sessions.login else {
            return false;
        };
        let now = secret.read().and_then(|token| header(&token, "the token"));
        now.is_ok_and(|now| now != *token)
    }

    async fn begin(&self, refused: &mut Option<Refused>) -> Result<Session, Error> {
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
        let body = call.body.clone().unwrap_or_default();
        let again = refused.as_ref().filter(|it| it.at.elapsed() < REFUSED && it.body == body);
        if let Some(again) = again {
            return Err(again.error.clone());
        }
        let answer = self.once(&call, None).await?;
        if matches!(answer.status.as_u16(), 400..=404) {
            let error = Error::Login { request, message: answer.message() };
            *refused = Some(Refused { at: Instant::now(), body, error: error.clone() });
            return Err(error);
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

    /// What the server makes of a token. A path that no policy allows and a token that has ended get the same
    /// status; but which mounts there are is told to every token that lives, for each sees those that are its own.
    async fn standing(&self, token: HeaderValue) -> Result<Standing, Error> {
        let denied = match self.look_up(token.clone()).await {
            Err(denied @ Error::Denied { .. }) => denied,
            looked => return looked.map(Standing::Lives),
        };
        let call = Call::get(&["sys", "internal", "ui", "mounts"]);
        match success(&call, self.once(&call, Some(token)).await?) {
            Err(Error::Denied { .. }) => Ok(Standing::Ended),
            Err(error) if error.is_away() => Err(error),
            // Something between may not let this path through.
            Ok(_) | Err(_) => Ok(Standing::Unseen(denied)),
        }
    }

    /// Logs in, if need be, and says how long the token still lives. One that has ended is replaced first, where
    /// there is another.
    ///
    /// # Errors
    /// Where the login is refused, the token has ended, or may not look itself up ([`Error::Denied`]).
    pub async fn lease(&self) -> Result<Lease, Error> {
        let (turn, token) = self.token().await?;
        let mut standing = self.standing(token).await?;
        if matches!(standing, Standing::Ended) && self.renewed_after(turn).await? {
            let (_, token) = self.token().await?;
            standing = self.standing(token).await?;
        }
        match standing {
            Standing::Lives(lease) => Ok(lease),
            Standing::Unseen(denied) => Err(denied),
            Standing::Ended => Err(Error::Ended { file: self.inner.sessions.login.token_file() }),
        }
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
