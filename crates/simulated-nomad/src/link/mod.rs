//! How a client in another process and its servers speak: lines of JSON, both ways, on one connection
//! to the RPC port that the client opens and keeps.
//!
//! Not Nomad's own protocol, only its roles: the client registers its node, says that it is alive and
//! how its allocations are; the server says what to run and to end. A connection that ends, or on which
//! nothing is said for too long, is a missed heartbeat. Read next: `upstream.rs` (the client's end),
//! `downstream.rs` (the server's).

pub(crate) mod clients;
pub(crate) mod downstream;
pub(crate) mod upstream;

use std::io;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::nodes::NodeSpec;
use crate::tasks::{Assignment, IdentityAsked, Items, Update, VariableAsked};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum FromClient {
    /// The first of a connection: who is there, and which allocations it has.
    Node {
        id: String,
        spec: Box<NodeSpec>,
        /// Its process has not been here before.
        anew: bool,
        allocations: Vec<String>,
    },
    Updates(Vec<Update>),
    Alive,
    /// Answered with the same number.
    Asks {
        number: u64,
        what: Asked,
    },
}

/// What a client wants to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Asked {
    Variable(VariableAsked),
    Identity(IdentityAsked),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum FromServer {
    /// The first of a connection.
    Welcome {
        /// Where the server's HTTP API is.
        http: String,
        /// The client is to say so often that it is alive, in milliseconds.
        alive_every: u64,
    },
    /// To be run, unless it is known already.
    Start(Box<Assignment>),
    Stop {
        allocation: String,
        /// Without the task's `shutdown_delay`.
        without_delay: bool,
    },
    /// It was unknown to them how that one was.
    Reconnect {
        allocation: String,
    },
    /// The servers know nothing of it any more.
    Forget {
        allocation: String,
    },
    Answers {
        number: u64,
        answer: Answer,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Variable(Result<Option<Items>, String>),
    Identity(Result<String, String>),
}

async fn say(to: &mut OwnedWriteHalf, what: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    to.write_all(&line).await
}

/// What the other side says.
struct Heard(Lines<BufReader<OwnedReadHalf>>);

impl Heard {
    fn new(from: OwnedReadHalf) -> Self {
        Self(BufReader::new(from).lines())
    }

    /// None: it has hung up, or speaks another language. Dropped while it waits it loses nothing.
    async fn next<T: DeserializeOwned>(&mut self) -> Option<T> {
        let line = self.0.next_line().await.ok()??;
        serde_json::from_str(&line).ok()
    }
}
