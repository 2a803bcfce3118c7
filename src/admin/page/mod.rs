//! The pages for people: how things stand (`status`), one job's story (`job`), what ran (`report`), signing in (`login`) and
//! the buttons (`buttons`). Written here as HTML; a script keeps them up to date where there is one.
//!
//! `frame` is around each page, `words` writes times and numbers. Who may see them is in `who.rs`.

mod assets;
mod buttons;
mod frame;
mod job;
mod login;
mod pools;
mod report;
mod runners;
mod status;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use maud::{Markup, html};
use subtle::ConstantTimeEq;

use super::door::{refused, whole};
use super::shared::{Door, Shared};
use super::who::{Posted, Refused, Way, Who};

/// Who sees a page.
#[derive(Debug, Clone)]
pub(super) struct Viewer {
    pub who: Who,
    /// Whether there is a session to be ended.
    pub signed_in: bool,
    form_key: String,
}

/// The hidden field that ties a form to its browser's cookie.
const KEY: &str = "form_key";

impl Viewer {
    fn of(shared: &Shared, who: Who) -> Self {
        let session = match &who {
            Who::Browser(session) => Some(session),
            Who::Bearer | Who::Socket => None,
        };
        let form_key = shared.guard.sessions.form_key(session);
        Self { signed_in: session.is_some(), form_key, who }
    }

    fn key(&self) -> Markup {
        html! { input type="hidden" name=(KEY) value=(self.form_key); }
    }

    /// Whether a form of this viewer's pages sent it.
    fn has_sent(&self, body: &[u8]) -> bool {
        let given = field(body, KEY).unwrap_or_default();
        given.as_bytes().ct_eq(self.form_key.as_bytes()).into()
    }
}

pub(super) fn router(shared: &Arc<Shared>) -> Router<Arc<Shared>> {
    Router::new()
        .route("/", get(status::page))
        .route("/jobs/{id}", get(job::page))
        .route("/report", get(report::page))
        .route("/jobs/{id}/retry", post(buttons::retry))
        .route("/pools/{name}/pause", post(buttons::pause))
        .route("/pools/{name}/resume", post(buttons::resume))
        .route("/logout", post(buttons::sign_out))
        .layer(from_fn_with_state(shared.clone(), guard))
}

/// What asks for no token.
pub(super) fn open() -> Router<Arc<Shared>> {
    Router::new()
        .route("/login", get(login::form).post(login::sign))
        .route("/assets/{name}", get(assets::asset))
}

/// As the API's guard, but that a browser is sent to sign in, and that what is posted is a form.
async fn guard(State(shared): Door, way: Way, request: Request, next: Next) -> Response {
    let (method, headers) = (request.method(), request.headers());
    let who = match shared.guard.judge(method, headers, way, Posted::Form, shared.now()) {
        Ok(who) => who,
        Err(Refused::Token) if is_browser(method, headers) => {
            return login::first(request.uri().path());
        }
        Err(why) => return refused(why),
    };
    let posted = *method == Method::POST;
    let viewer = Viewer::of(&shared, who);
    let mut request = match whole(request).await {
        Ok(request) => request,
        Err(refused) => return refused,
    };
    if posted {
        let (head, body) = request.into_parts();
        // In memory already.
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
        // The token itself is more than any field can prove.
        if viewer.who != Who::Bearer && !viewer.has_sent(&body) {
            let why = "this form is not of a page that you see now; go back, load the page again and repeat";
            return frame::problem(StatusCode::FORBIDDEN, why);
        }
        request = Request::from_parts(head, body.into());
    }
    request.extensions_mut().insert(viewer);
    next.run(request).await
}

/// Somebody who can be sent to another page.
fn is_browser(method: &Method, headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    *method != Method::HEAD && accept.is_some_and(|accept| accept.contains("text/html"))
}

/// A field of a form, or of a query.
fn field(form: &[u8], name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(form);
    pairs.find(|(it, _)| it == name).map(|(_, value)| value.into_owned())
}
