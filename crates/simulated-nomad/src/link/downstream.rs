//! The server's end: takes clients in, passes on what they say, and notices when they fall silent.
//!
//! Read next: `upstream.rs`; what a silent node means is in `../nodes.rs`.

use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::{Answer, Asked, FromClient, FromServer, Heard, say};
use crate::http::Server;

/// After a failed accept: let some connections be closed.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// How long a client may be silent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heartbeats {
    /// It has to say something within this time.
    pub ttl: Duration,
    /// And so much later it is given up.
    pub grace: Duration,
}

/// Takes clients in, for ever.
pub(crate) async fn accept(server: Server, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                server.spawn(serve(server.clone(), stream));
            }
            Err(_) => tokio::time::sleep(ACCEPT_AGAIN).await,
        }
    }
}

async fn serve(server: Server, stream: TcpStream) {
    let (from, mut to) = stream.into_split();
    let mut heard = Heard::new(from);
    let heartbeats = server.heartbeats();
    let patience = heartbeats.ttl + heartbeats.grace;
    let first = tokio::time::timeout(patience, heard.next()).await;
    let Ok(Some(FromClient::Node { id, spec, anew, allocations })) = first else { return };
    let (out, mut outgoing) = mpsc::unbounded_channel();
    let alive_every = u64::try_from(heartbeats.ttl.as_millis() / 2).unwrap_or(u64::MAX);
    let _ = out.send(FromServer::Welcome { http: server.url(), alive_every });
    server.node_joins((&id, *spec, anew), allocations, out.clone());
    loop {
        let said = tokio::select! {
            said = tokio::time::timeout(patience, heard.next()) => match said {
                Ok(Some(FromClient::Updates(updates))) => {
                    server.hear(updates);
                    continue;
                }
                Ok(Some(FromClient::Asks { number, what })) => {
                    let answer = match what {
                        Asked::Variable(asked) => Answer::Variable(server.variable(asked).await),
                        Asked::Identity(asked) => Answer::Identity(server.identity(asked).await),
                    };
                    FromServer::Answers { number, answer }
                }
                Ok(Some(FromClient::Alive)) => continue,
                Ok(Some(FromClient::Node { .. }) | None) | Err(_) => break,
            },
            Some(said) = outgoing.recv() => said,
        };
        if say(&mut to, &said).await.is_err() {
            break;
        }
    }
    server.node_leaves(&id, &out);
}
