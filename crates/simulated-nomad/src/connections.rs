//! Who is let in at the agent's port: how many connections an address may have at a time, and TLS.
//!
//! What is said on a connection is not its business. Read next: `http.rs`, `tls.rs`.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::answers::Door;
use crate::config::Config;
use crate::http::{self, Server};
use crate::tls;

/// Nomad's `http_max_conns_per_client` where nothing is said.
const LIMIT: usize = 100;
/// After a failed accept: let some connections be closed.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// Who is one too many is told so, if it can be done as quickly as that.
const TELL_WITHIN: Duration = Duration::from_millis(10);
/// How many are told so at once, and how many more each second.
const TELL_BURST: f64 = 100.0;
const TELL_EACH_SECOND: f64 = 10.0;

const TOO_MANY: &str =
    "Your IP is issuing too many concurrent connections, please rate limit your calls\n";

/// The rules of one port.
pub(crate) struct Entrance {
    tls: Option<TlsAcceptor>,
    places: Places,
    telling: Mutex<Bucket>,
}

impl Entrance {
    /// # Errors
    /// Certificates that cannot be used.
    pub fn new(config: &Config) -> Result<Self, String> {
        let tls = config.tls.as_ref().filter(|tls| tls.http);
        let limit = match config.limits.http_max_conns_per_client.unwrap_or(LIMIT) {
            0 => usize::MAX,
            limit => limit,
        };
        Ok(Self {
            tls: tls.map(tls::acceptor).transpose()?,
            places: Places { limit, taken: Arc::default() },
            telling: Mutex::new(Bucket::full(Instant::now())),
        })
    }

    /// Takes connections for the server, and never returns.
    pub async fn accept(self, server: Server, listener: TcpListener) {
        loop {
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(_) => {
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                    continue;
                }
            };
            let _ = stream.set_nodelay(true);
            match self.places.take(peer) {
                Some(place) => server.spawn(admit(stream, place, self.tls.clone(), server.clone())),
                None => self.turn_away(stream, &server),
            }
        }
    }

    /// Nobody reads what it has to say. Where TLS would have to be spoken it is only hung up on.
    fn turn_away(&self, mut stream: TcpStream, server: &Server) {
        let mut telling = self.telling.lock().unwrap_or_else(PoisonError::into_inner);
        if self.tls.is_some() || !telling.take(Instant::now()) {
            return;
        }
        server.spawn(async move {
            let text = format!(
                "HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\
                 Connection: close\r\n\r\n{TOO_MANY}",
                TOO_MANY.len()
            );
            let _ = tokio::time::timeout(TELL_WITHIN, stream.write_all(text.as_bytes())).await;
        });
    }
}

async fn admit(stream: TcpStream, _place: Place, tls: Option<TlsAcceptor>, server: Server) {
    match tls {
        None => http::serve(stream, server, Door::Agent).await,
        Some(acceptor) => {
            if let Some(stream) = tls::accept(stream, &acceptor).await {
                http::serve(stream, server, Door::Agent).await;
            }
        }
    }
}

/// How many connections each address has.
#[derive(Clone)]
struct Places {
    limit: usize,
    taken: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

/// Given back when it is dropped.
struct Place {
    taken: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
    address: IpAddr,
}

impl Places {
    fn take(&self, peer: SocketAddr) -> Option<Place> {
        let address = peer.ip();
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(address).or_default();
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(Place { taken: self.taken.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.address) {
            *count = count.saturating_sub(1);
        }
    }
}

/// Lets a burst pass, and then so many each second.
struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    fn full(now: Instant) -> Self {
        Self { left: TELL_BURST, at: now }
    }

    fn take(&mut self, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + since * TELL_EACH_SECOND).min(TELL_BURST);
        self.at = now;
        let some = self.left >= 1.0;
        if some {
            self.left -= 1.0;
        }
        some
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_connection_ends() {
        let places = Places { limit: 2, taken: Arc::default() };
        let peer = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let first = places.take(peer(1)).unwrap();
        let _second = places.take(peer(2)).unwrap();
        assert!(places.take(peer(3)).is_none());
        assert!(places.take(SocketAddr::from(([127, 0, 0, 2], 1))).is_some(), "another address");
        drop(first);
        assert!(places.take(peer(3)).is_some());
    }

    #[test]
    fn after_a_burst_some_are_told_each_second() {
        let start = Instant::now();
        let mut bucket = Bucket::full(start);
        assert_eq!((0..150).filter(|_| bucket.take(start)).count(), 100);
        let later = start + Duration::from_secs(1);
        assert_eq!((0..150).filter(|_| bucket.take(later)).count(), 10);
    }
}
