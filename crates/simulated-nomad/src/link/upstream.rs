//! The client's end: finds a server, registers, does what it is told, and tells what has changed.
//!
//! While no server is reached its tasks go on; the next one is told everything. Read next:
//! `downstream.rs`.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};

use super::{Answer, Asked, FromClient, FromServer, Heard, say};
use crate::nodes::NodeSpec;
use crate::tasks::{Client, IdentityAsked, Items, Update, VariableAsked};

/// Between two tries to reach a server.
const TRY_AGAIN: Duration = Duration::from_millis(250);

const MISUNDERSTOOD: &str = "the server has answered something else";

/// The servers, as a client sees them.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// `host:port` of their RPC.
    servers: Vec<String>,
    state: Mutex<State>,
    /// Where the HTTP API of the one that is reached is.
    http: watch::Sender<Option<String>>,
}

#[derive(Debug, Default)]
struct State {
    out: Option<mpsc::UnboundedSender<FromClient>>,
    /// A server has heard of this process.
    known: bool,
    asked: u64,
    waiting: BTreeMap<u64, oneshot::Sender<Answer>>,
}

impl Upstream {
    pub fn new(servers: Vec<String>) -> Self {
        Self { servers, state: Mutex::default(), http: watch::Sender::new(None) }
    }

    pub fn servers(&self) -> &[String] {
        &self.servers
    }

    /// Where the HTTP API of a server is; waits until one is reached.
    pub async fn http(&self) -> String {
        let mut known = self.http.subscribe();
        loop {
            if let Some(address) = known.borrow_and_update().clone() {
                return address;
            }
            // Its sender lives as long as this.
            let _ = known.changed().await;
        }
    }

    /// Nothing where no server is reached: the next one is told everything.
    pub fn tell(&self, updates: Vec<Update>) {
        if let Some(out) = &self.state().out {
            let _ = out.send(FromClient::Updates(updates));
        }
    }

    /// # Errors
    /// No server is reached, or what it says.
    pub async fn variable(&self, asked: VariableAsked) -> Result<Option<Items>, String> {
        match self.ask(Asked::Variable(asked)).await? {
            Answer::Variable(found) => found,
            Answer::Identity(_) => Err(MISUNDERSTOOD.to_owned()),
        }
    }

    /// # Errors
    /// No server is reached, or what it says.
    pub async fn identity(&self, asked: IdentityAsked) -> Result<String, String> {
        match self.ask(Asked::Identity(asked)).await? {
            Answer::Identity(signed) => signed,
            Answer::Variable(_) => Err(MISUNDERSTOOD.to_owned()),
        }
    }

    async fn ask(&self, what: Asked) -> Result<Answer, String> {
        let (answer, answered) = oneshot::channel();
        {
            let mut state = self.state();
            let Some(out) = state.out.clone() else { return Err("no servers".to_owned()) };
            state.asked += 1;
            let number = state.asked;
            state.waiting.insert(number, answer);
            let _ = out.send(FromClient::Asks { number, what });
        }
        answered.await.map_err(|_| "the server is gone".to_owned())
    }

    /// Follows one server after the other, for ever.
    pub async fn follow(&self, client: &Client, id: &str, spec: &NodeSpec) {
        loop {
            for server in &self.servers {
                if let Ok(stream) = TcpStream::connect(server).await {
                    let _ = stream.set_nodelay(true);
                    self.speak(stream, client, id, spec).await;
                    let mut state = self.state();
                    state.out = None;
                    // Whoever waits for one hears that the server is gone.
                    state.waiting.clear();
                    self.http.send_replace(None);
                }
            }
            tokio::time::sleep(TRY_AGAIN).await;
        }
    }

    /// Until the connection ends.
    async fn speak(&self, stream: TcpStream, client: &Client, id: &str, spec: &NodeSpec) {
        let (from, mut to) = stream.into_split();
        let mut heard = Heard::new(from);
        let (id, spec) = (id.to_owned(), Box::new(spec.clone()));
        let anew = !self.state().known;
        let hello = FromClient::Node { id, spec, anew, allocations: client.allocations() };
        if say(&mut to, &hello).await.is_err() {
            return;
        }
        let Some(FromServer::Welcome { http, alive_every }) = heard.next().await else { return };
        let (out, mut outgoing) = mpsc::unbounded_channel();
        {
            let mut state = self.state();
            (state.out, state.known) = (Some(out), true);
        }
        self.http.send_replace(Some(http));
        client.tell_all();
        let mut alive = tokio::time::interval(Duration::from_millis(alive_every.max(10)));
        loop {
            let said = tokio::select! {
                told = heard.next() => match told {
                    Some(told) => {
                        self.obey(client, told);
                        continue;
                    }
                    None => return,
                },
                Some(said) = outgoing.recv() => said,
                _ = alive.tick() => FromClient::Alive,
            };
            if say(&mut to, &said).await.is_err() {
                return;
            }
        }
    }

    fn obey(&self, client: &Client, told: FromServer) {
        match told {
            FromServer::Answers { number, answer } => {
                if let Some(waiting) = self.state().waiting.remove(&number) {
                    let _ = waiting.send(answer);
                }
            }
            told => obey(client, told),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a client does with what it is told, wherever its server is.
pub(crate) fn obey(client: &Client, told: FromServer) {
    match told {
        FromServer::Start(assignment) => client.start(*assignment),
        FromServer::Stop { allocation, without_delay } => client.stop(&allocation, without_delay),
        FromServer::Reconnect { allocation } => client.reconnects(&allocation),
        FromServer::Forget { allocation } => client.keep_only(|known| known != allocation),
        FromServer::Welcome { .. } | FromServer::Answers { .. } => {}
    }
}
