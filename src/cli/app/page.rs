//! The one page of `app create`, on loopback: it posts the manifest to GitHub, and GitHub sends the
//! browser back to it with a code.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Html;
use axum::routing::get;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// What the page is made of.
pub struct Page {
    /// Where GitHub takes a manifest, without its query.
    pub action: String,
    pub manifest: String,
    /// It comes back with the code: whoever else calls the page does not know it.
    pub state: String,
}

struct Shared {
    page: Page,
    codes: mpsc::Sender<String>,
}

/// Serves it until it is dropped; codes that come back go to `codes`.
pub async fn serve(listener: TcpListener, page: Page, codes: mpsc::Sender<String>) {
    let shared = Arc::new(Shared { page, codes });
    let router =
        Router::new().route("/", get(form)).route("/created", get(created)).with_state(shared);
    // It ends only with the process, or when it is dropped.
    let _ = axum::serve(listener, router).await;
}

pub fn address(at: SocketAddr) -> String {
    format!("http://{at}/")
}

async fn form(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> (StatusCode, Html<String>) {
    if !is_loopback(&headers) {
        return (StatusCode::FORBIDDEN, Html("not here".to_owned()));
    }
    let Page { action, manifest, state } = &shared.page;
    let page = format!(
        "<!doctype html><meta charset=utf-8><title>roustabout: create a GitHub App</title>\n\
         <h1>Create a GitHub App for roustabout</h1>\n\
         <p>GitHub shows the App's name, permissions and events for confirmation.</p>\n\
         <form method=post action=\"{}?state={}\">\n\
         <input type=hidden name=manifest value=\"{}\">\n\
         <button>Continue to GitHub</button></form>\n",
        escaped(action),
        escaped(state),
        escaped(manifest),
    );
    (StatusCode::OK, Html(page))
}

#[derive(Deserialize)]
struct Back {
    code: Option<String>,
    state: Option<String>,
}

async fn created(
    State(shared): State<Arc<Shared>>,
    Query(back): Query<Back>,
) -> (StatusCode, Html<&'static str>) {
    let code = back.code.filter(|code| is_code(code));
    match code {
        Some(code) if back.state.as_deref() == Some(&shared.page.state) => {
            // The first is enough; GitHub takes each once.
            let _ = shared.codes.try_send(code);
            let text = "<!doctype html><title>roustabout</title><p>Done here. The terminal shows what is next.";
            (StatusCode::OK, Html(text))
        }
        _ => (StatusCode::BAD_REQUEST, Html("This is not the answer to the form of this page.")),
    }
}

/// A page of another site may have a name that leads here.
fn is_loopback(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    matches!(name, "127.0.0.1" | "localhost" | "[::1]")
}

/// GitHub's are hex; what is longer or has other characters is none.
pub fn is_code(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
}
