//! Senders of webhooks without a pause, to see what becomes of them while the daemon is restarted, or its secrets are replaced.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::daemon::SECRET;
use super::until;
use super::webhook::{Raw, Request, queued};

const PATIENCE: Duration = Duration::from_secs(30);

pub struct Senders {
    seen: Arc<Seen>,
    senders: Vec<tokio::task::JoinHandle<()>>,
}

impl Senders {
    /// Four of them, each for as long as nothing of its own fails.
    pub fn start(port: u16) -> Self {
        let seen = Arc::new(Seen { secret: Mutex::new(SECRET.to_owned()), ..Seen::default() });
        let senders = (0..4).map(|_| tokio::spawn(send_all(seen.clone(), port))).collect();
        Self { seen, senders }
    }

    /// From here on, with another secret.
    pub fn sign_with(&self, secret: &str) {
        secret.clone_into(&mut self.seen.secret.lock().unwrap());
    }

    /// Until so many more were accepted, or one failed.
    pub async fn until_accepted(&self, more: usize) {
        let before = self.seen.accepted.lock().unwrap().len();
        until("webhooks are taken", PATIENCE, async || {
            self.seen.accepted.lock().unwrap().len() >= before + more
                || !self.seen.failed.lock().unwrap().is_empty()
        })
        .await;
    }

    /// The jobs whose webhooks were accepted, and what became of the others.
    pub async fn end(self) -> (Vec<u64>, Vec<String>) {
        self.seen.over.store(true, Ordering::Relaxed);
        for sender in self.senders {
            sender.await.unwrap();
        }
        let accepted = self.seen.accepted.lock().unwrap().clone();
        let failed = self.seen.failed.lock().unwrap().clone();
        (accepted, failed)
    }
}

#[derive(Default)]
struct Seen {
    over: AtomicBool,
    next: AtomicU64,
    secret: Mutex<String>,
    accepted: Mutex<Vec<u64>>,
    failed: Mutex<Vec<String>>,
}

/// One webhook after the other, over one connection for as long as the door keeps it open.
async fn send_all(seen: Arc<Seen>, port: u16) {
    let mut open: Option<Raw> = None;
    while !seen.over.load(Ordering::Relaxed) {
        let job = 1000 + seen.next.fetch_add(1, Ordering::Relaxed);
        let mut connection = match open.take() {
            Some(connection) => connection,
            None => match tokio::net::TcpStream::connect(("127.0.0.1", port)).await {
                Ok(stream) => Raw::over(stream),
                Err(error) => return seen.failed.lock().unwrap().push(error.to_string()),
            },
        };
        let secret = seen.secret.lock().unwrap().clone();
        let request = Request::job(&format!("restart {job}"), &queued(job)).signed(&secret);
        connection.say(request.bytes()).await;
        match connection.reply_or_end().await {
            Some(reply) if reply.status == 202 => {
                seen.accepted.lock().unwrap().push(job);
                open = (reply.header("connection") != Some("close")).then_some(connection);
            }
            Some(reply) => seen.failed.lock().unwrap().push(reply.status.to_string()),
            None => seen.failed.lock().unwrap().push("closed without a word".to_owned()),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
