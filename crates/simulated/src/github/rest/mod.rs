//! The REST face, still pure: one [`Call`] in, one [`Answer`] out.
//!
//! Here is the order in which a request is judged: fault, token, rate limit, route, ETag. No
//! sockets; those are in `../http.rs`. Read next: `access.rs`, then one file for each family of
//! endpoints.

mod access;
mod apps;
mod concurrency;
mod gitea;
mod groups;
mod hook_changes;
mod hooks;
mod paging;
mod repositories;
mod runners;
mod runs;
mod search;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::faults::{FaultKind, RequestRecord};
use super::kind::Kind;
use super::limits::Standing;
use super::model::{GitHub, Millis};
use super::tokens::Token;

/// A request to the API.
#[derive(Clone, Debug, Default)]
pub struct Call {
    pub method: String,
    /// As asked for, `/api/v3` included.
    pub path: String,
    pub query: BTreeMap<String, String>,
    /// `http://HOST`, from the request's own `Host`, for the `Link` header.
    pub origin: String,
    /// What `Authorization` carries after `Bearer` or `token`.
    pub token: Option<String>,
    pub if_none_match: Option<String>,
    /// `X-GitHub-Api-Version`.
    pub api_version: Option<String>,
    /// JSON; null where there is none, or where it is something else.
    pub body: Value,
}

impl Call {
    /// A GET, POST or DELETE with a token; `path` may carry a query.
    #[must_use]
    pub fn new(method: &str, path: &str, token: &str) -> Self {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: Self::query_of(query),
            origin: "http://github.test".to_owned(),
            token: Some(token.to_owned()),
            if_none_match: None,
            api_version: None,
            body: Value::Null,
        }
    }

    /// With a body.
    #[must_use]
    pub fn with(self, body: Value) -> Self {
        Self { body, ..self }
    }

    /// A query's parameters; values of one name are joined by commas, as far as somebody repeats them.
    #[must_use]
    pub fn query_of(text: &str) -> BTreeMap<String, String> {
        let mut query = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(text.as_bytes()).into_owned() {
            query
                .entry(name)
                .and_modify(|all: &mut String| {
                    all.push(',');
                    all.push_str(&value);
                })
                .or_insert(value);
        }
        query
    }

    fn number(&self, name: &str) -> Option<usize> {
        self.query.get(name)?.parse().ok()
    }
}

/// What comes back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Option<Value>,
    /// Late by so much.
    pub delay: Millis,
    /// The connection is cut instead of answering.
    pub cut: bool,
}

impl Answer {
    fn new(status: u16, body: Value) -> Self {
        Self { status, headers: Vec::new(), body: Some(body), delay: 0, cut: false }
    }

    fn ok(body: Value) -> Self {
        Self::new(200, body)
    }

    fn empty(status: u16) -> Self {
        Self { body: None, ..Self::new(status, Value::Null) }
    }

    /// As GitHub's errors are: `message`, `documentation_url`, `status`.
    fn error(status: u16, message: impl Into<String>) -> Self {
        Self::new(
            status,
            json!({
                "message": message.into(),
                "documentation_url": "https://docs.github.com/rest",
                "status": status.to_string(),
            }),
        )
    }

    fn not_found() -> Self {
        Self::error(404, "Not Found")
    }

    fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl GitHub {
    /// Answers one request.
    pub fn rest(&mut self, call: &Call, now: Millis) -> Answer {
        let below = call.path.strip_prefix("/api/v3");
        if below.is_none() && self.knobs.kind == Kind::EnterpriseServer {
            return Answer::not_found();
        }
        let path = below.unwrap_or(&call.path).to_owned();
        let call = &self.as_this_forge_pages(call);
        let fault = self.take_fault(&call.method, &path);
        let mut answer = match &fault {
            Some(FaultKind::Status(status, body)) => Answer::new(*status, body.clone()),
            Some(FaultKind::RetryAfter { status, seconds }) => too_fast(*status, *seconds),
            Some(FaultKind::DropBefore) => Answer { cut: true, ..Answer::empty(502) },
            Some(FaultKind::Slow(_) | FaultKind::ActThenDrop) | None => {
                self.judged(call, &path, now)
            }
        };
        match fault {
            Some(FaultKind::Slow(by)) => answer.delay = by,
            Some(FaultKind::ActThenDrop) => answer.cut = true,
            _ => {}
        }
        self.requests.push(RequestRecord {
            at: now,
            method: call.method.clone(),
            path,
            status: answer.status,
        });
        answer
    }

    /// Gitea's `limit` is GitHub's `per_page`, and 50 at most, or less where its owner set that.
    fn as_this_forge_pages(&self, call: &Call) -> Call {
        let mut call = call.clone();
        if self.is_gitea() {
            let size = call.number("limit").unwrap_or(30).clamp(1, self.knobs.page_at_most);
            call.query.insert("per_page".to_owned(), size.to_string());
        }
        call
    }

    /// Token, rate limit, route, ETag.
    fn judged(&mut self, call: &Call, path: &str, now: Millis) -> Answer {
        let version = call.api_version.as_deref();
        if version.is_some_and(|version| !self.knobs.kind.api_versions().contains(&version)) {
            return Answer::error(400, "The API version that was asked for is not supported.");
        }
        if path == "/meta" && !self.is_gitea() {
            return Answer::ok(repositories::meta());
        }
        if path.ends_with("/version") && self.is_gitea() {
            return Answer::ok(gitea::version(self.knobs.kind));
        }
        if let Some(answer) = self.ask_as_app(call, path, now) {
            return answer;
        }
        let token = match &call.token {
            None => return Answer::error(401, "Requires authentication"),
            Some(secret) => match self.tokens.get(secret) {
                None => return Answer::error(401, "Bad credentials"),
                Some(token) => token.clone(),
            },
        };
        if let Some(seen) = &token.seen {
            if seen.works_from > now || seen.expires_at <= now {
                return Answer::error(401, "Bad credentials");
            }
            if self.installation_of(&token).is_some_and(|it| it.suspended_at.is_some()) {
                return Answer::error(403, "This installation has been suspended");
            }
        }
        if self.is_gitea() {
            // Neither limits nor tags.
            return self.route(call, path, &token, now);
        }
        let user = token.counts_for();
        if !self.knobs.limits {
            return match path {
                "/rate_limit" => Answer::error(404, "Rate limiting is not enabled."),
                _ => self.counted(call, path, &token, now),
            };
        }
        let standing = self.standing(user, now);
        if path == "/rate_limit" {
            return with_limits(Answer::ok(rate_limit(standing)), standing);
        }
        if standing.remaining() == 0 {
            let message = format!("API rate limit exceeded for user ID {user}.");
            return with_limits(Answer::error(403, message), standing);
        }
        if self.is_too_fast(user, &call.method, now) {
            return with_limits(too_fast(403, 60), standing);
        }
        let answer = self.counted(call, path, &token, now);
        let standing = self.standing(user, now);
        with_limits(answer, standing)
    }

    /// Route and ETag. What did not change costs nothing.
    fn counted(&mut self, call: &Call, path: &str, token: &Token, now: Millis) -> Answer {
        let mut answer = self.route(call, path, token, now);
        if call.method == "GET" && answer.status == 200 {
            answer = with_etag(call, answer);
        }
        if answer.status != 304 {
            self.spend(token.counts_for(), now);
        }
        answer
    }

    fn route(&mut self, call: &Call, path: &str, token: &Token, now: Millis) -> Answer {
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        match segments.as_slice() {
            ["user", ..] if token.seen.is_some() => {
                Answer::error(403, "Resource not accessible by integration")
            }
            ["installation", "repositories"] if call.method == "GET" => {
                self.list_installation_repositories(call, token)
            }
            ["user"] if call.method == "GET" => self.get_user(token),
            ["user", "repos"] if call.method == "GET" => self.list_user_repositories(call, token),
            ["search", "repositories"] if call.method == "GET" && !self.is_gitea() => {
                self.search_repositories(call, token)
            }
            ["orgs", organization, rest @ ..] => {
                self.route_organization(call, organization, rest, token, now)
            }
            ["repos", owner, name, rest @ ..] => {
                let full_name = format!("{owner}/{name}");
                match self.repository(&full_name).map(|found| found.id) {
                    Some(id) => self.route_repository(call, id, rest, token, now),
                    None => self.redirect_renamed(call, &full_name, rest, token),
                }
            }
            ["repositories", id, rest @ ..] => match id.parse() {
                Ok(id) => self.route_repository(call, id, rest, token, now),
                Err(_) => Answer::not_found(),
            },
            _ => Answer::not_found(),
        }
    }
}

/// The secondary limit's refusal.
fn too_fast(status: u16, seconds: u64) -> Answer {
    let message = "You have exceeded a secondary rate limit. Please wait a few minutes before you try \
                   again.";
    Answer::error(status, message).header("retry-after", seconds.to_string())
}

/// On each answer (docs, "Rate limits for the REST API").
fn with_limits(answer: Answer, standing: Standing) -> Answer {
    answer
        .header("x-ratelimit-limit", standing.limit.to_string())
        .header("x-ratelimit-remaining", standing.remaining().to_string())
        .header("x-ratelimit-used", standing.used.to_string())
        .header("x-ratelimit-reset", standing.reset.to_string())
        .header("x-ratelimit-resource", "core")
}

fn rate_limit(standing: Standing) -> Value {
    let core = json!({
        "limit": standing.limit,
        "remaining": standing.remaining(),
        "used": standing.used,
        "reset": standing.reset,
    });
    let search = json!({
        "limit": 30, "remaining": 30, "used": 0, "reset": standing.reset,
    });
    json!({ "resources": { "core": core, "search": search }, "rate": core })
}

/// A conditional request whose ETag still holds answers 304, without content (docs, "Best practices
/// for using the REST API").
fn with_etag(call: &Call, answer: Answer) -> Answer {
    let body = answer.body.as_ref().map(Value::to_string).unwrap_or_default();
    let link = answer.headers.iter().find(|(name, _)| *name == "link");
    let mut hasher = Sha256::new();
    hasher.update(body.as_bytes());
    hasher.update(link.map(|(_, value)| value.as_bytes()).unwrap_or_default());
    let etag = format!("W/\"{}\"", hex::encode(hasher.finalize()));
    let same = call.if_none_match.as_ref().is_some_and(|asked| {
        asked.split(',').any(|one| one.trim().trim_start_matches("W/") == &etag[2..])
    });
    let answer = if same { Answer { body: None, status: 304, ..answer } } else { answer };
    answer.header("etag", etag)
}
