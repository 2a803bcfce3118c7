//! One request, and the two ways from it into the state: [`Call::read`] and [`Call::write`].
//!
//! Both go through [`Call::admit`], the one place where a request's region and namespace are known
//! and where it is decided whether it may go on; only then the handler's own closure runs, on the
//! state under its lock. Read next: `reading.rs`, `routes.rs`.

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::Value;

use super::options::{Options, Query, unescaped};
use super::refusal::Refusal;
use super::rights;
use crate::acl::{Caller, Capability};
use crate::http::{Server, View};
use crate::journal::{Entry, Request};
use crate::model::Millis;

pub(crate) type Reply = Result<Response, Refusal>;

pub(crate) struct Call {
    pub server: Server,
    pub method: Method,
    /// As it was sent.
    pub escaped: String,
    /// Without its escapes.
    pub path: String,
    /// As it came.
    pub asked: String,
    pub query: Query,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What the body of a write says about itself; the query goes before it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stated {
    pub namespace: Option<String>,
    pub region: Option<String>,
}

/// A request that was let in.
pub(crate) struct Admitted {
    /// `*` where all are asked for.
    pub namespace: String,
    /// Of this cluster.
    pub region: String,
    pub caller: Caller,
}

impl Admitted {
    /// Whether a list holds what is in that namespace. Of all namespaces, those are left out of
    /// which the caller may see nothing of the kind.
    pub fn lists(&self, namespace: &str, capability: Capability) -> bool {
        match self.namespace.as_str() {
            "*" => self.caller.may(namespace, &[capability]),
            own => own == namespace,
        }
    }
}

/// What a write came to.
pub(crate) struct Written {
    /// None: nothing was written that has an index.
    pub index: Option<u64>,
    pub body: Option<Value>,
}

impl Written {
    pub fn new(index: u64, body: Value) -> Self {
        Self { index: Some(index), body: Some(body) }
    }
}

impl Call {
    /// None where the path has a broken escape.
    pub fn new(
        server: Server,
        method: Method,
        (path, query): (&str, &str),
        headers: HeaderMap,
        body: Bytes,
    ) -> Option<Self> {
        let (escaped, path) = (path.to_owned(), unescaped(path)?);
        let (asked, query) = (query.to_owned(), Query::read(query));
        Some(Self { server, method, escaped, path, asked, query, headers, body })
    }

    /// Whether the request may go on, for whom, and in which namespace.
    pub fn admit(
        &self,
        view: &View<'_>,
        stated: &Stated,
        now: Millis,
    ) -> Result<Admitted, Refusal> {
        let said = |name, stated: &Option<String>| {
            let stated = stated.clone().filter(|it| !it.is_empty());
            self.query.said(name).map(str::to_owned).or(stated)
        };
        let region = said("region", &stated.region);
        if region.is_some_and(|region| self.is_elsewhere(&region)) && !self.is_answered_here() {
            return Err(Refusal::new(500, "No path to region"));
        }
        let namespace = said("namespace", &stated.namespace);
        let namespace = namespace.unwrap_or_else(|| "default".to_owned());
        let caller = rights::admit(self, view.nomad, &namespace, now)?;
        let region = self.server.config().region.clone();
        Ok(Admitted { namespace, region, caller })
    }

    /// Whether a region is another than the server's.
    pub fn is_elsewhere(&self, region: &str) -> bool {
        region != self.server.config().region
    }

    /// Whether the agent answers by itself, whatever region is asked for.
    fn is_answered_here(&self) -> bool {
        self.path.starts_with("/v1/agent/") || self.path == "/v1/jobs/parse"
    }

    /// Changes the state, and answers with what came of it.
    pub fn write(
        &self,
        act: impl FnOnce(&mut View<'_>, &Admitted, Millis) -> Result<Written, Refusal>,
    ) -> Reply {
        self.write_as(&Stated::default(), act)
    }

    /// The same, where the body says something about namespace and region as well.
    pub fn write_as(
        &self,
        stated: &Stated,
        act: impl FnOnce(&mut View<'_>, &Admitted, Millis) -> Result<Written, Refusal>,
    ) -> Reply {
        let written = self.server.change(
            || self.entry(),
            |view, now| {
                let admitted = self.admit(view, stated, now)?;
                act(view, &admitted, now)
            },
        )?;
        let mut response = match written.body {
            Some(body) => self.json(&body),
            None => ().into_response(),
        };
        if let Some(index) = written.index {
            response.headers_mut().insert("x-nomad-index", HeaderValue::from(index));
        }
        Ok(response)
    }

    /// For the journal of a server that keeps its state.
    pub fn entry(&self) -> Entry {
        let (path, query) = (&self.escaped, &self.asked);
        Entry::Call(Request::new(&self.method, path, query, &self.headers, &self.body))
    }

    /// JSON, indented where that is asked for.
    pub fn json(&self, body: &Value) -> Response {
        if self.query.get("pretty").is_none_or(|it| it == "0") {
            return Json(body).into_response();
        }
        let mut text = Vec::new();
        let format = serde_json::ser::PrettyFormatter::with_indent(b"    ");
        let mut writer = serde_json::Serializer::with_formatter(&mut text, format);
        // A JSON value is always written.
        let _ = serde::Serialize::serialize(body, &mut writer);
        text.push(b'\n');
        let mut response = text.into_response();
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert("content-type", json);
        response
    }

    pub fn options(&self) -> Result<Options, Refusal> {
        Options::read(&self.query)
    }
}
