//! How a request to Gitea is made: URL, headers, time limit, redirects, the kind of failure.
//!
//! One request a call (a redirect apart), no retry. Lists are read by `paging`; what an answer
//! means is the business of the call's own file.

use std::sync::Arc;

use clock::Clock;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use transport::{Failure, Request, Response, Server, Transport, Unread};
use url::Url;

use super::error::Error;

/// A page of fifty runs, each with its whole repository, is some 200 kB.
const BODY_LIMIT: usize = 20 << 20;
const MAX_REDIRECTS: usize = 3;

/// Why there can be no client.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("the API's address must be an http or https URL with a host")]
    Address,
    #[error("the token holds characters that no header can carry")]
    Token,
    #[error("{0}")]
    Http(String),
}

/// One credential at one Gitea. Clones share connections.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    wire: Transport,
    clock: Clock,
    base: Url,
    authorization: HeaderValue,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let origin = self.inner.base.origin().ascii_serialization();
        f.debug_struct("gitea::Client").field("api", &origin).finish_non_exhaustive()
    }
}

/// What is asked: segments below the API's address, query, and a body.
#[derive(Clone)]
pub(super) struct Call<'a> {
    pub method: Method,
    pub path: Vec<&'a str>,
    pub query: Vec<(&'static str, String)>,
    pub body: Option<serde_json::Value>,
}

impl<'a> Call<'a> {
    pub fn new(method: Method, path: Vec<&'a str>) -> Call<'a> {
        Call { method, path, query: Vec::new(), body: None }
    }

    pub fn get(path: Vec<&'a str>) -> Call<'a> {
        Call::new(Method::GET, path)
    }

    pub fn query(mut self, key: &'static str, value: impl Into<String>) -> Call<'a> {
        self.query.push((key, value.into()));
        self
    }

    /// Method and path, for errors.
    pub fn name(&self) -> String {
        format!("{} /{}", self.method, self.path.join("/"))
    }
}

/// A success.
pub(super) struct Answer {
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    /// How many there are of what is listed, over all pages.
    pub fn total(&self) -> Option<u64> {
        self.headers.get("x-total-count")?.to_str().ok()?.parse().ok()
    }

    /// Gitea's clock, in whole seconds.
    pub fn date(&self) -> Option<Timestamp> {
        let text = self.headers.get(DATE)?.to_str().ok()?;
        Some(rfc2822::parse(text).ok()?.timestamp())
    }
}

impl Client {
    /// `api_url` is `https://HOST/api/v1`. Opens nothing yet. A rustls crypto provider must be
    /// installed in the process.
    pub fn new(server: Server, token: &SecretString) -> Result<Client, BuildError> {
        if !matches!(server.base.scheme(), "http" | "https") || server.base.host().is_none() {
            return Err(BuildError::Address);
        }
        let wire = transport::forge(&server).map_err(|e| BuildError::Http(e.to_string()))?;
        Client::over(wire, server.base, token, Clock::system())
    }

    /// As [`new`](Self::new), by another way than HTTP and another clock.
    pub fn over(
        wire: Transport,
        api_url: Url,
        token: &SecretString,
        clock: Clock,
    ) -> Result<Client, BuildError> {
        let text = format!("Bearer {}", token.expose_secret());
        let mut authorization = HeaderValue::from_str(&text).map_err(|_| BuildError::Token)?;
        authorization.set_sensitive(true);
        Ok(Client { inner: Arc::new(Inner { wire, clock, base: api_url, authorization }) })
    }

    /// By which it counts.
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// Makes the request, follows redirects on the same origin (a renamed repository answers
    /// 307), and makes everything but a success an error.
    pub(super) async fn call(&self, call: Call<'_>) -> Result<Answer, Error> {
        let request = call.name();
        let mut url = self.url(&call, &request)?;
        for _ in 0..=MAX_REDIRECTS {
            let (status, answer) = self.once(&call, url.clone(), &request).await?;
            if status.is_success() {
                return Ok(answer);
            }
            match transport::redirect(&call.method, status, &answer.headers, &url) {
                Some(target) => url = target,
                None => {
                    let message = transport::forge_message(&answer.body);
                    return Err(Error::from_status(request, status.as_u16(), message));
                }
            }
        }
        Err(Error::from_status(request, 310, String::new()))
    }

    /// As [`call`](Self::call), with the body read as JSON.
    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        call: Call<'_>,
    ) -> Result<(T, Answer), Error> {
        let request = call.name();
        let answer = self.call(call).await?;
        let read = serde_json::from_slice(&answer.body)
            .map_err(|error| Error::Protocol { request, reason: transport::misread(&error) })?;
        Ok((read, answer))
    }

    async fn once(
        &self,
        call: &Call<'_>,
        url: Url,
        request: &str,
    ) -> Result<(StatusCode, Answer), Error> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, self.inner.authorization.clone());
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if call.body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let body = call.body.as_ref().map(|body| body.to_string().into_bytes());
        let (method, timeout) = (call.method.clone(), transport::FORGE_TIMEOUT);
        let unavailable = |failure: Failure| Error::Unavailable {
            request: request.to_owned(),
            reason: failure.reason,
        };
        let asked = Request { method, url, headers, body, timeout };
        let mut response = self.inner.wire.send(asked).await.map_err(unavailable)?;
        let body = response.rest(BODY_LIMIT).await.map_err(|unread| match unread {
            Unread::Failed(failure) => unavailable(failure),
            Unread::Longer(limit) => Error::Protocol {
                request: request.to_owned(),
                reason: format!("more than {limit} bytes"),
            },
        })?;
        let Response { status, headers, .. } = response;
        Ok((status, Answer { headers, body }))
    }

    fn url(&self, call: &Call<'_>, request: &str) -> Result<Url, Error> {
        let not_found = || Error::NotFound { request: request.to_owned() };
        if call.path.iter().any(|s| matches!(*s, "" | "." | "..")) {
            // A URL would swallow them and name another thing; nothing at Gitea is called so.
            return Err(not_found());
        }
        let mut url = self.inner.base.clone();
        url.path_segments_mut().map_err(|()| not_found())?.pop_if_empty().extend(&call.path);
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        Ok(url)
    }
}
