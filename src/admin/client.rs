//! Asks a running daemon's private door, for the commands that show something or have it do
//! something.

use std::path::Path;

use futures_util::FutureExt;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use strangers_text::harmless_up_to;
use url::Url;

/// Bytes that are shown of an answer which no roustabout gave.
const LONGEST_ANSWER: usize = 300;
/// And of the daemon's own error, which may have several causes in it.
const LONGEST_ERROR: usize = 4096;
/// More than the door itself takes to ask everybody.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);
/// For a report, which has a low priority where the machine is busy.
const LONG_PATIENCE: std::time::Duration = std::time::Duration::from_secs(120);

/// What went wrong, with what to do.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(
        "roustabout does not answer at {url}: {reason}; start the daemon (roustabout serve), or give its address (--address, ROUSTABOUT_ADDR or [admin] listen)"
    )]
    Away { url: Url, reason: String },
    #[error("cannot set up a connection: {0}")]
    SetUp(reqwest::Error),
    #[error(
        "{url} did not accept the admin token; is another daemon listening there? `roustabout admin-token` shows which token is used, --token-file FILE gives another"
    )]
    Token { url: Url },
    #[error(
        "{url} asks for the admin token, and none was found: run this where the daemon's config is found, or as its user, or give the token's file with --token-file FILE"
    )]
    NoToken { url: Url },
    /// The daemon's own words.
    #[error("{why}")]
    No { status: u16, why: String },
    #[error("{url} answered {status}: {text}")]
    Refused { url: Url, status: u16, text: String },
    #[error("{url} is not a roustabout: {reason}")]
    Strange { url: Url, reason: String },
}

impl ClientError {
    /// Whether the same question can be answered a moment later: nobody is there, or whoever is
    /// there is starting, ending, or cannot write.
    pub fn may_pass(&self) -> bool {
        match self {
            ClientError::Away { .. } => true,
            ClientError::No { status, .. } | ClientError::Refused { status, .. } => *status >= 500,
            ClientError::SetUp(_)
            | ClientError::Token { .. }
            | ClientError::NoToken { .. }
            | ClientError::Strange { .. } => false,
        }
    }
}

pub struct Client {
    http: reqwest::Client,
    base: Url,
    /// Where it is, for errors, where `base` does not say.
    socket: Option<Url>,
    token: Option<SecretString>,
}

impl Client {
    pub fn new(base: Url, token: Option<SecretString>) -> Result<Self, ClientError> {
        let http = http(&base).map_err(ClientError::SetUp)?;
        Ok(Self { http, base, socket: None, token })
    }

    /// Through a Unix socket, whose mode says who may.
    pub fn through(socket: &Path) -> Result<Self, ClientError> {
        let base = Url::parse("http://localhost/").unwrap_or_else(|_| unreachable!("it is one"));
        let shown = Url::parse(&format!("unix://{}", socket.display())).ok();
        let http = transport::builder_for(&base).unix_socket(socket).no_proxy().build();
        let http = http.map_err(ClientError::SetUp)?;
        Ok(Self { http, base, socket: shown, token: None })
    }

    /// `GET` of a path such as `/api/v1/status`.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let mut url = self.base.clone();
        url.set_path(path);
        self.ask(self.http.get(url.clone()), url).await
    }

    /// The same with a query.
    pub async fn get_with<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, ClientError> {
        let url = self.url_with(path, query);
        self.ask(self.http.get(url.clone()), url).await
    }

    /// The same, of what may take long.
    pub async fn get_slowly_with<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, ClientError> {
        let url = self.url_with(path, query);
        self.ask_within(LONG_PATIENCE, self.http.get(url.clone()), url).await
    }

    fn url_with(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// `GET` of a path whose last part may hold anything.
    pub async fn get_about<T: DeserializeOwned>(
        &self,
        path: &str,
        about: &str,
    ) -> Result<T, ClientError> {
        let url = self.url_of(path, &[about]);
        self.ask(self.http.get(url.clone()), url).await
    }

    /// `POST` to `path`, the name of something, and what is to become of it.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        name: &str,
        what: &str,
        body: &serde_json::Value,
    ) -> Result<T, ClientError> {
        let url = self.url_of(path, &[name, what]);
        self.ask(self.http.post(url.clone()).json(body), url).await
    }

    /// Each of `more` is one segment, whatever is in it.
    fn url_of(&self, path: &str, more: &[&str]) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(more);
        }
        url
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
        url: Url,
    ) -> Result<T, ClientError> {
        self.ask_within(PATIENCE, request, url).await
    }

    async fn ask_within<T: DeserializeOwned>(
        &self,
        patience: std::time::Duration,
        request: reqwest::RequestBuilder,
        url: Url,
    ) -> Result<T, ClientError> {
        let url = self.shown(url);
        let answer = self.send(request.timeout(patience), &url).await?;
        let text = answer.text().await.map_err(|error| away(&url, &error))?;
        serde_json::from_str(&text)
            .map_err(|error| ClientError::Strange { url, reason: error.to_string() })
    }

    /// What the daemon tells as it happens.
    pub async fn events(&self) -> Result<Events, ClientError> {
        let mut url = self.base.clone();
        url.set_path("/events");
        let request = self.http.get(url.clone());
        let url = self.shown(url);
        match tokio::time::timeout(PATIENCE, self.send(request, &url)).await {
            Ok(answer) => Ok(Events(answer?)),
            Err(late) => Err(ClientError::Away { url, reason: late.to_string() }),
        }
    }

    /// As errors name it.
    fn shown(&self, url: Url) -> Url {
        self.socket.clone().unwrap_or(url)
    }

    /// Its answer, if it is one of success.
    async fn send(
        &self,
        mut request: reqwest::RequestBuilder,
        url: &Url,
    ) -> Result<reqwest::Response, ClientError> {
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose_secret());
        }
        let answer = request.send().await.map_err(|error| away(url, &error))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let mut url = url.clone();
        if status == reqwest::StatusCode::UNAUTHORIZED {
            url.set_path("");
            url.set_query(None);
            return Err(match self.token {
                Some(_) => ClientError::Token { url },
                None => ClientError::NoToken { url },
            });
        }
        let text = answer.text().await.map_err(|error| away(&url, &error))?;
        Err(match said(&text) {
            Some(why) => ClientError::No { status: status.as_u16(), why },
            None => ClientError::Refused {
                url,
                status: status.as_u16(),
                text: harmless_up_to(&text, LONGEST_ANSWER),
            },
        })
    }
}

fn away(url: &Url, error: &reqwest::Error) -> ClientError {
    ClientError::Away { url: url.clone(), reason: root_cause(error) }
}

/// The stream of `/events`, for whoever only wants to know that there was one.
pub struct Events(reqwest::Response);

impl Events {
    /// Something happened; `None`: the stream has ended.
    pub async fn next(&mut self) -> Option<()> {
        loop {
            let mut happened = tells(&self.0.chunk().await.ok()??);
            // What arrived with it is the same news.
            while let Some(more) = self.0.chunk().now_or_never() {
                happened |= tells(&more.ok()??);
            }
            if happened {
                return Some(());
            }
        }
    }
}

/// Whether there is more in it than a sign of life.
fn tells(chunk: &[u8]) -> bool {
    !chunk.starts_with(b":")
}

/// The `error` of the door's own answers.
fn said(text: &str) -> Option<String> {
    let body: serde_json::Value = serde_json::from_str(text).ok()?;
    Some(harmless_up_to(body.get("error")?.as_str()?, LONGEST_ERROR))
}

/// For one door at `url`. This machine is reached without the environment's proxy, and without
/// an installed CA bundle.
pub(crate) fn http(url: &Url) -> reqwest::Result<reqwest::Client> {
    transport::builder_for(url).tls_certs_merge(transport::bundled_roots()).build()
}

/// reqwest names the address and buries the reason; the reason is what helps.
pub(crate) fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
