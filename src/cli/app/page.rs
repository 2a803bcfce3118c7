//! The one page of `app create`, on loopback: it posts the manifest to GitHub, and GitHub sends the
//! browser back to it with a code. The browser waits until it is known what became of the code.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Html;
use axum::routing::get;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

/// How long the browser waits.
const FOR_THE_BROWSER: Duration = Duration::from_secs(30);

/// What the page is made of.
pub struct Page {
    /// Where GitHub takes a manifest, without its query.
    pub action: String,
    pub manifest: String,
    /// It comes back with the code: whoever else calls the page does not know it.
    pub state: String,
}

/// A code that came back, and where the browser waits for what became of it.
pub struct Given {
    pub code: String,
    pub answer: oneshot::Sender<Told>,
}

/// What became of a code.
pub enum Told {
    Created,
    Refused(String),
}

struct Shared {
    page: Page,
    codes: mpsc::Sender<Given>,
}

/// Serves it until `end`, and then whoever still waits; codes that come back go to `codes`.
pub async fn serve(
    listener: TcpListener,
    page: Page,
    codes: mpsc::Sender<Given>,
    end: oneshot::Receiver<()>,
) {
    let shared = Arc::new(Shared { page, codes });
    let router =
        Router::new().route("/", get(form)).route("/created", get(created)).with_state(shared);
    let end = async {
        // Dropped by the other side, which is the sign.
        let _ = end.await;
    };
    let _ = axum::serve(listener, router).with_graceful_shutdown(end).await;
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
) -> (StatusCode, Html<String>) {
    let code = back.code.filter(|code| is_code(code));
    let code = code.filter(|_| back.state.as_deref() == Some(&shared.page.state));
    let Some(code) = code else {
        let text = "This is not the answer to the form of this page.";
        return (StatusCode::BAD_REQUEST, says(text));
    };
    let (answer, told) = oneshot::channel();
    // One at a time: GitHub takes each once.
    if shared.codes.try_send(Given { code, answer }).is_err() {
        let text = "Another code is being exchanged. The terminal shows what is next.";
        return (StatusCode::CONFLICT, says(text));
    }
    match tokio::time::timeout(FOR_THE_BROWSER, told).await {
        Ok(Ok(Told::Created)) => {
            (StatusCode::OK, says("Done here. The terminal shows what is next."))
        }
        Ok(Ok(Told::Refused(why))) => (StatusCode::BAD_GATEWAY, says(&why)),
        Ok(Err(_)) | Err(_) => {
            let text =
                "GitHub has not answered yet, and is asked again. The terminal shows what is next.";
            (StatusCode::ACCEPTED, says(text))
        }
    }
}

fn says(text: &str) -> Html<String> {
    let text = escaped(text);
    Html(format!("<!doctype html><meta charset=utf-8><title>roustabout</title><p>{text}"))
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
