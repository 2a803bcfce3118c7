//! How a request is made: URL, headers, the kind of failure, and which token goes with it.

use std::sync::Arc;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use secrecy::zeroize::Zeroizing;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use strangers_text::harmless_up_to;
use transport::{Failure, Request, Server, Transport, Unread};
use url::Url;

use crate::error::Error;
use crate::login::Login;
use crate::session::Sessions;

/// The largest entry that the server takes by default is 512 kB; a list of runners' entries is below that.
const BODY_LIMIT: usize = 4 << 20;
/// Of a message that an error repeats.
const MESSAGE_LIMIT: usize = 300;
const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
/// Wanted by agents that stand between, so that no web page can ask through them.
const REQUEST: HeaderName = HeaderName::from_static("x-vault-request");

/// Where a server is and how to log in there.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Without `/v1`.
    pub address: Url,
    /// Of the namespace, where the server has them.
    pub namespace: Option<String>,
    /// Trusted besides the bundled and the system's roots.
    pub ca_cert_pem: Option<Vec<u8>>,
    pub login: Login,
}

/// Why there can be no client.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("the address must be an http or https URL with a host")]
    Address,
    #[error("the namespace holds characters that no header can carry")]
    Namespace,
    #[error("{0}")]
    Http(String),
}

/// One login at one server. Clones share connections and the login.
#[derive(Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    wire: Transport,
    base: Url,
    namespace: Option<HeaderValue>,
    pub sessions: Sessions,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let origin = self.inner.base.origin().ascii_serialization();
        f.debug_struct("vault::Client").field("server", &origin).finish_non_exhaustive()
    }
}

/// What is asked: segments below `/v1`, query, and a body.
#[derive(Clone)]
pub(crate) struct Call {
    pub method: Method,
    pub path: Vec<String>,
    pub query: Vec<(&'static str, String)>,
    pub body: Option<Zeroizing<Vec<u8>>>,
}

impl Call {
    pub fn new(method: Method, path: &[&str]) -> Call {
        let path = path.iter().map(|segment| (*segment).to_owned()).collect();
        Call { method, path, query: Vec::new(), body: None }
    }

    pub fn get(path: &[&str]) -> Call {
        Call::new(Method::GET, path)
    }

    /// A POST with that body.
    pub fn post(path: &[&str], body: &impl serde::Serialize) -> Call {
        let body = serde_json::to_vec(body).unwrap_or_default();
        Call { body: Some(Zeroizing::new(body)), ..Call::new(Method::POST, path) }
    }

    pub fn query(mut self, key: &'static str, value: impl Into<String>) -> Call {
        self.query.push((key, value.into()));
        self
    }

    /// Method and path, for errors.
    pub fn name(&self) -> String {
        format!("{} /{}", self.method, self.path.join("/"))
    }
}

/// A status and the body that came with it.
pub(crate) struct Answer {
    pub status: StatusCode,
    pub body: Zeroizing<Vec<u8>>,
}

impl Answer {
    /// The server's own words, bounded and on one line.
    pub fn message(&self) -> String {
        #[derive(Deserialize)]
        struct Wire {
            #[serde(default)]
            errors: Vec<String>,
        }
        let text = match serde_json::from_slice::<Wire>(&self.body) {
            Ok(wire) => wire.errors.join(", "),
            Err(_) => String::from_utf8_lossy(&self.body).into_owned(),
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let text = words.join(" ");
        // It counts its errors, and there is one.
        let text = text.strip_prefix("1 error occurred: * ").unwrap_or(&text);
        harmless_up_to(text, MESSAGE_LIMIT)
    }

    pub fn read<T: DeserializeOwned>(&self, request: &str) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| Error::Protocol {
            request: request.to_owned(),
            reason: transport::misread(&error),
        })
    }
}

impl Client {
    /// Opens nothing yet, and does not log in yet. A rustls crypto provider must be installed.
    ///
    /// # Errors
    /// Where the address, the namespace or the certificate cannot be used.
    pub fn new(connection: Connection) -> Result<Client, BuildError> {
        let Connection { address, namespace, ca_cert_pem, login } = connection;
        if !matches!(address.scheme(), "http" | "https") || address.host().is_none() {
            return Err(BuildError::Address);
        }
        let server = Server { base: address.clone(), ca_cert_pem };
        let wire =
            transport::forge(&server).map_err(|error| BuildError::Http(error.to_string()))?;
        Client::over(wire, address, namespace.as_deref(), login)
    }

    /// As [`new`](Self::new), by another way than HTTP.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn over(
        wire: Transport,
        base: Url,
        namespace: Option<&str>,
        login: Login,
    ) -> Result<Client, BuildError> {
        let header = |text: &str| HeaderValue::from_str(text).map_err(|_| BuildError::Namespace);
        let namespace = namespace.map(header).transpose()?;
        let sessions = Sessions::new(login);
        Ok(Client { inner: Arc::new(Inner { wire, base, namespace, sessions }) })
    }

    /// Makes the request with the token of the session; with another one where that one has ended.
    pub(crate) async fn answer(&self, call: &Call) -> Result<Answer, Error> {
        let (turn, token) = self.token().await?;
        let answer = self.once(call, Some(token)).await?;
        if answer.status != StatusCode::FORBIDDEN || !self.renewed_after(turn).await? {
            return Ok(answer);
        }
        let (_, token) = self.token().await?;
        self.once(call, Some(token)).await
    }

    /// As [`answer`](Self::answer), and what is no success is an error.
    pub(crate) async fn call(&self, call: &Call) -> Result<Answer, Error> {
        success(call, self.answer(call).await?)
    }

    /// One request, with that token.
    pub(crate) async fn once(
        &self,
        call: &Call,
        token: Option<HeaderValue>,
    ) -> Result<Answer, Error> {
        let request = call.name();
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST, HeaderValue::from_static("true"));
        if let Some(token) = token {
            headers.insert(TOKEN, token);
        }
        if let Some(namespace) = &self.inner.namespace {
            headers.insert(NAMESPACE, namespace.clone());
        }
        if call.body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let unreachable = |failure: Failure| Error::Unreachable {
            request: request.clone(),
            reason: failure.reason,
        };
        let asked = Request {
            method: call.method.clone(),
            url: self.url(call, &request)?,
            headers,
            body: call.body.as_ref().map(|body| body.to_vec()),
            timeout: transport::FORGE_TIMEOUT,
        };
        let mut response = self.inner.wire.send(asked).await.map_err(unreachable)?;
        let body = response.rest(BODY_LIMIT).await.map_err(|unread| match unread {
            Unread::Failed(failure) => unreachable(failure),
            Unread::Longer(limit) => Error::Protocol {
                request: request.clone(),
                reason: format!("more than {limit} bytes"),
            },
        })?;
        Ok(Answer { status: response.status, body: Zeroizing::new(body) })
    }

    fn url(&self, call: &Call, request: &str) -> Result<Url, Error> {
        let missing =
            || Error::Missing { request: request.to_owned(), message: "no such path".to_owned() };
        if call.path.iter().any(|segment| matches!(segment.as_str(), "" | "." | "..")) {
            // A URL would swallow them and name another thing.
            return Err(missing());
        }
        let mut url = self.inner.base.clone();
        let mut segments = url.path_segments_mut().map_err(|()| missing())?;
        segments.pop_if_empty().push("v1").extend(&call.path);
        drop(segments);
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        Ok(url)
    }
}

/// What is no success is an error.
pub(crate) fn success(call: &Call, answer: Answer) -> Result<Answer, Error> {
    match answer.status.is_success() {
        true => Ok(answer),
        false => Err(Error::from_status(call.name(), answer.status.as_u16(), answer.message())),
    }
}
