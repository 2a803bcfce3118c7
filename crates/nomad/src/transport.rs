//! How a request to Nomad is made: URL, headers, time limit, and what kind of failure it was.
//!
//! It gives every call a status and a body or one of two failures, *certainly not sent* and
//! *unknown*; what an answer means is the business of the call's own file. Read `dispatch` and
//! `job` next.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;

use super::connection::{self, BuildError, Built, Connection, Place};
use super::endpoint::Endpoint;
use super::error::Error;
use super::token::Token;
use strangers_text::harmless_up_to;
use transport::{Request, Response, Transport, Unread};
use url::Url;

/// Time for an ordinary call, connecting and reading included.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
/// Nomad sets no limit of its own; a list of some 50 000 jobs stays below this.
const BODY_LIMIT: usize = 64 << 20;
/// Of a text that an error repeats.
const TEXT_LIMIT: usize = 500;

/// A connection pool to one Nomad. Clones share it, and the token.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    built: Built,
    place: Place,
    token: Token,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("nomad::Client").field("place", &self.inner.place).finish_non_exhaustive()
    }
}

/// One request.
pub(super) struct Call<'a> {
    pub endpoint: Endpoint<'a>,
    pub place: Option<&'a Place>,
    pub query: Vec<(&'static str, String)>,
    pub body: Option<Vec<u8>>,
    pub timeout: Duration,
}

impl<'a> Call<'a> {
    pub fn to(endpoint: Endpoint<'a>) -> Call<'a> {
        Call { endpoint, place: None, query: Vec::new(), body: None, timeout: TIMEOUT }
    }

    pub fn at(mut self, place: &'a Place) -> Call<'a> {
        self.place = Some(place);
        self
    }

    pub fn query(mut self, key: &'static str, value: impl Into<String>) -> Call<'a> {
        self.query.push((key, value.into()));
        self
    }

    pub fn body(mut self, body: Vec<u8>) -> Call<'a> {
        self.body = Some(body);
        self
    }

    /// Method and path, for errors.
    pub fn name(&self) -> String {
        let (root, segments) = (self.endpoint.root(), self.endpoint.segments().join("/"));
        format!("{} /{root}/{segments}", self.endpoint.method())
    }
}

/// What came back, whatever its status.
pub(super) struct Answer {
    pub status: u16,
    /// `X-Nomad-Index`; 0 where there is none.
    pub index: u64,
    /// `X-Nomad-NextToken`: the next page.
    pub next_token: Option<String>,
    pub body: Vec<u8>,
}

impl Answer {
    /// Nomad's error text: plain, bounded, on one line, without the hops' "rpc error: ".
    pub fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let mut text = text.trim();
        while let Some(rest) = text.strip_prefix("rpc error: ") {
            text = rest;
        }
        harmless_up_to(text, TEXT_LIMIT)
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// No byte of the request reached Nomad.
    NotSent(String),
    /// Nomad may have got it and acted.
    Unknown(String),
}

impl Client {
    /// Opens nothing yet. A rustls crypto provider must be installed in the process.
    pub fn new(connection: Connection) -> Result<Client, BuildError> {
        let built = connection::build(&connection)?;
        Ok(Client::of(built, connection))
    }

    /// As [`new`](Self::new), by another way than HTTP: of the connection only namespace, region and
    /// token count.
    pub fn over(wire: Transport, base: Url, connection: Connection) -> Client {
        Client::of(Built { wire, base, host: None }, connection)
    }

    fn of(built: Built, connection: Connection) -> Client {
        let place = Place { namespace: connection.namespace, region: connection.region };
        let token = Token::new(connection.token, connection.token_file);
        Client { inner: Arc::new(Inner { built, place, token }) }
    }

    /// The token of all later calls, of all clones, until a token file changes.
    pub fn set_token(&self, token: Option<SecretString>) {
        self.inner.token.set(token);
    }

    /// The connection's own namespace and region.
    pub fn place(&self) -> &Place {
        &self.inner.place
    }

    /// Makes the request once and reads the whole answer.
    pub(super) async fn send(&self, call: Call<'_>) -> Result<Answer, Failure> {
        let request = self.request(call).map_err(Failure::NotSent)?;
        let fail = |failure: transport::Failure| match failure.sent {
            // So it is with a client agent that has lost its servers (seen on 1.11.3).
            true if failure.reason.starts_with("no answer within") => {
                Failure::Unknown(format!("{}; has the agent lost its servers?", failure.reason))
            }
            true => Failure::Unknown(failure.reason),
            false => Failure::NotSent(failure.reason),
        };
        let mut response = self.inner.built.wire.send(request).await.map_err(fail)?;
        let status = response.status.as_u16();
        let index = header(&response.headers, "x-nomad-index").and_then(|v| v.parse().ok());
        let next_token = header(&response.headers, "x-nomad-nexttoken").map(str::to_owned);
        let body = response.rest(BODY_LIMIT).await.map_err(|unread| match unread {
            Unread::Failed(failure) => fail(failure),
            Unread::Longer(limit) => Failure::Unknown(format!("an answer over {limit} bytes")),
        })?;
        let next_token = next_token.filter(|t| !t.is_empty());
        Ok(Answer { status, index: index.unwrap_or(0), next_token, body })
    }

    /// Makes the request and hands over the answer unread, if it is a success.
    pub(super) async fn open(&self, call: Call<'_>) -> Result<Response, Error> {
        let name = call.name();
        let unavailable = |reason| Error::Unavailable { request: name.clone(), reason };
        let request = self.request(call).map_err(unavailable)?;
        let response = self.inner.built.wire.send(request).await;
        let mut response = response.map_err(|failure| unavailable(failure.reason))?;
        let status = response.status.as_u16();
        if (200..300).contains(&status) {
            return Ok(response);
        }
        let body = response.rest(BODY_LIMIT).await.unwrap_or_default();
        let answer = Answer { status, index: 0, next_token: None, body };
        Err(Error::from_status(name, status, answer.text()))
    }

    /// As [`send`](Self::send), with everything but a success made an error.
    pub(super) async fn call(&self, call: Call<'_>) -> Result<Answer, Error> {
        let request = call.name();
        match self.send(call).await {
            Ok(answer) if (200..300).contains(&answer.status) => Ok(answer),
            Ok(answer) => Err(Error::from_status(request, answer.status, answer.text())),
            Err(Failure::NotSent(reason) | Failure::Unknown(reason)) => {
                Err(Error::Unavailable { request, reason })
            }
        }
    }

    /// As [`call`](Self::call), with the body read as JSON.
    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        call: Call<'_>,
    ) -> Result<(T, Answer), Error> {
        let request = call.name();
        let mut answer = self.call(call).await?;
        let value = serde_json::from_slice(&answer.body)
            .map_err(|error| Error::Protocol { request, reason: transport::misread(&error) })?;
        answer.body = Vec::new();
        Ok((value, answer))
    }

    fn request(&self, call: Call<'_>) -> Result<Request, String> {
        let mut url = self.inner.built.base.clone();
        let (root, segments) = (call.endpoint.root(), call.endpoint.segments());
        if segments.iter().any(|s| matches!(*s, "" | "." | "..")) {
            // A URL would swallow them and name another thing.
            return Err("an empty id, or one of dots alone, names nothing in Nomad".to_owned());
        }
        url.path_segments_mut()
            .map_err(|()| "the address can have no path".to_owned())?
            .pop_if_empty()
            .push(root)
            .extend(segments);
        let mut query = call.query;
        if let Some(place) = call.place {
            query.push(("namespace", place.namespace.clone()));
            query.extend(place.region.iter().map(|region| ("region", region.clone())));
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(&query);
        }
        let mut headers = HeaderMap::new();
        if let Some(host) = &self.inner.built.host {
            headers.insert(HOST, host.clone());
        }
        if let Some(token) = self.inner.token.current().filter(|t| !t.expose_secret().is_empty()) {
            let mut value = HeaderValue::from_str(token.expose_secret())
                .map_err(|_| "the token holds characters that no header can carry".to_owned())?;
            value.set_sensitive(true);
            headers.insert("x-nomad-token", value);
        }
        if call.body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let (method, timeout) = (call.endpoint.method(), call.timeout);
        Ok(Request { method, url, headers, body: call.body, timeout })
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::testing;

    /// As a client agent that has lost its servers: it takes every request, and answers none.
    #[tokio::test]
    async fn an_agent_that_never_answers_is_given_up_in_time() {
        let client = testing::warm(&testing::never_answers().await).await;
        let (place, ids) = (client.place().clone(), ["x".to_owned()]);
        tokio::time::pause();
        let begun = Instant::now();
        let Err(error) = client.job(&place, "x").await else { panic!("it was answered") };
        assert!(begun.elapsed() >= TIMEOUT && begun.elapsed() < 2 * TIMEOUT);
        assert!(matches!(error, Error::Unavailable { .. }), "{error}");
        assert!(error.to_string().contains("no answer within 10 s; has the agent lost"), "{error}");
        tokio::time::resume();
        let client = testing::warm(&testing::never_answers().await).await;
        tokio::time::pause();
        let begun = Instant::now();
        let wait = Duration::from_secs(32);
        let asked = client.statuses(&place, &ids, Some(7), wait).await;
        assert!(matches!(asked, Err(Error::Unavailable { .. })), "{asked:?}");
        assert!(begun.elapsed() >= wait && begun.elapsed() < wait + 2 * TIMEOUT);
    }

    #[tokio::test]
    async fn an_answer_that_stops_half_way_is_given_up_in_time() {
        let client = testing::client(&testing::stays_open_after("{\"ID\": \"x").await);
        let call = Call::to(Endpoint::Job("x"));
        let opened = client.open(call).await.unwrap();
        tokio::time::pause();
        drop(opened);
        let begun = Instant::now();
        assert!(client.job(client.place(), "x").await.is_err());
        assert!(begun.elapsed() < 2 * TIMEOUT);
    }
}
