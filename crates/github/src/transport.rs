//! How a request to GitHub is made: URL, headers, time limit, redirects, the rate limit, and the kind
//! of failure.
//!
//! One request a call (a redirect apart), no retry. Lists are followed by `paging`; what an answer
//! means is the business of the call's own file.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clock::Clock;
use jiff::Timestamp;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, LINK,
};
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use transport::{Failure, Request, Response, Server, Transport, Unread};
use url::Url;

use super::auth::Auth;
use super::budget::{Budget, OverShare, Purpose};
use super::error::Error;
use super::pace::{self, Cost, Pace};
use super::rate_limit::{self, RateLimit, Waiting};

/// A page of a hundred runs is some 2 MB.
const BODY_LIMIT: usize = 20 << 20;
const MAX_REDIRECTS: usize = 3;

/// Why there can be no client.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("the API's address must be an http or https URL with a host")]
    Address,
    #[error("{0}")]
    Http(String),
}

/// One credential at one GitHub. Clones share connections, credential, rate limit and budget.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
    auth: Auth,
    purpose: Purpose,
}

struct Inner {
    road: Road,
    state: Mutex<State>,
    /// Each is a request under way.
    slots: Semaphore,
}

/// The way to one GitHub.
#[derive(Clone)]
pub(super) struct Road {
    pub wire: Transport,
    pub clock: Clock,
    pub base: Url,
}

#[derive(Default)]
struct State {
    limit: RateLimit,
    budget: Budget,
    pace: Pace,
    /// GitHub's clock and ours, at the last answer.
    clock: Option<(Timestamp, Timestamp)>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let origin = self.inner.road.base.origin().ascii_serialization();
        f.debug_struct("github::Client").field("api", &origin).finish_non_exhaustive()
    }
}

pub(super) struct Call<'a> {
    pub method: Method,
    pub target: Target<'a>,
    pub query: Vec<(&'static str, String)>,
    pub etag: Option<&'a str>,
    pub body: Option<serde_json::Value>,
}

/// What is asked: segments below the API's address, or a URL that GitHub gave (a next page).
pub(super) enum Target<'a> {
    Path(Vec<&'a str>),
    Url(Url),
}

impl<'a> Call<'a> {
    pub fn new(method: Method, path: Vec<&'a str>) -> Call<'a> {
        Call { method, target: Target::Path(path), query: Vec::new(), etag: None, body: None }
    }

    pub fn get(path: Vec<&'a str>) -> Call<'a> {
        Call::new(Method::GET, path)
    }

    pub fn query(mut self, key: &'static str, value: impl Into<String>) -> Call<'a> {
        self.query.push((key, value.into()));
        self
    }

    pub fn body(mut self, body: serde_json::Value) -> Call<'a> {
        self.body = Some(body);
        self
    }

    /// Method and path, for errors.
    pub fn name(&self) -> String {
        match &self.target {
            Target::Path(path) => format!("{} /{}", self.method, path.join("/")),
            Target::Url(url) => format!("{} {}", self.method, url.path()),
        }
    }
}

/// A success, or a 304.
pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub url: Url,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn etag(&self) -> Option<String> {
        Some(self.headers.get(ETAG)?.to_str().ok()?.to_owned())
    }

    /// The `Link` header's `rel="next"`, as GitHub wrote it.
    pub fn next(&self) -> Option<Url> {
        let links = self.headers.get_all(LINK).iter().filter_map(|v| v.to_str().ok());
        let next = links.flat_map(|v| v.split(',')).find_map(|link| {
            let (target, parameters) = link.split_once(';')?;
            let is_next = parameters.split(';').any(|p| p.trim() == "rel=\"next\"");
            is_next.then(|| target.trim().trim_start_matches('<').trim_end_matches('>'))
        })?;
        self.url.join(next).ok()
    }
}

impl Client {
    /// The API is at `https://api.github.com`, or `https://HOST/api/v3` of an Enterprise Server.
    /// Opens nothing yet. A rustls crypto provider must be installed in the process.
    pub fn new(api: Server, token: SecretString) -> Result<Client, BuildError> {
        Ok(Client::by(Road::to(api)?, Auth::Token(token)))
    }

    /// As [`new`](Self::new), by another way than HTTP and another clock.
    pub fn over(wire: Transport, api_url: Url, token: SecretString, clock: Clock) -> Client {
        Client::by(Road { wire, clock, base: api_url }, Auth::Token(token))
    }

    /// With a limit, a budget and a clock of its own.
    pub(super) fn by(road: Road, auth: Auth) -> Client {
        let slots = Semaphore::new(pace::AT_ONCE);
        let inner = Inner { road, state: Mutex::default(), slots };
        Client { inner: Arc::new(inner), auth, purpose: Purpose::default() }
    }

    /// A clone that says another way who it is, and shares limit and budget.
    pub(super) fn with_auth(&self, auth: Auth) -> Client {
        Client { auth, ..self.clone() }
    }

    /// A clone whose requests are for that.
    pub fn with_purpose(&self, purpose: Purpose) -> Client {
        Client { purpose, ..self.clone() }
    }

    pub(super) fn auth(&self) -> &Auth {
        &self.auth
    }

    /// By which it counts.
    pub fn clock(&self) -> &Clock {
        &self.inner.road.clock
    }

    /// GitHub's clock (whole seconds, from the last answer's `Date`) and ours at that moment.
    pub fn server_clock(&self) -> Option<(Timestamp, Timestamp)> {
        self.state().clock
    }

    /// How many requests are left until the limit is set anew; `None` where no answer has told of one.
    pub fn remaining(&self) -> Option<u64> {
        self.state().budget.remaining(Instant::now())
    }

    /// For how long every call would be held back.
    pub fn held_back_for(&self) -> Option<Duration> {
        self.state().limit.wait(Instant::now())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the request, follows redirects on the same origin, and makes everything but a success
    /// or a 304 an error.
    ///
    /// A renamed repository answers 301 (307 for other methods than GET) to
    /// `/repositories/ID/…`, which is the same resource.
    pub(super) async fn call(&self, call: Call<'_>) -> Result<Answer, Error> {
        self.auth.call(self, &call).await
    }

    /// As [`call`](Self::call), by this token.
    pub(super) async fn call_by(
        &self,
        call: &Call<'_>,
        token: Option<&SecretString>,
    ) -> Result<Answer, Error> {
        let request = call.name();
        let mut url = self.url(call, &request)?;
        for _ in 0..=MAX_REDIRECTS {
            let answer = self.once(call, token, url, &request).await?;
            if answer.status.is_success() || answer.status == StatusCode::NOT_MODIFIED {
                return Ok(answer);
            }
            match transport::redirect(&call.method, answer.status, &answer.headers, &answer.url) {
                Some(target) => url = target,
                None => {
                    let accepted = answer.headers.get("x-accepted-github-permissions");
                    let accepted = accepted.and_then(|v| v.to_str().ok()).map(str::to_owned);
                    let status = answer.status.as_u16();
                    return Err(Error::from_status(
                        request,
                        status,
                        transport::forge_message(&answer.body),
                        accepted,
                    ));
                }
            }
        }
        Err(Error::from_status(request, 310, String::new(), None))
    }

    /// As [`call`](Self::call), with the body read as JSON.
    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        call: Call<'_>,
    ) -> Result<(T, Answer), Error> {
        let request = call.name();
        let answer = self.call(call).await?;
        Ok((parse(request, &answer)?, answer))
    }

    async fn once(
        &self,
        call: &Call<'_>,
        token: Option<&SecretString>,
        url: Url,
        request: &str,
    ) -> Result<Answer, Error> {
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            headers.insert(AUTHORIZATION, authorization(token, request)?);
        }
        // Held until the answer is there. It is never closed.
        let _slot = self.inner.slots.acquire().await;
        self.admits(Cost::of(&call.method, url.path()), request)?;
        headers.insert(ACCEPT, HeaderValue::from_static("application/vnd.github+json"));
        headers.insert("x-github-api-version", HeaderValue::from_static("2022-11-28"));
        if let Some(etag) = call.etag.and_then(|etag| HeaderValue::from_str(etag).ok()) {
            headers.insert(IF_NONE_MATCH, etag);
        }
        if call.body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let body = call.body.as_ref().map(|body| body.to_string().into());
        let unavailable = |failure: Failure| Error::Unavailable {
            request: request.to_owned(),
            reason: failure.reason,
        };
        let method = call.method.clone();
        let (target, timeout) = (url.clone(), transport::FORGE_TIMEOUT);
        let asked = Request { method, url: target, headers, body, timeout };
        let mut response = self.inner.road.wire.send(asked).await.map_err(unavailable)?;
        let body = response.rest(BODY_LIMIT).await.map_err(|unread| match unread {
            Unread::Failed(failure) => unavailable(failure),
            Unread::Longer(limit) => Error::Protocol {
                request: request.to_owned(),
                reason: format!("more than {limit} bytes"),
            },
        })?;
        let Response { status, headers, .. } = response;
        self.judge(request, Answer { status, headers, url, body })
    }

    /// Notes clock, rate limit and budget.
    fn judge(&self, request: &str, answer: Answer) -> Result<Answer, Error> {
        let (now, wall) = (Instant::now(), self.inner.road.clock.now());
        let text = if answer.status.is_client_error() {
            transport::forge_message(&answer.body)
        } else {
            String::new()
        };
        let waiting = rate_limit::waiting(answer.status.as_u16(), &answer.headers, &text, wall);
        let counted = answer.status != StatusCode::NOT_MODIFIED;
        let mut state = self.state();
        // A refused credential's limit is that of the address, not its own.
        if answer.status != StatusCode::UNAUTHORIZED {
            state.budget.learn(&answer.headers, &self.purpose, counted, wall, now);
        }
        if let Some(server) = rate_limit::date(&answer.headers) {
            state.clock = Some((server, wall));
        }
        match waiting {
            // An answer that says nothing of the limit: a credential that is refused, GitHub's trouble.
            Waiting::No if answer.status == StatusCode::UNAUTHORIZED => Ok(answer),
            Waiting::No if answer.status.is_server_error() => Ok(answer),
            Waiting::No => {
                state.limit.passes(now);
                Ok(answer)
            }
            Waiting::Later(wait) => {
                state.limit.passes(now);
                state.limit.wait_until(now + wait);
                Ok(answer)
            }
            Waiting::Refused(wait, reason) => {
                let wait = state.limit.refuses(wait, now);
                let (request, until) = (request.to_owned(), after(wall, wait));
                Err(Error::RateLimited { request, wait, until, reason })
            }
        }
    }

    /// Whether GitHub may be asked, and budget and pace have something left for this, which is sent
    /// then.
    fn admits(&self, cost: Cost, request: &str) -> Result<(), Error> {
        let (mut state, now) = (self.state(), Instant::now());
        if let Some(wait) = state.limit.wait(now) {
            let (request, until) = (request.to_owned(), after(self.inner.road.clock.now(), wait));
            return Err(Error::HeldBack { request, wait, until });
        }
        if let Err(OverShare { wait, spent, limit }) = state.budget.admits(&self.purpose, now) {
            let (request, until) = (request.to_owned(), after(self.inner.road.clock.now(), wait));
            let purpose = self.purpose.clone();
            return Err(Error::OverShare { request, wait, until, purpose, spent, limit });
        }
        // Where the hour has no limit, neither has the minute.
        let limited = state.budget.is_limited();
        if let Err(wait) = state.pace.admits(cost, &self.purpose, now)
            && limited
        {
            let (request, until) = (request.to_owned(), after(self.clock().now(), wait));
            return Err(Error::TooFast { request, wait, until });
        }
        state.pace.sends(cost, now);
        state.limit.sends(now);
        Ok(())
    }

    fn url(&self, call: &Call<'_>, request: &str) -> Result<Url, Error> {
        let path = match &call.target {
            // The token goes nowhere else.
            Target::Url(url) if url.origin() == self.inner.road.base.origin() => {
                return Ok(url.clone());
            }
            Target::Url(_) => {
                let reason = "it leads to another origin".to_owned();
                return Err(Error::Protocol { request: request.to_owned(), reason });
            }
            Target::Path(path) => path,
        };
        let not_found = || Error::NotFound { request: request.to_owned() };
        if path.iter().any(|s| matches!(*s, "" | "." | "..")) {
            // A URL would swallow them and name another thing; nothing at GitHub is called so.
            return Err(not_found());
        }
        let mut url = self.inner.road.base.clone();
        url.path_segments_mut().map_err(|()| not_found())?.pop_if_empty().extend(path);
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        Ok(url)
    }
}

impl Road {
    /// By HTTP and this machine's clock.
    pub fn to(server: Server) -> Result<Road, BuildError> {
        if !matches!(server.base.scheme(), "http" | "https") || server.base.host().is_none() {
            return Err(BuildError::Address);
        }
        let wire = transport::forge(&server).map_err(|e| BuildError::Http(e.to_string()))?;
        Ok(Road { wire, clock: Clock::system(), base: server.base })
    }
}

fn authorization(token: &SecretString, request: &str) -> Result<HeaderValue, Error> {
    let text = format!("Bearer {}", token.expose_secret());
    let mut value = HeaderValue::from_str(&text).map_err(|_| Error::Unauthorized {
        request: request.to_owned(),
        message: "not sent: the token holds characters that no header can carry".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// The time when so long has passed, for people: in whole seconds.
fn after(now: Timestamp, wait: Duration) -> Timestamp {
    let seconds = i64::try_from(wait.as_secs()).unwrap_or(i64::MAX).saturating_add(1);
    Timestamp::from_second(now.as_second().saturating_add(seconds)).unwrap_or(now)
}

pub(super) fn parse<T: DeserializeOwned>(request: String, answer: &Answer) -> Result<T, Error> {
    serde_json::from_slice(&answer.body)
        .map_err(|error| Error::Protocol { request, reason: transport::misread(&error) })
}
