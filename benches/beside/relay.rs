//! Stands before Nomad, hands every byte on, and notes when an answer to a dispatch went by.
//! What is compared goes through it both times.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const ANSWER: &[u8] = b"DispatchedJobID";

#[derive(Clone)]
pub struct Relay {
    pub port: u16,
    seen: Arc<Mutex<Vec<Instant>>>,
    count: watch::Sender<usize>,
}

impl Relay {
    pub async fn before(upstream: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let relay = Self { port, seen: Arc::default(), count: watch::Sender::new(0) };
        let accepting = relay.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // Gone with the agent at the end of a measurement.
                let Ok(server) = TcpStream::connect(&upstream).await else { continue };
                for stream in [&client, &server] {
                    stream.set_nodelay(true).unwrap();
                }
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(async move {
                    let (mut from, mut to) = (from_client, to_server);
                    // Either side may hang up when it likes.
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
                tokio::spawn(accepting.clone().answers(from_server, to_client));
            }
        });
        relay
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    async fn answers(
        self,
        mut from: tokio::net::tcp::OwnedReadHalf,
        mut to: tokio::net::tcp::OwnedWriteHalf,
    ) {
        let mut buffer = vec![0; 65_536];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            let bytes = &buffer[..read];
            if bytes.windows(ANSWER.len()).any(|window| window == ANSWER) {
                self.seen.lock().unwrap().push(Instant::now());
                self.count.send_modify(|count| *count += 1);
            }
            if to.write_all(bytes).await.is_err() {
                return;
            }
        }
    }

    pub fn dispatches(&self) -> usize {
        *self.count.borrow()
    }

    /// When the dispatch with that number, from 1, was answered.
    pub async fn answered(&self, number: usize) -> Instant {
        let mut count = self.count.subscribe();
        let wait = count.wait_for(|count| *count >= number);
        let waited = tokio::time::timeout(Duration::from_secs(60), wait).await;
        assert!(waited.is_ok(), "no dispatch {number} within 60 s");
        self.seen.lock().unwrap()[number - 1]
    }
}
