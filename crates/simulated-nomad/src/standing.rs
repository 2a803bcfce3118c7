//! What an agent is in its cluster: the leader, a server that waits for others to elect one with, or
//! a client of servers elsewhere.
//!
//! Servers of one cluster never find each other here: one that expects more than itself waits for
//! ever. Read next: `answers/leadership.rs` (what that means for requests).

use crate::config::Config;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The only server.
    Leader,
    /// It expects other servers.
    Leaderless,
    /// No server; these are, by `host:port` of their RPC.
    Client { servers: Vec<String> },
}

impl Standing {
    pub fn of(config: &Config) -> Self {
        let expected = config.server.bootstrap_expect.unwrap_or(1);
        if !config.is_server() {
            Self::Client { servers: config.client.servers.clone() }
        } else if expected > 1 && !config.dev {
            Self::Leaderless
        } else {
            Self::Leader
        }
    }
}
