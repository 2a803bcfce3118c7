//! Who answers: this agent, or one that it would have to ask. Decided before anything else of a
//! request is looked at.
//!
//! Without a leader only what an agent knows by itself is answered, and reads that may be stale; the
//! others wait for one for a while ([V]). A client that finds no server waits for ever. Read next:
//! `../standing.rs`, `routes.rs`.

use std::io;
use std::time::Duration;

use axum::http::{HeaderValue, Method, header};
use serde_json::json;
use tokio::net::TcpStream;

use super::call::{Call, Reply};
use super::client;
use super::forwarding::forward;
use super::options::parse_bool;
use super::refusal::Refusal;
use crate::link::upstream::Upstream;
use crate::standing::Standing;

/// How long a server waits for a leader before it says that there is none.
const WAIT_FOR_LEADER: Duration = Duration::from_secs(5);
const NO_LEADER: &str = "No cluster leader";

/// The answer of another agent, or that there is none; None where this one is to answer.
pub(super) async fn elsewhere(call: &Call) -> Option<Reply> {
    match (call.server.standing(), call.server.upstream()) {
        (Standing::Leader, _) => at_a_client(call).await,
        (Standing::Leaderless, _) => without_leader(call).await.err().map(Err),
        (Standing::Client { .. }, _) if is_local(&call.path) => None,
        (Standing::Client { .. }, Some(upstream)) => Some(at_a_server(call, upstream).await),
        (Standing::Client { .. }, None) => std::future::pending().await,
    }
}

/// What lies at a client in another process is asked of its agent.
async fn at_a_client(call: &Call) -> Option<Reply> {
    let (id, capability) = client::asked(call.path.strip_prefix("/v1/client/")?)?;
    let address = call.server.client_elsewhere(id)?;
    let reply = match (client::may_reach(call, id, capability), address) {
        (Err(refusal), _) => Err(refusal),
        (Ok(()), Some(address)) => forward(call, &address).await,
        (Ok(()), None) => Err(Refusal::new(404, "No path to node")),
    };
    Some(reply.map_err(|mut refusal| {
        refusal.headers.insert(header::VARY, HeaderValue::from_static("Origin"));
        refusal
    }))
}

/// What every agent knows by itself.
fn is_local(path: &str) -> bool {
    const LOCAL: [&str; 6] =
        ["/", "/v1/agent/self", "/v1/agent/health", "/v1/regions", "/v1/jobs/parse", "/v1/metrics"];
    LOCAL.contains(&path) || path.starts_with("/ui/") || path.starts_with("/v1/client/")
}

async fn without_leader(call: &Call) -> Result<(), Refusal> {
    let health = call.path == "/v1/agent/health";
    let elsewhere = call.query.said("region").is_some_and(|it| it != call.server.config().region);
    let local = is_local(&call.path) && !health;
    if local || elsewhere || call.path == "/v1/event/stream" || may_be_stale(call) {
        return Ok(());
    }
    tokio::time::sleep(WAIT_FOR_LEADER).await;
    if health {
        let told = json!({"server": {"message": NO_LEADER, "ok": false}});
        return Err(Refusal::new(500, told.to_string()));
    }
    let mut refusal = Refusal::new(500, NO_LEADER);
    if call.path.starts_with("/v1/var") {
        refusal.headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    }
    Err(refusal)
}

fn may_be_stale(call: &Call) -> bool {
    let said = |text: &str| text.is_empty() || parse_bool(text) == Some(true);
    call.method == Method::GET && call.query.get("stale").is_some_and(said)
}

async fn at_a_server(call: &Call, upstream: &Upstream) -> Reply {
    if call.path == "/v1/event/stream" {
        let mut why = "no servers".to_owned();
        for server in upstream.servers() {
            if let Err(error) = TcpStream::connect(server).await {
                why = format!("dial tcp {server}: connect: {}", in_gos_words(&error));
            }
        }
        let mut refusal = Refusal::new(500, why);
        refusal.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        return Err(refusal);
    }
    forward(call, &upstream.http().await).await
}

fn in_gos_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::TimedOut => "i/o timeout".to_owned(),
        _ => error.to_string(),
    }
}
