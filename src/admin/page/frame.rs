//! What every page has around its content, and the headers that keep other pages out.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use super::{Viewer, assets};

/// Nothing from elsewhere, nothing inline, in no frame, and forms post to this door alone.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Seconds after which a browser without scripts loads the page again.
const REFRESH: u32 = 15;

const HEADERS: [(HeaderName, &str); 8] = [
    (header::CONTENT_TYPE, "text/html; charset=utf-8"),
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // With `no-referrer` browsers would say `Origin: null` where a button is pressed.
    (header::REFERRER_POLICY, "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// A page for somebody who may see it; with a script it goes on by itself.
pub(super) fn page(title: &str, viewer: &Viewer, content: &Markup) -> Response {
    let header = html! {
        (pages("/report", "Report"))
        p.live id="live" role="status" { noscript { "Refreshes every " (REFRESH) " s" } }
        (sign_out(viewer))
    };
    let head = html! {
        noscript { meta http-equiv="refresh" content=(REFRESH); }
        script src=(assets::SCRIPT.path()) defer {}
    };
    whole(StatusCode::OK, title, &head, &header, content)
}

/// One for somebody who may see it that does not refresh: it is much work, and nothing in it is urgent.
pub(super) fn still(title: &str, viewer: &Viewer, content: &Markup) -> Response {
    let header = html! { (pages("/", "Status")) (sign_out(viewer)) };
    whole(StatusCode::OK, title, &html! {}, &header, content)
}

/// The other page; this one's name is its title.
fn pages(path: &str, name: &str) -> Markup {
    html! { nav.pages aria-label="Pages" { a href=(path) { (name) } } }
}

fn sign_out(viewer: &Viewer) -> Markup {
    html! {
        @if viewer.signed_in {
            form method="post" action="/logout" {
                (viewer.key())
                button.quiet id="sign-out" { "Sign out" }
            }
        }
    }
}

/// One that stays as it is.
pub(super) fn plain(status: StatusCode, title: &str, head: &Markup, content: &Markup) -> Response {
    whole(status, title, head, &html! {}, content)
}

/// Why there is no such page, or why a button did nothing.
pub(super) fn problem(status: StatusCode, why: &str) -> Response {
    let title = match status {
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::SERVICE_UNAVAILABLE => "Not now",
        _ => "That did not work",
    };
    let content = html! {
        section.card {
            h1 { (title) }
            p { (capital(why)) "." }
            p { a href="/" { "Back to the status page" } }
        }
    };
    plain(status, title, &html! {}, &content)
}

/// As a sentence begins. A name, such as a runner's, stays as it is written.
pub(super) fn capital(words: &str) -> String {
    let mut rest = words.chars();
    let first = words.split([' ', ':', ',']).next().unwrap_or_default();
    match rest.next() {
        Some(letter) if first.chars().all(char::is_alphabetic) => {
            letter.to_uppercase().chain(rest).collect()
        }
        _ => words.to_owned(),
    }
}

fn whole(
    status: StatusCode,
    title: &str,
    head: &Markup,
    header: &Markup,
    content: &Markup,
) -> Response {
    let text = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · roustabout" }
                link rel="icon" href=(assets::ICON.path());
                link rel="stylesheet" href=(assets::STYLE.path());
                (head)
            }
            body {
                a.skip href="#main" { "Skip to content" }
                header.site {
                    a.brand href="/" { img src=(assets::ICON.path()) alt="" width="24" height="24"; "roustabout" }
                    (header)
                }
                main id="main" tabindex="-1" { (content) }
                footer { "roustabout " (env!("CARGO_PKG_VERSION")) }
            }
        }
    };
    let mut response = (status, text.into_string()).into_response();
    guarded(&mut response);
    response
}

fn guarded(response: &mut Response) {
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_begins_with_a_capital_and_a_name_stays() {
        assert_eq!(capital("pool x64 is paused"), "Pool x64 is paused");
        assert_eq!(capital("waits: no room"), "Waits: no room");
        assert_eq!(capital("roustabout-x64-1: busy"), "roustabout-x64-1: busy");
        assert_eq!(capital(""), "");
    }
}
