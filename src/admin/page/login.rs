//! Signing in with the token, and out. A browser that was sent here goes back to where it wanted to go.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use super::super::door::refused;
use super::super::session;
use super::super::shared::{Door, Shared};
use super::super::who::{Posted, Way, Who};
use super::{Viewer, field, frame};

/// A page to go on to after signing in: one of ours, so that no link here leads elsewhere.
fn next(asked: Option<&str>) -> String {
    let job = asked.and_then(|path| path.strip_prefix("/jobs/"));
    match job.and_then(|id| id.parse::<u64>().ok()) {
        Some(id) => format!("/jobs/{id}"),
        None => "/".to_owned(),
    }
}

/// Where somebody is sent who wants `path` and has not signed in.
pub(super) fn first(path: &str) -> Response {
    let to = match next(Some(path)) {
        path if path == "/" => "/login".to_owned(),
        path => format!("/login?next={path}"),
    };
    go(&to)
}

pub(super) fn go(to: &str) -> Response {
    let to = HeaderValue::from_str(to).unwrap_or(HeaderValue::from_static("/"));
    let headers =
        [(header::LOCATION, to), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (StatusCode::SEE_OTHER, headers).into_response()
}

pub(super) async fn form(
    State(shared): Door,
    method: Method,
    headers: HeaderMap,
    way: Way,
    uri: Uri,
) -> Response {
    if let Err(why) = shared.guard.judge_page(&method, &headers, way, Posted::Form) {
        return refused(why);
    }
    let query = uri.query().unwrap_or_default();
    let next = next(field(query.as_bytes(), "next").as_deref());
    let known = shared.guard.judge(&method, &headers, way, Posted::Form, shared.now());
    if matches!(known, Ok(Who::Browser(_) | Who::Socket)) {
        return go(&next);
    }
    // The cookie is not sent where somebody follows a link of another site; it is where this page
    // loads itself again.
    let from_elsewhere = headers
        .get("sec-fetch-site")
        .is_some_and(|site| site == "cross-site" || site == "same-site");
    let head = html! {
        @if from_elsewhere {
            meta http-equiv="refresh" content={ "0; url=/login?next=" (next) };
        }
    };
    frame::plain(StatusCode::OK, "Sign in", &head, &sign_in(&next, None))
}

fn sign_in(next: &str, wrong: Option<&str>) -> Markup {
    let described = if wrong.is_some() { "wrong where" } else { "where" };
    html! {
        section.card.narrow {
            h1 { "Sign in" }
            form.stack method="post" action="/login" {
                input type="hidden" name="next" value=(next);
                label for="token" { "Admin token" }
                input id="token" name="token" type="password" autocomplete="current-password"
                    required autofocus spellcheck="false"
                    aria-invalid=[wrong.map(|_| "true")] aria-describedby=(described);
                @if let Some(wrong) = wrong {
                    p.error id="wrong" role="alert" { (wrong) }
                }
                button.primary { "Sign in" }
            }
            p.hint id="where" {
                "Print the token on the daemon's machine: " code { "roustabout admin-token --show" }
            }
        }
    }
}

pub(super) async fn sign(
    State(shared): Door,
    method: Method,
    headers: HeaderMap,
    way: Way,
    body: Bytes,
) -> Response {
    if let Err(why) = shared.guard.judge_page(&method, &headers, way, Posted::Form) {
        return refused(why);
    }
    let next = next(field(&body, "next").as_deref());
    // With what a clipboard adds.
    let given = field(&body, "token").unwrap_or_default();
    if !shared.guard.is_token(given.trim()) {
        let wrong = "This is not the admin token.";
        let content = sign_in(&next, Some(wrong));
        return frame::plain(StatusCode::UNAUTHORIZED, "Sign in", &html! {}, &content);
    }
    match shared.guard.sessions.begin(shared.now()) {
        Ok(value) => with_cookie(&headers, Some(&value), go(&next)),
        Err(error) => {
            let why = format!("no session can be made: {error}");
            frame::problem(StatusCode::INTERNAL_SERVER_ERROR, &why)
        }
    }
}

/// Ends the session for good.
pub(super) fn sign_out(shared: &Shared, viewer: &Viewer, headers: &HeaderMap) -> Response {
    if let Who::Browser(session) = &viewer.who {
        shared.guard.sessions.end(session.clone());
    }
    with_cookie(headers, None, go("/login"))
}

fn with_cookie(headers: &HeaderMap, value: Option<&str>, mut response: Response) -> Response {
    // A browser says where its form was: over HTTPS there is a proxy before this door.
    let origin = headers.get(header::ORIGIN).map(|origin| origin.as_bytes());
    let secure = origin.is_some_and(|origin| origin.starts_with(b"https://"));
    if let Ok(cookie) = HeaderValue::from_str(&session::set_cookie(headers, value, secure)) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_goes_on_to_a_page_of_ours_and_nowhere_else() {
        for (asked, to) in [
            ("/jobs/7", "/jobs/7"),
            ("/", "/"),
            ("//evil.example.org", "/"),
            ("https://evil.example.org", "/"),
            ("/jobs/7/retry", "/"),
            ("/jobs/../logout", "/"),
            ("/jobs/7\r\nx: y", "/"),
        ] {
            assert_eq!(next(Some(asked)), to, "{asked}");
        }
        assert_eq!(next(None), "/");
    }
}
